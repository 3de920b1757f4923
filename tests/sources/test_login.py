"""What ``credproxy login`` has stored, as the daemon reads it."""

import json
from collections.abc import Callable, Mapping

import pytest

from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword, secret_of
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.ports.processes import Command, Completed
from credproxy.sources.login import FromLogin
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeKeyring, FakeProcesses
from tests.hints import filled


PLACE = "/home/u/.local/state/credproxy/logins.json"
APART = "/home/u/.local/state/credproxy/logins.d"


class World:
    """A home with a file of logins."""

    def __init__(self, **logins: Mapping[str, object]) -> None:
        self.files, self.keyring, self.clock = FakeFiles(), FakeKeyring(), FakeClock()
        self.processes = FakeProcesses({"systemd-creds": lambda _: Completed(0, b"opened")})
        self.put(logins)
        self.source = FromLogin(
            PLACE, files=self.files, keyring=self.keyring, processes=self.processes, clock=self.clock, uid=1000
        )

    def put(self, logins: Mapping[str, Mapping[str, object]]) -> None:
        """Rewrite it."""
        self.files.put(PLACE, json.dumps({"logins": logins}))

    async def read(self, uri: str, repository: str | None = None) -> Stored | None:
        """Locate and read."""
        target = parse_uri(uri)
        identity = await self.source.locate(target, repository)
        login = None if identity is None else await self.source.read(identity, target)
        return None if login is None else login.stored


def in_file(secret: str, username: str = "u", number: str = "1") -> dict[str, object]:
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


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://github.com/acme/r/archive/v1.zip", "acme"),
        ("https://github.com/Acme/r/archive/v1.zip", "acme"),
        ("https://api.github.com/repos/acme/r/releases/assets/1", "acme"),
        ("https://api.github.com/orgs/ACME/packages", "acme"),
        ("https://raw.githubusercontent.com/acme/r/main/f", "acme"),
        ("https://codeload.github.com/acme/r/zip/v1", "acme"),
        ("https://github.com/acme/r/releases/download/cli%2Fv1/a", "acme"),
        ("https://github.com/%61cme/r/archive/v1.zip", "acme"),
        ("https://api.github.com/repos/acme2/r", "github"),
        ("https://api.github.com/repos/o/acme", "github"),
        ("https://api.github.com/user", "github"),
        ("https://gitlab.com/api/v4/projects/group%2Fp/packages/x", "group"),
        ("https://gitlab.com/api/v4/groups/group%2Fsub/-/packages/npm/x", "group"),
        ("https://api.github.com/users/acme/packages", "acme"),
        ("https://gitlab.com/Group/p/-/archive/v1/p.zip", "group"),
        ("https://gitlab.com/api/v4/projects/1/packages/x", None),
        ("https://huggingface.co/team/m/resolve/main/f", "team"),
        ("https://hf.co/datasets/team/d/resolve/main/f", "team"),
        ("https://huggingface.co/api/resolve-cache/models/team/m/0/f", "team"),
        ("https://huggingface.co/other/team/resolve/main/f", None),
        ("https://reg.test/team/x", "reg"),
        ("https://reg.test/te%61m/x", "reg"),
        ("https://reg.test/Team/x", None),
        ("https://github.com/acme/../o/r", None),
        ("https://api.github.com/repos/acme/%2e%2e/o/r", None),
        ("https://huggingface.co/datasets/team/..%2Fother/d", None),
        ("https://gitlab.com/api/v4/projects/group%2F..%2Fother/x", None),
        ("https://reg.test/team/..;x/y", None),
        ("https://reg.test/team/../x", None),
        ("https://reg.test/x/%2e%2e/team", None),
        ("https://reg.test/x/..%2Fteam", None),
    ],
)
async def test_a_login_for_an_owner_is_found_wherever_the_owners_things_are(uri: str, wanted: str | None) -> None:
    """A rule for the owner answers there as well, and must not send everybody else's login."""
    keys = {
        "github.com": "github",
        "github.com/acme": "acme",
        "gitlab.com/group": "group",
        "huggingface.co/team": "team",
        "reg.test/team": "reg",
    }
    world = World(**{key: in_file(secret, "", str(number)) for number, (key, secret) in enumerate(keys.items(), 1)})
    found = await world.read(uri)
    assert (None if found is None else secret_of(found).reveal()) == wanted


async def test_one_login_serves_several_hosts_where_its_rule_says_so() -> None:
    """It is that of the host that is named, whatever is asked about; nobody's else."""
    world = World(**LOGINS)
    for key, wanted in (("reg.test/team", "team"), ("reg.test", "all"), ("x.test", None)):
        source = FromLogin(
            PLACE, key, files=world.files, keyring=world.keyring, processes=world.processes, clock=world.clock, uid=1000
        )
        for uri in ("https://a.cache.test/x", "https://api.corp.test/x"):
            target = parse_uri(uri)
            identity = await source.locate(target, None)
            login = None if identity is None else await source.read(identity, target)
            assert (None if login is None else secret_of(login.stored).reveal()) == wanted
        assert source.looked(parse_uri("a.test")) == (f"credproxy login has stored none for {key!r}",)


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
    """There is no login, and no error."""
    world, target = World(**{"a.test": in_file("x")}), parse_uri("a.test")
    identity = await world.source.locate(target, None)
    assert identity is not None
    world.put({})
    world.clock.suspend(1)
    await world.source.locate(target, None)
    assert await world.source.read(identity, target) is None


def rotating(kept: str, number: str = "1") -> dict[str, object]:
    """An entry whose secret is kept apart."""
    return {"kept": kept, "id": number, "rotates": True}


class Rotating(World):
    """A home with one refresh token, ``old``."""

    def __init__(self, kept: str) -> None:
        super().__init__()
        self.kept = kept
        self.target = parse_uri("https://a.test/x")
        self.processes.programs["systemd-creds"] = self.creds
        self.log_in("1", "old")

    def creds(self, command: Command) -> Completed:
        """Encrypt and decrypt by a word in front."""
        given = command.stdin
        if command.argv[1] == "encrypt":
            return Completed(0, b"sealed " + given)
        return Completed(0, given.removeprefix(b"sealed "))

    def log_in(self, number: str, secret: str) -> None:
        """As the command stores it."""
        if self.kept == "keyring":
            self.keyring.put("credproxy:a.test", secret)
        else:
            self.files.put(f"{APART}/{number}", f"sealed {secret}" if self.kept == "systemd-creds" else f"{secret}\n")
        self.files.put(PLACE, json.dumps({"logins": {"a.test": rotating(self.kept, number)}}))

    async def turn(self, *, sent: bool = True, secret: str = "new", during: Callable[[], None] = lambda: None) -> bool:
        """Renew; tell whether it was in doubt."""
        identity = await self.source.locate(self.target, None)
        assert identity is not None
        async with self.source.turn(identity, self.target, until=self.clock.boot()) as turn:
            assert turn.login is not None
            if sent:
                await turn.sent()
            during()
            if secret:
                await turn.store(Secret(secret))
            return turn.doubtful

    async def token(self) -> str:
        """What is stored."""
        self.source.forget()
        found = await self.read("https://a.test/x")
        assert isinstance(found, IdentityToken)
        return found.token.reveal()


STORES = ["file", "keyring", "systemd-creds"]


@pytest.mark.parametrize("kept", STORES)
async def test_a_secret_that_changes_by_being_used_is_replaced_and_stays_the_same_login(kept: str) -> None:
    """Else each renewal would cause an exchange; another daemon has the new one, and nothing is left in the file of logins."""
    world = Rotating(kept)
    before = await world.source.locate(world.target, None)
    content = world.files.content[PLACE]
    for secret in ("second", "third"):
        assert await world.turn(secret=secret) is False
        assert await world.token() == secret
    assert await world.source.locate(world.target, None) == before
    assert world.files.content[PLACE] == content
    assert world.files.held == set()


async def test_a_turn_reads_what_is_stored_whatever_a_keyring_remembers() -> None:
    """Another process may have renewed it a moment ago, and the old one would cost the login."""
    world = Rotating("keyring")
    await world.token()
    assert world.keyring.anew == 0
    await world.turn()
    assert world.keyring.anew == 1


@pytest.mark.parametrize("kept", STORES)
async def test_who_ends_before_the_answer_leaves_word(kept: str) -> None:
    """The next one knows that the token may be spent; a new login is in no doubt."""
    world = Rotating(kept)
    assert await world.turn(secret="") is False
    assert await world.turn(sent=False, secret="") is True
    world.log_in("2", "another")
    assert await world.turn() is False


@pytest.mark.parametrize("kept", STORES)
async def test_who_logs_in_while_another_renews_is_not_overwritten(kept: str) -> None:
    """And who logs out stays logged out."""
    world = Rotating(kept)
    await world.turn(during=lambda: world.log_in("2", "of somebody else"))
    assert await world.token() == "of somebody else"
    await world.turn(secret="late", during=lambda: world.put({}))
    assert "late" not in str(world.files.content) + str([s.reveal() for _, s in world.keyring.secrets.values()])


@pytest.mark.parametrize("kept", STORES)
async def test_nothing_is_sent_where_nothing_could_be_stored(kept: str) -> None:
    """It fails before the turn begins."""
    world = Rotating(kept)
    world.keyring.closed = True
    world.files.broken[f"{APART}/.1.new"] = failed(Code.CREDENTIAL_UNREADABLE, "there is no space", hint="df")
    with pytest.raises(Failed):
        await world.turn(during=lambda: pytest.fail("it was sent"))
    assert world.files.held == set()


async def test_a_program_that_no_longer_encrypts_is_found_before_anything_is_sent() -> None:
    """It still decrypts."""
    world = Rotating("systemd-creds")
    world.processes.programs["systemd-creds"] = lambda command: (
        Completed(1, b"", "no key") if command.argv[1] == "encrypt" else world.creds(command)
    )
    with pytest.raises(Failed) as caught:
        await world.turn(during=lambda: pytest.fail("it was sent"))
    assert caught.value.failure.message == "systemd-creds does not encrypt the login for 'a.test': no key"


async def test_a_keyring_that_is_locked_midway_is_told() -> None:
    """The old secret is there, and the next one knows that it may be spent."""
    world = Rotating("keyring")
    with pytest.raises(Failed):
        await world.turn(during=lambda: setattr(world.keyring, "closed", True))
    world.keyring.closed = False
    assert await world.token() == "old"
    assert await world.turn(sent=False, secret="") is True


async def test_what_is_not_there_or_was_stored_for_another_rule_is_told() -> None:
    """With the command that helps."""
    world = Rotating("file")
    identity = await world.source.locate(world.target, None)
    assert identity is not None
    cases: list[tuple[dict[str, dict[str, object]], str]] = [
        ({"a.test": in_file("a password")}, "was stored for a rule of another kind"),
        ({"a.test": rotating("file", "7")}, f"has gone: '{APART}/7' is not there"),
        ({}, "is not stored any more"),
    ]
    for logins, said in cases:
        world.put(logins)
        with pytest.raises(Failed) as caught:
            async with world.source.turn(identity, world.target, until=0):
                pytest.fail("there is nothing to renew")
        assert caught.value.failure.message == f"the login for 'a.test' {said}"
        (key,) = filled(caught.value.failure.hint, "log in again: credproxy login {}")
        assert key == "a.test"
    world.log_in("8", "new")
    assert await world.token() == "new"


def stored(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    entry = in_file(secret, number=str(hash(secret)))
    ground.files.put(PLACE, json.dumps({"logins": {"reg.test": entry}}))


CONTRACTS = {"login": SourceContract(LoginSource(), stored, lambda ground: stored(ground, f"{CANARY}\nx"))}
