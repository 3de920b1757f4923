"""The keyrings of systems other than Linux, which a library asks in a separate program; and Linux without a keyring."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.keyring_program import answer, native
from credproxy.adapters.keyrings import LibraryKeyring, keyring_of
from credproxy.adapters.no_keyring import NO_KEYRING
from credproxy.adapters.secret_service import NoKeyringError, SecretService, as_secret
from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Failed
from credproxy.ports.keyrings import KeyringFound, KeyringItem
from credproxy.ports.processes import Command, Completed
from tests.fakes import FakeClock, FakeProcesses


class Login:
    """A login as the library returns it."""

    username = "u"
    password = "canary"


class Native:
    """A keychain with one login."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], str] = {}

    def get_credential(self, service: str, username: str | None) -> Login | None:
        """Of one service."""
        return Login() if (service, username) in {("s", None), ("s", "u")} else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Remember it."""
        self.stored[service, username] = password


def question(service: str, username: str | None = None) -> bytes:
    """The input of the program."""
    return json.dumps({"service": service, "username": username}).encode()


def test_the_program_gives_user_and_secret_or_nothing() -> None:
    """As JSON."""
    assert answer(question("s"), Native()) == {"username": "u", "secret": "canary"}
    assert answer(question("other"), Native()) == {"secret": None}


def test_the_program_stores_what_a_question_holds() -> None:
    """And says nothing."""
    native_keyring = Native()
    told = json.dumps({"service": "s", "username": "u", "secret": "canary-new"}).encode()
    assert answer(told, native_keyring) == {}
    assert native_keyring.stored == {("s", "u"): "canary-new"}


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("keyring.backends.macOS", True),
        ("keyring.backends.Windows", True),
        ("keyring.backends.null", False),
        ("keyrings.alt.file", False),
        ("keyring.backends.fail", False),
    ],
)
def test_only_the_system_s_own_keyring_is_asked(module: str, *, wanted: bool) -> None:
    """One that somebody configured may be a file of plain text."""
    assert native(module) is wanted


def programs(*said: Mapping[str, str | None]) -> FakeProcesses:
    """The program, which prints these outputs in turn."""
    left = list(said)

    def run(command: Command) -> Completed:
        assert command.stdin == question("s")
        return Completed(0, json.dumps(left.pop(0)).encode())

    return FakeProcesses({sys.executable: run})


async def test_what_the_program_says_is_remembered_and_another_secret_is_a_change() -> None:
    """A run takes a tenth of a second, and no date is known."""
    processes, clock = programs(*({"username": "u", "secret": secret} for secret in ("a", "a", "b"))), FakeClock()
    keyring = LibraryKeyring(processes, clock=clock)
    first = await keyring.search("s", None)
    assert await keyring.search("s", None) == first
    assert await keyring.reveal(first.items[0]) == Secret("a")
    clock.suspend(241)
    assert await keyring.search("s", None) == first
    clock.suspend(241)
    second = await keyring.search("s", None)
    assert second.items[0].changed == first.items[0].changed + 1
    assert (await keyring.reveal(first.items[0]), await keyring.reveal(second.items[0])) == (None, Secret("b"))
    assert len(processes.runs) == 3


async def test_nothing_and_no_library_are_not_errors() -> None:
    """The next source is asked."""
    keyring = LibraryKeyring(programs({"secret": None}), clock=FakeClock())
    assert await keyring.search("s", None) == KeyringFound()
    keyring = LibraryKeyring(programs({"absent": "library"}), clock=FakeClock())
    assert " is not installed: " in (await keyring.search("s", None)).absent
    keyring = LibraryKeyring(programs({"absent": "keyring.backends.null is not"}), clock=FakeClock())
    assert (await keyring.search("s", None)).absent == "keyring.backends.null is not"


async def test_a_program_that_fails_is_an_error_without_its_output() -> None:
    """The output is a secret."""
    processes = FakeProcesses({sys.executable: lambda _: Completed(1, b"canary", "locked")})
    with pytest.raises(Failed) as caught:
        await LibraryKeyring(processes, clock=FakeClock()).search("s", None)
    assert caught.value.failure.message == "the keyring does not answer: locked"


@pytest.mark.skipif(sys.platform != "linux", reason="the Secret Service is Linux's")
async def test_linux_asks_the_secret_service(tmp_path: Path) -> None:
    """Without a bus there is no keyring, which is not an error."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    keyring = keyring_of(environ, clock=SystemClock(), uid=1, processes=FakeProcesses())
    assert isinstance(keyring, SecretService)
    assert "DBUS_SESSION_BUS_ADDRESS is not set" in (await keyring.search("s", "u")).absent


@pytest.mark.parametrize("address", ["unix:path=/nonexistent/bus", "tcp:host=localhost", "nonsense"])
async def test_a_bus_address_without_a_bus_means_no_keyring(address: str) -> None:
    """Nothing can be stored there, and nothing is found."""
    keyring = SecretService({"DBUS_SESSION_BUS_ADDRESS": address}, clock=SystemClock(), uid=1)
    assert (await keyring.search("s", None)).absent
    with pytest.raises(NoKeyringError):
        await keyring.store({"service": "s"}, "s", secret=Secret("canary"))


async def test_a_user_without_a_keyring_has_no_secret() -> None:
    """As a system service."""
    assert (await NO_KEYRING.search("s", "u")).absent
    assert await NO_KEYRING.reveal(KeyringItem("s")) is None


def test_bytes_that_are_not_text_are_an_error_that_quotes_none() -> None:
    """Other programs may store such a secret, and no header could carry it."""
    assert as_secret("pä".encode()) == Secret("pä")
    with pytest.raises(Failed) as caught:
        as_secret(b"canary\xff")
    assert caught.value.failure.message == "the secret in the keyring is not UTF-8 text"
