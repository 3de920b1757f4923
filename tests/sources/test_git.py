"""Git's own helpers: asked only where there are any, never on a terminal, and with no more than they need to know."""

import asyncio
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from credproxy.core.ask.credential import Caller, UserPassword
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.github import GithubHost
from credproxy.core.kinds.sources.git import GitSource
from credproxy.daemon.build import World as Machine, build_table
from credproxy.ports.processes import Command, Completed
from credproxy.providers.learned import Learned
from credproxy.sources.git import Git
from tests.contract import CANARY, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeProcesses, FakeSigner, FixedTerms
from tests.hints import filled


FILE = "/home/u/.gitconfig"
HOME = {"HOME": "/home/u", "GIT_CONFIG_NOSYSTEM": "1"}
NO_LOGIN = "fatal: could not read Username for 'https://x': terminal prompts disabled"
URL = "https://git.test/o/r/x"


class FakeGit:
    """Git with a configuration and helpers that know logins: by host, or by host and path."""

    def __init__(self, logins: Mapping[str, str], said: tuple[str, ...] = ("credential.helper\nstore",)) -> None:
        self.logins, self.said = dict(logins), said
        self.more = ""
        self.told: list[str] = []
        self.broken: Failed | Completed | None = None

    def __call__(self, command: Command) -> Completed | Failed:
        """Answer as git does."""
        if "config" in command.argv:
            return Completed(0 if self.said else 1, "".join(f"{one}\0" for one in self.said).encode())
        asked = dict(line.split("=", 1) for line in command.stdin.decode().split("\n") if line)
        place = f"{asked['host']}/{asked['path']}" if "path" in asked else asked["host"]
        self.told.append(place)
        if self.broken is not None:
            return self.broken
        found = next((self.logins[key] for key in (place, asked["host"]) if key in self.logins), None)
        if found is None:
            return Completed(128, b"", NO_LOGIN)
        username = asked.get("username", "me")
        return Completed(0, f"protocol=https\nusername={username}\npassword={found}\n{self.more}".encode())


class World:
    """A home with git's configuration, and git."""

    def __init__(
        self,
        git: FakeGit,
        *,
        config: str = "[credential]\n helper = store\n",
        user: str | None = None,
        optional: bool = False,
    ) -> None:
        self.clock, self.files, self.processes = FakeClock(), FakeFiles(), FakeProcesses({"git": git})
        if config:
            self.files.put(FILE, config)
        self.git = Git(
            GitSource(user),
            HOME,
            files=self.files,
            processes=self.processes,
            clock=self.clock,
            key=lambda: b"k",
            optional=optional,
        )

    async def token(self, uri: str = URL, *, anew: bool = False) -> str | None:
        """What would be sent."""
        target = parse_uri(uri)
        identity = await self.git.locate(target, None)
        login = None if identity is None else await self.git.read(identity, target, anew=anew)
        if login is None:
            return None
        assert isinstance(login.stored, UserPassword)
        return login.stored.password.reveal()


async def test_without_a_helper_git_is_not_started() -> None:
    """The files tell, and ``explain`` says so."""
    for config in ("", "[user]\n name = x\n"):
        world = World(FakeGit({"git.test": "p"}), config=config)
        assert await world.token() is None
        assert world.processes.runs == []
        assert world.git.looked(parse_uri(URL)) == ("git has no credential helper for 'git.test'",)


async def test_a_helper_for_another_host_promises_nothing() -> None:
    """The file shows whom it is for, before git is asked anything."""
    world = World(FakeGit({}), config='[credential "https://source.corp.test"]\n helper = store\n')
    assert await world.token() is None
    assert world.processes.runs == []
    assert world.git.looked(parse_uri(URL)) == ("git has no credential helper for 'git.test'",)
    assert await world.git.locate(parse_uri("https://source.corp.test/x"), None) is not None


async def test_an_included_file_without_a_helper_costs_one_run() -> None:
    """What the configuration says is asked once; a helper for another host is none for this one."""
    for said in ((), ("credential.https://other.test.helper\nstore",)):
        world = World(FakeGit({"git.test": "p"}, said), config="[include]\n path = x\n")
        assert [await world.token() for _ in range(3)] == [None] * 3
        assert [command.argv[-1] for command in world.processes.runs] == [r"^credential\."]


async def test_nobody_is_asked_anything() -> None:
    """In no repository, without a terminal, an askpass program or a window, and for ten seconds at most."""
    world = World(FakeGit({"git.test": "p"}))
    assert await world.token() == "p"
    for command in world.processes.runs:
        assert command.argv[:3] == ("git", "-C", "/")
        assert "core.askPass=" in command.argv
        assert (
            dict(command.env) | {"GIT_ASKPASS": "", "GCM_INTERACTIVE": "never", "GIT_TERMINAL_PROMPT": "0"}
            == command.env
        )
        assert command.timeout == 10
        assert not {"approve", "reject", "store", "erase"} & set(command.argv)


async def test_all_repositories_of_a_host_are_one_question_where_the_path_does_not_matter() -> None:
    """Also when they come before git has said so."""
    world = World(FakeGit({"git.test": "p"}))
    uris = [f"https://git.test/o/r{number}/x" for number in range(20)]
    assert set(await asyncio.gather(*(world.token(uri) for uri in uris))) == {"p"}
    assert len(world.processes.runs) == 2
    identities = {await world.git.locate(parse_uri(uri), None) for uri in uris}
    assert [str(one) for one in identities] == ["git:git.test"]


async def test_with_use_http_path_each_repository_has_its_own_login() -> None:
    """With ``.git`` as it is mostly cloned, else without; the owner of one never gets the login of another."""
    said = ("credential.helper\nstore", "credential.https://github.com.usehttppath\ntrue")
    git = FakeGit({"github.com/a/r.git": "one", "github.com/b/r": "two"}, said)
    world = World(git)
    assert await world.token("https://api.github.com/repos/a/r/tarball") == "one"
    assert await world.token("https://raw.githubusercontent.com/b/r/main/f") == "two"
    assert await world.token("https://github.com/c/r/archive/v1.zip") is None
    assert git.told == [f"github.com/{path}" for path in ("a/r.git", "b/r.git", "b/r", "c/r.git", "c/r")]


async def test_a_section_for_a_path_counts_without_the_path_being_sent() -> None:
    """``[credential "https://github.com/acme"]`` may name another user, so that git is asked by repository, once."""
    git = FakeGit({"github.com": "p"}, ("credential.helper\nx", "credential.https://github.com/acme.username\nbot"))
    world = World(git)
    assert await world.token("https://github.com/acme/r/archive/v1.zip") == "p"
    assert await world.token("https://github.com/o/r/archive/v1.zip") == "p"
    assert git.told == ["github.com/acme/r", "github.com/o/r"]


async def test_that_there_is_none_is_remembered_for_a_minute_and_a_new_login_is_then_seen() -> None:
    """Every download of a public host would start a program."""
    git = FakeGit({})
    world = World(git)
    assert [await world.token() for _ in range(3)] == [None] * 3
    assert git.told == ["git.test"]
    assert world.git.looked(parse_uri(URL)) == ("git's credential helpers have no login for 'git.test'",)
    git.logins["git.test"] = "new"
    await world.clock.advance(59)
    assert await world.token() is None
    await world.clock.advance(1)
    assert await world.token() == "new"


async def test_flush_and_a_changed_configuration_look_at_once() -> None:
    """A user who has just logged in need not wait."""
    git = FakeGit({})
    world = World(git)
    assert await world.token() is None
    git.logins["git.test"] = "new"
    world.git.forget()
    assert await world.token() == "new"
    git.said = ()
    world.files.put(FILE, "[credential]\n helper =\n")
    await world.clock.advance(1)
    assert await world.token() is None


async def test_a_refused_login_is_asked_for_again_and_another_one_has_another_name() -> None:
    """Once in ten seconds; git is never told that it was refused."""
    git = FakeGit({"git.test": "old"})
    world, target = World(git), parse_uri(URL)
    assert await world.token() == "old"
    before = await world.git.locate(target, None)
    git.logins["git.test"] = "new"
    assert await world.token() == "old"
    assert await world.token(anew=True) == "new"
    assert await world.git.locate(target, None) != before
    assert await world.token(anew=True) == "new"
    assert len(git.told) == 2


@pytest.mark.parametrize(("seconds", "wanted"), [(3600, "p"), (10, "p"), (0, None), (-5, None)])
async def test_a_password_ends_when_its_helper_says(seconds: int, wanted: str | None) -> None:
    """One that has ended is none, as git itself has it, and ``explain`` says that."""
    git = FakeGit({"git.test": "p"})
    world, target = World(git), parse_uri(URL)
    boot, wall = world.clock.boot(), world.clock.wall()
    git.more = f"password_expiry_utc={int(wall) + seconds}\n"
    assert await world.token() == wanted
    if wanted is None:
        assert "has expired" in world.git.looked(target)[0]
        return
    identity = await world.git.locate(target, None)
    assert identity is not None
    login = await world.git.read(identity, target)
    assert login is not None
    assert (login.until, login.wall_until) == (boot + seconds, wall + seconds)


async def test_one_of_several_users_is_picked() -> None:
    """Git passes the name on to its helpers."""
    world, target = World(FakeGit({"git.test": "p"}), user="bot"), parse_uri(URL)
    identity = await world.git.locate(target, None)
    assert identity is not None
    login = await world.git.read(identity, target)
    assert login is not None
    assert login.stored == UserPassword("bot", getattr(login.stored, "password"))  # noqa: B009  a login has one
    assert [path for path, _ in GitSource("a:b").problems()] == [("username",)]
    assert [path for path, _ in GitSource("a\nb").problems()] == [("username",)]


async def test_a_helper_that_fails_is_told_where_it_is_the_only_source() -> None:
    """With the command that shows the same; what it printed is not repeated."""
    git = FakeGit({"git.test": "p"})
    git.broken = Completed(128, CANARY.encode(), "fatal: bad config line 1")
    world = World(git)
    with pytest.raises(Failed, match="bad config line 1") as caught:
        await world.token()
    assert CANARY not in str(caught.value)
    (host,) = filled(caught.value.failure.hint, "printf 'protocol=https\\nhost=%s\\n\\n' {} | git credential fill")
    assert host == "git.test"
    git.broken = None
    assert await world.token() == "p"


async def test_an_answer_that_cannot_be_read_is_told() -> None:
    """Bytes that are not UTF-8 are not supported as a password."""
    git = FakeGit({})
    git.broken = Completed(0, b"password=\xff\n")
    with pytest.raises(Failed, match="is not UTF-8") as caught:
        await World(git).token()
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE


async def test_without_git_a_rule_is_told_to_install_it() -> None:
    """If it is the only source."""
    world = World(FakeGit({"git.test": "p"}))
    programs = world.processes.programs
    found = programs.pop("git")
    with pytest.raises(Failed) as caught:
        await world.token()
    hint = "install git where the daemon finds it (helper_path), or name another source in the [[host]]"
    assert caught.value.failure.hint == hint
    programs["git"] = found
    assert await world.token() == "p"


async def test_beside_others_a_helper_that_fails_is_passed_and_logged_once_in_a_minute() -> None:
    """A public download must not fail, nor wait ten seconds each time, because of a helper that wants a window."""
    git = FakeGit({})
    git.broken = failed(Code.HELPER_FAILED, "no answer within 10 s", hint="run it by hand")
    world = World(git, optional=True)
    with capture_logs() as logs:
        assert [await world.token() for _ in range(3)] == [None] * 3
    assert [(one["event"], one["reason"]) for one in logs] == [("git cannot be asked", "no answer within 10 s")]
    assert "cannot be asked: no answer within 10 s" in world.git.looked(parse_uri(URL))[0]
    gone = World(git, optional=True)
    gone.processes.programs.clear()
    with capture_logs() as logs:
        assert await gone.token() is None
    assert len(logs) == 1


async def test_what_is_not_asked_over_https_has_no_login() -> None:
    """Targets of gRPC are not git hosts."""
    assert await World(FakeGit({"git.test": "p"})).token("grpcs://git.test/x") is None


async def test_explain_starts_no_helper() -> None:
    """It says what is known, and looks whether git is there."""
    world, target = World(FakeGit({"git.test": "p"})), parse_uri(URL)
    identity = await world.git.locate(target, None)
    assert identity is not None
    assert await world.git.peek(identity, target) is None
    assert world.processes.runs == []
    await world.token()
    assert await world.git.peek(identity, target) is not None


def machine(git: FakeGit) -> Machine:
    """A daemon's world, in which git has a helper."""
    files = FakeFiles()
    files.put(FILE, "[credential]\n helper = store\n")
    return Machine(
        environ=HOME,
        uid=1000,
        clock=FakeClock(),
        http=FakeHttp(),
        processes=FakeProcesses({"git": git}),
        files=files,
        signer=FakeSigner(),
        learned=Learned(b"k"),
    )


async def test_github_without_a_rule_gets_the_login_of_git() -> None:
    """As the last source: without any configuration or gh."""
    world = machine(FakeGit({"github.com": "ghp_canary"}))
    asked = Question(parse_uri("https://raw.githubusercontent.com/o/r/main/f"), Caller())
    plan = (await build_table(Settings(), world).plan(asked)).plan
    assert plan is not None
    assert (await plan.run(FixedTerms())).headers
    assert "canary" not in f"{plan} {plan.key} {plan.detail}"


async def test_github_without_a_rule_gets_nothing_where_git_has_none_and_that_is_no_error() -> None:
    """It was a guess; from the next question on it is known, and netrc is used."""
    world = machine(FakeGit({}))
    table, asked = (
        build_table(Settings(), world),
        Question(parse_uri("https://github.com/o/r/archive/v1.zip"), Caller()),
    )
    plan = (await table.plan(asked)).plan
    assert plan is not None
    assert plan.guess == "git's credential helpers have to be asked whether they have a login for 'github.com/o/r'"
    grant = await plan.run(FixedTerms())
    assert (grant.headers, grant.note) == ((), "there is no token")
    assert (await table.plan(asked)).plan is None
    assert "git's credential helpers have no login for 'github.com'" in " ".join(table.why_nothing(asked))


async def test_a_rule_for_which_git_has_no_login_is_told_what_makes_one() -> None:
    """It is a written rule, so it is an error."""
    git = FakeGit({})
    world = machine(git)
    assert isinstance(world.clock, FakeClock)
    rules = (BasicHost("git.test", credentials=GitSource()), GithubHost("ghe.test"))
    table = build_table(Settings(host=rules), world)
    asked = Question(parse_uri(URL), Caller())
    plan = (await table.plan(asked)).plan
    assert plan is not None
    with pytest.raises(Failed, match=r"git's credential helpers have no login for 'git.test'") as caught:
        await plan.run(FixedTerms())
    assert filled(
        caught.value.failure.hint, "add it there, or name another place in its [[host]]: {} = { source = ... }"
    )
    git.logins["git.test"] = "p"
    await world.clock.advance(60)
    plan = (await table.plan(asked)).plan
    assert plan is not None
    assert (await plan.run(FixedTerms())).headers


def into_git(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.files.put(FILE, "[credential]\n helper = store\n")
    ground.processes.programs["git"] = FakeGit({"reg.test": secret})


def garbage(ground: Ground) -> None:
    """A helper that fails, and prints a secret."""
    into_git(ground, CANARY)
    git = FakeGit({})
    git.broken = Completed(1, CANARY.encode())
    ground.processes.programs["git"] = git


CONTRACTS = {"git": SourceContract(GitSource(), into_git, garbage)}
