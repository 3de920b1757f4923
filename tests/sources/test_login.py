"""What ``credproxy login`` has stored, as the daemon reads it."""

import json

import pytest

from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.ports import Command, Completed
from credproxy.sources.login import FromLogin
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeKeyring, FakeProcesses
from tests.hints import filled


PLACE = "/home/u/.local/state/credproxy/logins.json"


class World:
    """A home with a file of logins."""

    def __init__(self, **logins: dict[str, str]) -> None:
        self.files, self.keyring, self.clock = FakeFiles(), FakeKeyring(), FakeClock()
        self.processes = FakeProcesses({"systemd-creds": lambda _: Completed(0, b"opened")})
        self.put(logins)
        self.source = FromLogin(
            PLACE, files=self.files, keyring=self.keyring, processes=self.processes, clock=self.clock, uid=1000
        )

    def put(self, logins: dict[str, dict[str, str]]) -> None:
        """Write it anew."""
        self.files.put(PLACE, json.dumps({"logins": logins}))

    async def read(self, uri: str, repository: str | None = None) -> Stored | None:
        """Locate and read."""
        target = parse_uri(uri)
        identity = await self.source.locate(target, repository)
        login = None if identity is None else await self.source.read(identity, target)
        return None if login is None else login.stored


def in_file(secret: str, username: str = "u", number: str = "1") -> dict[str, str]:
    """An entry with its secret."""
    return {"kept": "file", "id": number, "username": username, "secret": secret}


LOGINS = {
    "reg.test": in_file("all"),
    "reg.test/team": in_file("team"),
    "reg.test:5000": in_file("port"),
    "docker.io": in_file("hub"),
    "github.com": in_file("token", ""),
    "api.corp.test": in_file("api"),
    "idt.test": in_file("idt", "<token>"),
}


@pytest.mark.parametrize(
    ("uri", "repository", "wanted"),
    [
        ("https://reg.test/x", None, UserPassword("u", Secret("all"))),
        ("https://reg.test/team/x", None, UserPassword("u", Secret("team"))),
        ("https://reg.test/teams/x", None, UserPassword("u", Secret("all"))),
        ("https://reg.test/v2/team/a/tags/list", "team/a", UserPassword("u", Secret("team"))),
        ("https://reg.test/v2/a/tags/list", "a", UserPassword("u", Secret("all"))),
        ("reg.test:5000", None, UserPassword("u", Secret("port"))),
        ("registry-1.docker.io", None, UserPassword("u", Secret("hub"))),
        ("https://api.github.com/repos/o/r", None, PlainSecret(Secret("token"))),
        ("https://raw.githubusercontent.com/o/r", None, PlainSecret(Secret("token"))),
        ("https://api.corp.test/x", None, UserPassword("u", Secret("api"))),
        ("https://corp.test/x", None, None),
        ("https://idt.test/", None, IdentityToken(Secret("idt"))),
        ("https://xreg.test/", None, None),
        ("*.reg.test", None, None),
    ],
)
async def test_a_login_is_for_its_host_and_what_is_below_its_path(
    uri: str, repository: str | None, wanted: Stored | None
) -> None:
    """The longest path counts; Docker Hub's names share one, and GitHub's do."""
    assert await World(**LOGINS).read(uri, repository) == wanted


async def test_another_login_is_another_identity_and_what_is_next_to_it_changes_nothing() -> None:
    """Another id: the old user's answer must not be given."""
    world, target = World(**{"a.test": in_file("x"), "b.test": in_file("y")}), parse_uri("a.test")
    before = await world.source.locate(target, None)
    world.put({"a.test": in_file("x"), "b.test": in_file("z", number="2")})
    world.clock.suspend(1)
    assert await world.source.locate(target, None) == before
    world.put({"a.test": in_file("x", number="3"), "b.test": in_file("z", number="2")})
    world.clock.suspend(1)
    assert await world.source.locate(target, None) != before


async def test_a_secret_lies_in_the_keyring_or_is_decrypted_once() -> None:
    """By a program that is given it on standard input, with the name that it is bound to."""
    sealed = {"kept": "systemd-creds", "id": "1", "username": "u", "sealed": "c2VhbGVk"}
    world = World(**{"a.test": {"kept": "keyring", "id": "1", "username": "u"}, "b.test:1/x": sealed})
    world.keyring.put("credproxy:a.test", "in keyring", "u")
    assert await world.read("a.test") == UserPassword("u", Secret("in keyring"))
    target = parse_uri("https://b.test:1/x/y")
    identity = await world.source.locate(target, None)
    assert identity is not None
    assert await world.source.peek(identity, target) is None
    assert world.processes.runs == []
    for _ in range(2):
        assert await world.read("https://b.test:1/x/y") == UserPassword("u", Secret("opened"))
    assert await world.source.peek(identity, target) is not None
    name = "--name=credproxy-b.test_3a_1_2f_x"
    argv = ("systemd-creds", "decrypt", "--user", name, "-", "-")
    assert world.processes.runs == [Command(argv, stdin=b"c2VhbGVk", timeout=10.0)]
    world.source.forget()
    assert await world.read("https://b.test:1/x/y") is not None
    assert len(world.processes.runs) == 2


async def test_what_is_wrong_with_the_keyring_is_reported_with_the_way_out() -> None:
    """It is gone from there, locked, or there is no keyring any more."""
    world = World(**{"a.test": {"kept": "keyring", "id": "1", "username": "u"}})
    with pytest.raises(Failed) as caught:
        await world.read("a.test")
    assert caught.value.failure.message == "the login for 'a.test' has gone from the keyring"
    (key,) = filled(caught.value.failure.hint, "log in again: credproxy login {}")
    world.keyring.put(f"credproxy:{key}", CANARY, "u")
    world.keyring.locked = True
    with pytest.raises(Failed, match="the keyring is locked") as caught:
        await world.read("a.test")
    assert not filled(
        caught.value.failure.hint,
        "unlock it: log in to your desktop, or gnome-keyring-daemon --unlock; or log in with --store file",
    )
    world.keyring.absent = "there is no session bus"
    with pytest.raises(Failed, match="is not there: there is no session bus") as caught:
        await world.read("a.test")
    (key,) = filled(caught.value.failure.hint, "credproxy login {} --store file")
    world.put({key: in_file("x")})
    world.clock.suspend(1)
    assert await world.read("a.test") == UserPassword("u", Secret("x"))


async def test_what_does_not_decrypt_is_an_error() -> None:
    """As on another machine."""
    world = World(**{"a.test": {"kept": "systemd-creds", "id": "1", "sealed": "x"}})
    world.processes.programs["systemd-creds"] = lambda _: Completed(1, CANARY.encode(), "no key")
    with pytest.raises(Failed) as caught:
        await world.read("a.test")
    assert caught.value.failure.message == "systemd-creds does not decrypt the login for 'a.test': no key"


async def test_a_file_of_another_format_is_reported_and_not_quoted() -> None:
    """Nothing is known of its logins; it is moved away, as the hint says."""
    world = World()
    world.files.put(PLACE, f'{{"logins":\n"{CANARY}"}}')
    target = parse_uri("a.test")
    assert await world.source.locate(target, None) is None
    trouble = world.source.trouble(target)
    assert trouble is not None
    assert trouble.message == f"the file of logins {PLACE!r} is not what credproxy login writes"
    assert not filled(trouble.hint, "move it away, and log in again: credproxy login HOST")
    world.files.remove(PLACE)
    world.clock.suspend(1)
    assert await world.source.locate(target, None) is None
    assert world.source.trouble(target) is None
    assert world.source.looked(target) == ("credproxy login has stored none for 'a.test'",)


async def test_a_logout_between_locate_and_read() -> None:
    """It is none, and not an error."""
    world, target = World(**{"a.test": in_file("x")}), parse_uri("a.test")
    identity = await world.source.locate(target, None)
    assert identity is not None
    world.put({})
    world.clock.suspend(1)
    await world.source.locate(target, None)
    assert await world.source.read(identity, target) is None


def stored(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    entry = in_file(secret, number=str(hash(secret)))
    ground.files.put(PLACE, json.dumps({"logins": {"reg.test": entry}}))


CONTRACTS = {"login": SourceContract(LoginSource(), stored, lambda ground: stored(ground, f"{CANARY}\nx"))}
