"""The keyring source against gnome-keyring on a bus of its own, with what other programs have stored there."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.secret_service import LockedKeyringError, SecretService
from credproxy.core.ask.credential import Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed
from credproxy.core.kinds.sources.keyring import KeyringSource
from credproxy.ports.keyrings import KeyringFound
from credproxy.sources.keyring import FromKeyring
from tests.e2e.stage import stage
from tests.real.secret_service import Session, session


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

ATTRIBUTES = {"service": "build", "username": "u"}
RULE = """
[[host]]
match = "cache.test"
provider = "header"
name = "x-api-key"
secret = { source = "keyring", service = "build", username = "u" }
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the session's user."""
    return tmp_path_factory.mktemp("k")


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Session]:
    """A session whose keyring is unlocked."""
    with session(home) as made:
        made.unlock()
        yield made


@pytest.fixture
async def keyring(running: Session) -> AsyncIterator[SecretService]:
    """The adapter, in an empty keyring."""
    made = SecretService(running.environ, clock=SystemClock(), uid=0)
    yield made
    await made.erase({"service": "build"})


async def read(keyring: SecretService, username: str | None = "u") -> Stored | None:
    """What the source gives."""
    source, target = (
        FromKeyring(KeyringSource("build", username), keyring, clock=SystemClock()),
        parse_uri("cache.test"),
    )
    identity = await source.locate(target, None)
    login = None if identity is None else await source.read(identity, target)
    return None if login is None else login.stored


@pytest.mark.parametrize(
    "more", [{}, {"application": "Python keyring library"}, {"xdg:schema": "org.gnome.keyring.Note"}]
)
async def test_what_other_programs_store_is_found(
    keyring: SecretService, running: Session, more: dict[str, str]
) -> None:
    """libsecret, keyring and go-keyring share service and username, and each adds something."""
    words = [word for pair in {**ATTRIBUTES, **more}.items() for word in pair]
    running.secret_tool("store", "--label", "x", *words, secret="pässword")
    assert await read(keyring) == UserPassword("u", Secret("pässword"))
    assert await read(keyring, None) == UserPassword("u", Secret("pässword"))
    assert await read(keyring, "v") is None


async def test_what_is_stored_is_found_by_other_programs_and_takes_the_place_of_the_last(
    keyring: SecretService, running: Session
) -> None:
    """And is gone when it is erased."""
    for secret in ("one", "two"):
        await keyring.store(ATTRIBUTES, "label", secret=Secret(secret))
    assert running.secret_tool("lookup", "service", "build") == "two"
    assert await keyring.erase(ATTRIBUTES) == 1
    assert await keyring.erase(ATTRIBUTES) == 0
    assert await read(keyring) is None


async def test_a_deleted_secret_gives_none(keyring: SecretService) -> None:
    """Deleted between search and read."""
    await keyring.store(ATTRIBUTES, "label", secret=Secret("canary"))
    (item,) = (await keyring.search("build", "u")).items
    await keyring.erase(ATTRIBUTES)
    assert await keyring.reveal(item) is None


async def test_a_bus_without_a_keyring_has_nothing(short_path: Path) -> None:
    """It is not an error."""
    with session(short_path) as empty:
        found = await SecretService(empty.environ, clock=SystemClock(), uid=0).search("build", "u")
    assert found == KeyringFound(absent="no keyring answers on the session bus")


async def test_a_locked_keyring_is_reported_at_once_and_opens_no_window(short_path: Path) -> None:
    """Nothing is read from it, and nothing stored in it; unlocked again it answers."""
    with session(short_path) as made:
        made.unlock()
        keyring = SecretService(made.environ, clock=SystemClock(), uid=0)
        await keyring.store(ATTRIBUTES, "label", secret=Secret("canary"))
        made.lock()
        began = time.perf_counter()
        with pytest.raises(Failed, match="is locked"):
            await read(keyring)
        with pytest.raises(LockedKeyringError):
            await keyring.store(ATTRIBUTES, "label", secret=Secret("other"))
        with pytest.raises(LockedKeyringError):
            await keyring.erase(ATTRIBUTES)
        assert time.perf_counter() - began < 2
        made.end()
        made.unlock()
        assert await read(keyring) == UserPassword("u", Secret("canary"))


async def test_a_keyring_without_a_default_collection_stores_nothing(short_path: Path) -> None:
    """As on a server where the bus starts it: there is no collection, and making one would open a window."""
    with session(short_path) as made:
        made.start_locked()
        keyring = SecretService(made.environ, clock=SystemClock(), uid=0)
        assert await read(keyring) is None
        with pytest.raises(Exception, match="no collection"):
            await keyring.store(ATTRIBUTES, "label", secret=Secret("canary"))


async def test_a_secret_that_changes_by_being_used_is_written_back(keyring: SecretService, running: Session) -> None:
    """In the place of the old one, for other programs to see; a keyring that was locked meanwhile refuses, and has the old one."""
    await keyring.store(ATTRIBUTES, "of the test", secret=Secret("old"))
    await keyring.rewrite("build", "u", label="of the test", secret=Secret("new"))
    assert running.secret_tool("lookup", "service", "build") == "new"
    assert len((await keyring.search("build", None)).items) == 1
    running.lock()
    try:
        with pytest.raises(Failed, match="takes nothing: it is locked"):
            await keyring.rewrite("build", "u", label="of the test", secret=Secret("lost"))
    finally:
        running.end()
        running.unlock()
    assert running.secret_tool("lookup", "service", "build") == "new"


def test_a_daemon_answers_from_the_keyring_and_with_the_new_secret_within_a_second(
    running: Session, short_path: Path
) -> None:
    """A new secret is another login; it is in no log."""
    words = [word for pair in ATTRIBUTES.items() for word in pair]
    running.secret_tool("store", "--label", "x", *words, secret="canary-one")
    with stage(short_path) as staged:
        staged.environ["DBUS_SESSION_BUS_ADDRESS"] = running.environ["DBUS_SESSION_BUS_ADDRESS"]
        staged.configure(RULE)
        staged.start()
        assert staged.headers("https://cache.test/x") == {"x-api-key": ["canary-one"]}
        time.sleep(1.1)  # the keyring counts whole seconds
        running.secret_tool("store", "--label", "x", *words, secret="canary-two")
        time.sleep(1.1)  # and is searched once in one
        assert staged.headers("https://cache.test/x") == {"x-api-key": ["canary-two"]}
        running.secret_tool("clear", *words)
        time.sleep(1.1)
        done = staged.helper("https://cache.test/x")
        assert done.returncode == 1
        assert "the keyring has no secret of 'u@build'" in done.stderr
        assert "canary" not in staged.log()
