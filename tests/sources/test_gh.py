"""gh's logins: its variables, its file, its keyring, in its order, and each for its own host."""

from collections.abc import Mapping

import pytest

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.github_urls import login_host
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.formats.gh_hosts import parse_hosts
from credproxy.core.kinds.sources.gh import GhSource
from credproxy.ports.processes import Command, Completed
from credproxy.sources.gh import Gh
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeProcesses
from tests.hints import filled


FILE = "/home/u/.config/gh/hosts.yml"
HOME = {"HOME": "/home/u"}
STORED = """
github.com:
    users:
        mona:
            oauth_token: gho_mona
        lisa:
            oauth_token: gho_lisa
    git_protocol: https
    user: mona
    oauth_token: gho_mona
ghe.corp.test:
    user: admin
    oauth_token: gho_corp
"""
KEYRING = "github.com:\n    users:\n        mona:\n    user: mona\n"


class World:
    """A home with gh's file, and gh itself."""

    def __init__(
        self, environ: Mapping[str, str] | None = None, stored: str | None = STORED, *, user: str | None = None
    ) -> None:
        self.clock, self.files, self.processes = FakeClock(), FakeFiles(), FakeProcesses()
        if stored is not None:
            self.files.put(FILE, stored)
        self.gh = Gh(
            GhSource(user),
            {**HOME, **(environ or {})},
            files=self.files,
            processes=self.processes,
            clock=self.clock,
            key=lambda: b"k",
        )

    def installed(self, status: int = 0, stdout: bytes = b"gho_keyring\n", complaint: str = "") -> None:
        """Gh is there, and says this."""

        def program(command: Command) -> Completed:
            del command
            return Completed(status, stdout, complaint)

        self.processes.programs["gh"] = program

    async def token(self, uri: str = "https://github.com/o/r", *, anew: bool = False) -> str | None:
        """What would be sent."""
        target = parse_uri(uri)
        identity = await self.gh.locate(target, None)
        login = None if identity is None else await self.gh.read(identity, target, anew=anew)
        return None if login is None else getattr(login.stored, "value").reveal()  # noqa: B009  only plain secrets here


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"GH_TOKEN": "one", "GITHUB_TOKEN": "two"}, "one"),
        ({"GH_TOKEN": "", "GITHUB_TOKEN": "two"}, "two"),
        ({"GH_ENTERPRISE_TOKEN": "three"}, "gho_mona"),
        ({}, "gho_mona"),
    ],
)
async def test_variables_take_precedence_over_the_file_in_the_order_of_gh(environ: dict[str, str], wanted: str) -> None:
    """Source: gh help environment. An empty one is as if it were not set."""
    assert await World(environ).token() == wanted


@pytest.mark.parametrize(
    ("uri", "environ", "wanted"),
    [
        (
            "https://ghe.corp.test/o/r",
            {"GH_ENTERPRISE_TOKEN": "e", "GITHUB_ENTERPRISE_TOKEN": "g", "GH_TOKEN": "t"},
            "e",
        ),
        ("https://ghe.corp.test/o/r", {"GITHUB_ENTERPRISE_TOKEN": "g", "GH_TOKEN": "t"}, "g"),
        ("https://ghe.corp.test/o/r", {"GH_TOKEN": "t"}, "gho_corp"),
        ("https://raw.ghe.corp.test/o/r/f", {}, "gho_corp"),
        ("https://evil.ghe.corp.test/o/r/f", {}, None),
        ("https://acme.ghe.com/o/r", {"GH_TOKEN": "t", "GH_ENTERPRISE_TOKEN": "e"}, None),
        ("https://acme.ghe.com/o/r", {"GH_TOKEN": "t", "GH_HOST": "acme.ghe.com"}, "t"),
        ("https://api.acme.ghe.com/o/r", {"GH_TOKEN": "t", "GH_HOST": "acme.ghe.com"}, "t"),
        ("https://other.ghe.com/o/r", {"GH_TOKEN": "t", "GH_HOST": "acme.ghe.com"}, None),
        ("https://unknown.test/o/r", {"GH_TOKEN": "t"}, None),
        ("https://github.com.evil.test/o/r", {"GH_TOKEN": "t"}, None),
        ("grpcs://github.com/x", {"GH_TOKEN": "t"}, None),
    ],
)
async def test_a_token_is_for_its_own_host(uri: str, environ: dict[str, str], wanted: str | None) -> None:
    """A token of github.com is not for other hosts, not even another tenant's: a URL may come from anywhere."""
    assert await World(environ).token(uri) == wanted


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("github.com", "github.com"),
        ("api.github.com", "github.com"),
        ("raw.githubusercontent.com", "github.com"),
        ("codeload.github.com", "github.com"),
        ("uploads.github.com", "github.com"),
        ("gist.github.com", "gist.github.com"),
        ("acme.ghe.com", "acme.ghe.com"),
        ("api.acme.ghe.com", "acme.ghe.com"),
        ("api.ghe.com", "api.ghe.com"),
        ("raw.corp.test", "corp.test"),
        ("raw.corp", "raw.corp"),
        ("rawcorp.test", "rawcorp.test"),
    ],
)
def test_the_name_that_gh_has_for_a_host(host: str, wanted: str) -> None:
    """All hosts of one GitHub share a login."""
    assert login_host(host) == wanted


async def test_one_of_several_users_is_picked_and_variables_say_nothing_of_users() -> None:
    """Never another user's: a wrong name is reported."""
    assert await World({"GH_TOKEN": "t"}, user="lisa").token() == "gho_lisa"
    assert await World(user="mona").token() == "gho_mona"
    other = World(user="bob")
    assert await other.token() is None
    assert other.gh.looked(parse_uri("github.com")) == (f"gh's file {FILE!r} has no login of 'bob' for 'github.com'",)


async def test_a_file_of_an_older_gh_is_read() -> None:
    """Before version 2.40 there are no users."""
    assert await World(stored="github.com:\n  user: u\n  oauth_token: old\n  git_protocol: ssh\n").token() == "old"


async def test_where_the_file_lies() -> None:
    """``GH_CONFIG_DIR``, else where programs keep their configuration."""
    for environ, path in (
        ({"GH_CONFIG_DIR": "/g", "XDG_CONFIG_HOME": "/x"}, "/g/hosts.yml"),
        ({"XDG_CONFIG_HOME": "/x"}, "/x/gh/hosts.yml"),
    ):
        world = World(environ, stored=None)
        world.files.put(path, STORED)
        assert await world.token() == "gho_mona"


async def test_gh_is_asked_for_what_is_in_its_keyring_and_once() -> None:
    """Only gh knows all its keyrings; without a token of the environment, which it would give back."""
    world = World({"GH_ENTERPRISE_TOKEN": "canary", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/bus"}, stored=KEYRING)
    world.installed()
    assert [await world.token() for _ in range(3)] == ["gho_keyring"] * 3
    (ran,) = world.processes.runs
    assert ran.argv == ("gh", "auth", "token", "--hostname", "github.com")
    assert dict(ran.env) == {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/bus"}


async def test_gh_is_not_started_for_a_host_that_it_has_no_login_for() -> None:
    """The build of a user who never logged in starts nothing."""
    world = World(stored=KEYRING)
    assert await world.token("https://ghe.other.test/o") is None
    assert await World(stored=None).token() is None
    assert not world.processes.runs


async def test_another_token_of_the_keyring_is_another_login() -> None:
    """A refusal upstream makes it look again, and the identity tells."""
    world = World(stored=KEYRING)
    world.installed()
    target = parse_uri("github.com")
    assert await world.token() == "gho_keyring"
    before = await world.gh.locate(target, None)
    world.installed(stdout=b"gho_next\n")
    await world.clock.advance(20)
    assert await world.token(anew=True) == "gho_next"
    assert await world.gh.locate(target, None) != before


async def test_a_file_that_gh_has_written_again_is_read() -> None:
    """Until then nothing is known about any host, and the hint says what rewrites it."""
    w = World(stored="github.com: [")
    assert await w.token() is None
    failure = w.gh.trouble(parse_uri("https://github.com/o/r"))
    assert failure is not None
    filled(failure.hint, "gh auth status shows what gh makes of it; gh auth login rewrites it")
    w.files.put(FILE, STORED)
    await w.clock.advance(60)
    assert await w.token() == "gho_mona"


async def test_a_keyring_that_has_nothing_and_one_that_is_broken() -> None:
    """The first means no login; the second is reported with the command that shows it, and quotes no secret."""
    world = World(stored=KEYRING)
    world.installed(1, b"", "no oauth token found for github.com")
    assert await world.token() is None
    broken = World(stored=KEYRING)
    broken.installed(1, b"canary", "keyring is locked")
    with pytest.raises(Failed) as caught:
        await broken.token()
    assert caught.value.failure.code is Code.HELPER_FAILED
    assert caught.value.failure.hint == "gh auth token --hostname github.com"
    assert "canary" not in str(caught.value)


async def test_a_gh_that_is_not_installed_is_an_error_where_the_keyring_has_the_token() -> None:
    """Its file says that there is a login: without it a private download would fail for no obvious reason."""
    world = World(stored=KEYRING)
    target = parse_uri("github.com")
    identity = await world.gh.locate(target, None)
    assert identity is not None
    for ask in (world.gh.read, world.gh.peek):
        with pytest.raises(Failed) as caught:
            await ask(identity, target)
        assert caught.value.failure.code is Code.HELPER_NOT_RUNNABLE


async def test_looking_starts_nothing() -> None:
    """``explain`` knows what the file has, and that gh could be asked."""
    world = World(stored=KEYRING)
    world.installed()
    target = parse_uri("github.com")
    identity = await world.gh.locate(target, None)
    assert identity is not None
    assert await world.gh.peek(identity, target) is None
    assert not world.processes.runs
    stored = World()
    identity = await stored.gh.locate(target, None)
    assert identity is not None
    assert await stored.gh.peek(identity, target) is not None


async def test_a_login_is_seen_within_a_second_and_a_logout_too() -> None:
    """Another file is another credential."""
    world = World(stored=None)
    assert await world.token() is None
    world.files.put(FILE, STORED)
    await world.clock.advance(1)
    assert await world.token() == "gho_mona"
    before = await world.gh.locate(parse_uri("github.com"), None)
    world.files.put(FILE, STORED.replace("gho_mona", "gho_new"))
    world.gh.forget()
    assert await world.token() == "gho_new"
    assert await world.gh.locate(parse_uri("github.com"), None) != before
    world.files.remove(FILE)
    await world.clock.advance(1)
    assert await world.token() is None


async def test_a_login_deleted_between_locate_and_read_gives_none() -> None:
    """Not an error, and not the old one."""
    world = World()
    target = parse_uri("github.com")
    assert await world.gh.locate(target, None) is not None
    assert await world.gh.read(Identity("gh", "gone.test"), parse_uri("gone.test")) is None


@pytest.mark.parametrize("text", ["github.com: [", "\ta: b", "a: 1\na: 2"])
async def test_a_file_that_cannot_be_read_is_named_and_the_last_good_one_counts(text: str) -> None:
    """Half a file is what a crash leaves."""
    world = World(stored=text)
    assert await world.token() is None
    trouble = world.gh.trouble(parse_uri("github.com"))
    assert trouble is not None
    assert FILE in trouble.message
    assert "cannot be read" in world.gh.looked(parse_uri("github.com"))[1]
    good = World()
    assert await good.token() == "gho_mona"
    good.files.put(FILE, text)
    await good.clock.advance(1)
    assert await good.token() == "gho_mona"
    assert good.gh.trouble(parse_uri("github.com")) is not None
    assert World({"GH_TOKEN": "t"}, stored=text).gh.trouble(parse_uri("github.com")) is None


async def test_an_invalid_token_is_refused_and_not_quoted() -> None:
    """A line break would begin another header."""
    with pytest.raises(Failed) as caught:
        await World({"GH_TOKEN": "canary\nX: y"}).token()
    assert "GH_TOKEN" in caught.value.failure.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "stored", "uri", "wanted"),
    [
        ({}, None, "github.com", ("neither 'GH_TOKEN' nor 'GITHUB_TOKEN' is set in the daemon's environment", f"gh's file {FILE!r} is not there")),
        ({}, STORED, "acme.ghe.com", (f"gh's file {FILE!r} has no login for 'acme.ghe.com'",)),
        ({"HOME": ""}, None, "acme.ghe.com", ("gh's file is not looked for: HOME is not set",)),
    ],
)  # a table  # fmt: skip
async def test_where_it_has_looked(
    environ: dict[str, str], stored: str | None, uri: str, wanted: tuple[str, ...]
) -> None:
    """``explain`` names each place."""
    world = World(environ, stored)
    assert await world.token(f"https://{uri}/x") is None
    assert world.gh.looked(parse_uri(uri)) == wanted


def test_no_token_shows_in_what_was_read() -> None:
    """A log line of the whole file is harmless."""
    assert "gho_" not in repr(parse_hosts(STORED.encode(), "f"))


def into_hosts(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.files.put(FILE, f"github.com:\n    user: mona\n    oauth_token: {secret}\n")


def garbage(ground: Ground) -> None:
    """No YAML."""
    ground.files.put(FILE, f"github.com: [{CANARY}")


CONTRACTS = {"gh": SourceContract(GhSource(), into_hosts, garbage, target=parse_uri("https://github.com/a/b"))}
