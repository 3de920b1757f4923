"""Credentials of the service's unit: where they lie, and what is said where there is none."""

import pytest

from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.systemd_credential import SystemdCredentialSource
from credproxy.core.ownership import Exposure
from credproxy.sources.systemd_credential import SystemdCredential
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles
from tests.hints import filled


FOLDER = "/run/user/1000/credentials/credproxy.service"
PATH = f"{FOLDER}/key"
TARGET = parse_uri("https://a.test/x")


class World:
    """A service with the credentials of its unit."""

    def __init__(
        self, content: str | bytes | None, *, folder: str = FOLDER, username: str | None = None, optional: bool = False
    ) -> None:
        self.files = FakeFiles()
        if content is not None:
            self.files.put(PATH, content)
        environ = {"HOME": "/home/u", **({"CREDENTIALS_DIRECTORY": folder} if folder else {})}
        settings = SystemdCredentialSource("key", username)
        self.source = SystemdCredential(settings, environ, files=self.files, clock=FakeClock(), optional=optional)

    async def stored(self) -> Stored | None:
        """What would be sent."""
        identity = await self.source.locate(TARGET, None)
        login = None if identity is None else await self.source.read(identity, TARGET)
        return None if login is None else login.stored


@pytest.mark.parametrize(
    ("content", "username", "wanted"),
    [("key\n", None, PlainSecret(Secret("key"))), ("pass", "u", UserPassword("u", Secret("pass")))],
)
async def test_the_content_is_the_secret(content: str, username: str | None, wanted: Stored) -> None:
    """As it is of a file."""
    assert await World(content, username=username).stored() == wanted


@pytest.mark.parametrize(
    ("folder", "said"), [("", "CREDENTIALS_DIRECTORY is not set"), (FOLDER, "the unit does not load it")]
)
async def test_one_that_is_not_there_is_told_with_how_to_make_one(folder: str, said: str) -> None:
    """Followed, it is there; in a list the next source is asked."""
    world = World(None, folder=folder)
    with pytest.raises(Failed, match=said) as caught:
        await world.stored()
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert set(
        filled(
            caught.value.failure.hint,
            "systemd-creds encrypt --name={} - FILE, then systemctl edit credproxy: LoadCredentialEncrypted={}:FILE; of a user service: LoadCredential={}:FILE",
        )
    ) == {"key"}
    assert await World("key").stored() is not None
    beside = World(None, folder=folder, optional=True)
    assert await beside.stored() is None
    assert said in beside.source.looked(TARGET)[0]


@pytest.mark.parametrize("content", [f"{CANARY}\n{CANARY}", f"{CANARY}\xff".encode("latin-1"), "\n"])
async def test_one_that_is_not_a_line_of_text_is_told_unquoted(content: str | bytes) -> None:
    """It is there, so that no other source is asked."""
    with pytest.raises(Failed, match="credential 'key'") as caught:
        await World(content, optional=True).stored()
    assert CANARY not in str(caught.value)


async def test_one_that_others_could_have_written_is_not_used() -> None:
    """Anybody who writes it chooses the login."""
    world = World("key")
    world.files.exposed[PATH] = (Exposure("can be changed by others: mode 0666", "chmod 600", grave=True),)
    with pytest.raises(Failed, match="is not trusted"):
        await world.stored()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a:b", "a b", "ä", "x" * 256])
def test_a_name_that_systemd_would_not_take_is_a_mistake(name: str) -> None:
    """It would lead out of the folder."""
    assert [path for path, _ in SystemdCredentialSource(name).problems()] == [("name",)]
    assert not list(SystemdCredentialSource("cache-key.v1_x").problems())


def into_unit(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.environ["CREDENTIALS_DIRECTORY"] = FOLDER
    ground.files.put(PATH, secret)


CONTRACTS = {
    "systemd-credential": SourceContract(
        SystemdCredentialSource("key"), into_unit, lambda ground: into_unit(ground, f"{CANARY}\nx")
    )
}
