"""The login that glab would use: which host a variable's token is for, what a file holds, and what only glab can do."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.processes import SystemProcesses
from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.login import Login
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.glab import CONFIG, GlabSource
from credproxy.ports.processes import Completed
from credproxy.sources.glab import Glab
from tests.contract import CANARY, HOST, Ground, SourceContract
from tests.fakes import FakeClock, FakeFiles, FakeMetrics, FakeProcesses
from tests.hints import filled


HOME = "/home/u"
FILE = f"{HOME}/.config/glab-cli/config.yml"
GITLAB = "https://gitlab.com/api/v4/x"
CORP = "https://git.test/api/v4/x"
BELOW = "https://git.test/gitlab/api/v4/x"
OAUTH = 'hosts:\n  git.test:\n    is_oauth2: "true"\n    token: old\n    oauth2_refresh_token: canary\n    oauth2_expiry_date: '


class World:
    """A source with its fakes."""

    def __init__(self, content: str | None = None, **environ: str) -> None:
        self.files, self.processes, self.clock = FakeFiles(), FakeProcesses(), FakeClock()
        self.environ = {"HOME": HOME, **environ}
        if content is not None:
            self.files.put(FILE, content)
        self.source = Glab(
            self.environ, files=self.files, processes=self.processes, clock=self.clock, key=lambda: b"key"
        )

    async def login(self, uri: str, *, anew: bool = False) -> Login | None:
        """Locate and read."""
        target = parse_uri(uri)
        identity = await self.source.locate(target, None)
        return None if identity is None else await self.source.read(identity, target, anew=anew)

    async def stored(self, uri: str) -> Stored | None:
        """The credential alone."""
        login = await self.login(uri)
        return None if login is None else login.stored

    def glab(self, answer: str, status: int = 0, complaint: str = "") -> None:
        """Install a glab that says so."""
        self.processes.programs["glab"] = lambda _: Completed(status, answer.encode(), complaint)


def iso(moment: int) -> str:
    """A time as glab writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


@pytest.mark.parametrize(
    ("environ", "uri", "wanted"),
    [
        ({"GITLAB_TOKEN": "a", "GITLAB_ACCESS_TOKEN": "b"}, GITLAB, PlainSecret(Secret("a"))),
        ({"GITLAB_TOKEN": "", "GITLAB_ACCESS_TOKEN": "b"}, GITLAB, PlainSecret(Secret("b"))),
        ({"GITLAB_TOKEN": "a"}, CORP, None),
        ({"GITLAB_TOKEN": "a", "GITLAB_HOST": "git.test"}, CORP, PlainSecret(Secret("a"))),
        ({"GITLAB_TOKEN": "a", "GITLAB_HOST": "git.test"}, GITLAB, None),
        ({"GITLAB_TOKEN": "a", "GITLAB_URI": "https://git.test"}, CORP, PlainSecret(Secret("a"))),
        ({"GITLAB_TOKEN": "a", "GITLAB_HOST": "https://git.test/"}, CORP, PlainSecret(Secret("a"))),
        ({"GITLAB_TOKEN": "a", "GITLAB_HOST": "https://git.test/gitlab"}, CORP, None),
        ({"GITLAB_TOKEN": "a", "GITLAB_HOST": "https://git.test/gitlab"}, BELOW, PlainSecret(Secret("a"))),
        ({"GITLAB_TOKEN": "a", "GL_HOST": "git.test"}, GITLAB, None),
        ({"GITLAB_TOKEN": "a", "GITLAB_HOST": "not a host"}, GITLAB, None),
        ({"GITLAB_TOKEN": "a", "CI_SERVER_HOST": "git.test"}, CORP, PlainSecret(Secret("a"))),
        ({"GITLAB_TOKEN": "a", "CI_SERVER_HOST": "git.test"}, GITLAB, None),
        ({"OAUTH_TOKEN": "a"}, GITLAB, None),
        ({"CI_JOB_TOKEN": "j"}, GITLAB, None),
        ({"CI_JOB_TOKEN": "j", "CI_SERVER_HOST": "git.test"}, GITLAB, None),
        (
            {"CI_JOB_TOKEN": "j", "CI_SERVER_HOST": "git.test", "CI_SERVER_PORT": "443"},
            CORP,
            UserPassword("gitlab-ci-token", Secret("j")),
        ),
        (
            {"CI_JOB_TOKEN": "j", "CI_SERVER_HOST": "git.test", "CI_SERVER_PORT": "8443"},
            "https://git.test:8443/api/v4/x",
            UserPassword("gitlab-ci-token", Secret("j")),
        ),
        ({"CI_JOB_TOKEN": "j", "CI_SERVER_HOST": "git.test", "CI_SERVER_PORT": "8443"}, CORP, None),
        ({"CI_JOB_TOKEN": "j", "CI_SERVER_HOST": "git.test", "CI_SERVER_URL": "https://git.test/gitlab"}, CORP, None),
        (
            {"CI_JOB_TOKEN": "j", "CI_SERVER_HOST": "git.test", "CI_SERVER_URL": "https://git.test/gitlab"},
            BELOW,
            UserPassword("gitlab-ci-token", Secret("j")),
        ),
        ({"CI_JOB_TOKEN": "j", "GITLAB_TOKEN": "a", "CI_SERVER_HOST": "git.test"}, CORP, PlainSecret(Secret("a"))),
    ],
    ids=str,
)
async def test_a_variable_is_for_one_host(environ: dict[str, str], uri: str, wanted: Stored | None) -> None:
    """Sending a token to another host would give it away."""
    assert await World(**environ).stored(uri) == wanted


async def test_a_variable_takes_precedence_over_the_file() -> None:
    """As in glab."""
    world = World("hosts:\n  gitlab.com:\n    token: f\n", GITLAB_TOKEN="v")
    assert await world.stored(GITLAB) == PlainSecret(Secret("v"))


@pytest.mark.parametrize("name", ["GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN"])
async def test_a_variable_that_no_header_can_carry_is_an_error(name: str) -> None:
    """No other source is asked, and it is not quoted."""
    with pytest.raises(Failed) as caught:
        await World(**{name: "canary\ncanary"}).stored(GITLAB)
    assert name in caught.value.failure.message
    assert "canary" not in str(caught.value)
    assert filled(caught.value.failure.hint, "stop the daemon, export {}, and start it again") == (name,)
    assert await World(**{name: "mended"}).stored(GITLAB) == PlainSecret(Secret("mended"))


def test_bazelrc_and_doctor_know_where_a_login_may_be() -> None:
    """None of them has to exist."""
    assert list(GlabSource().uses()) == [CONFIG]
    assert CONFIG.variables == ("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN", "CI_JOB_TOKEN")
    assert CONFIG.path({"HOME": HOME}) == FILE


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"GLAB_CONFIG_DIR": "/g"}, "/g/config.yml"),
        ({"XDG_CONFIG_HOME": "/x"}, "/x/glab-cli/config.yml"),
        ({}, FILE),
    ],
)
async def test_where_the_file_is(environ: dict[str, str], path: str) -> None:
    """As glab looks for it."""
    world = World(**environ)
    world.files.put(path, "hosts:\n  gitlab.com:\n    token: t\n")
    assert await world.stored(GITLAB) == PlainSecret(Secret("t"))


async def test_a_new_login_is_seen_and_is_another_credential() -> None:
    """Within a second."""
    world = World()
    assert await world.stored(GITLAB) is None
    world.files.put(FILE, "hosts:\n  gitlab.com:\n    token: one\n")
    world.clock.suspend(1)
    first = await world.source.locate(parse_uri(GITLAB), None)
    assert await world.stored(GITLAB) == PlainSecret(Secret("one"))
    world.files.put(FILE, "hosts:\n  gitlab.com:\n    token: two\n")
    world.clock.suspend(1)
    assert await world.source.locate(parse_uri(GITLAB), None) != first
    assert await world.stored(GITLAB) == PlainSecret(Secret("two"))
    world.files.remove(FILE)
    world.source.forget()
    assert await world.stored(GITLAB) is None


async def test_a_file_that_breaks_leaves_the_last_copy_and_says_so() -> None:
    """Once in the log, and in ``explain``."""
    world = World("hosts:\n  git.test:\n    token: t\n")
    assert await world.stored(CORP) == PlainSecret(Secret("t"))
    world.files.put(FILE, "hosts: {")
    world.clock.suspend(1)
    assert await world.stored(CORP) == PlainSecret(Secret("t"))
    trouble = world.source.trouble(parse_uri(CORP))
    assert trouble is not None
    assert trouble.message.startswith(f"the configuration of glab, {FILE!r}, cannot be read: line ")
    filled(trouble.hint, "glab config edit --global")
    world.files.put(FILE, "hosts:\n  git.test:\n    token: u\n")
    world.clock.suspend(1)
    assert await world.stored(CORP) == PlainSecret(Secret("u"))
    assert world.source.trouble(parse_uri(CORP)) is None


async def test_an_oauth_token_ends_when_the_file_says() -> None:
    """And is Bearer's, by the user name that GitLab gives it. glab is not started."""
    world = World()
    end = int(world.clock.wall()) + 3600
    world.files.put(FILE, f"{OAUTH}{iso(end)}\n")
    login = await world.login(CORP)
    assert login is not None
    assert login.stored == UserPassword("oauth2", Secret("old"))
    assert login.wall_until == pytest.approx(end)
    assert login.until == pytest.approx(world.clock.boot() + 3600, abs=2)
    assert world.processes.runs == []


async def test_glab_renews_an_expired_oauth_token_once_for_all_questions() -> None:
    """A refresh token is valid once, and glab spends and stores it: one run for forty callers."""
    world = World()
    world.files.put(FILE, f"{OAUTH}{iso(int(world.clock.wall()) + 10)}\n")
    world.glab("protocol=https\nhost=git.test\nusername=oauth2\npassword=new\noauth_refresh_token=canary\n")
    logins = await asyncio.gather(*(world.login(CORP) for _ in range(40)))
    assert {login.stored.username for login in logins if login and isinstance(login.stored, UserPassword)} == {"oauth2"}
    assert all(login is not None and login.stored == UserPassword("oauth2", Secret("new")) for login in logins)
    (run,) = world.processes.runs
    assert run.argv == ("glab", "auth", "git-credential", "get")
    assert run.stdin == b"protocol=https\nhost=git.test\n\n"
    assert run.env["GLAB_CONFIG_DIR"] == f"{HOME}/.config/glab-cli"
    assert "canary" not in repr(run) + repr(logins)


@pytest.mark.parametrize(
    ("extra", "answer", "wanted"),
    [
        ("use_keyring: true", "username=you\npassword=glpat-k\n", PlainSecret(Secret("glpat-k"))),
        ("use_keyring: true", "username=gitlab-ci-token\npassword=j\n", UserPassword("gitlab-ci-token", Secret("j"))),
        (
            'use_keyring: true\n    is_oauth2: "true"',
            "username=oauth2\npassword=o\n",
            UserPassword("oauth2", Secret("o")),
        ),
        (
            'use_keyring: true\n    is_oauth2: "true"',
            f"username=oauth2\npassword=o\npassword_expiry_utc={'9' * 5000}\n",
            UserPassword("oauth2", Secret("o")),
        ),
        ("use_keyring: true", "username=you\n", None),
        ("job_token: j", "", UserPassword("gitlab-ci-token", Secret("j"))),
    ],
)
async def test_what_glab_says_of_its_keyring(extra: str, answer: str, wanted: Stored | None) -> None:
    """It is asked where the file has no token; a job's is read."""
    world = World(f"hosts:\n  git.test:\n    {extra}\n")
    world.glab(answer)
    assert await world.stored(CORP) == wanted


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("", 1, "glab gave no token for 'git.test': it ended with status 1: refused"),
        ("username=oauth2\npassword=canary\npassword_expiry_utc=9\n", 0, "has expired"),
        ("username=oauth2\npassword=ca\x01nary\n", 0, "control characters"),
    ],
)
async def test_a_renewal_that_fails_says_how_to_log_in(answer: str, status: int, said: str) -> None:
    """And shows nothing of what glab printed."""
    world = World(f"{OAUTH}2020-01-01T00:00:00Z\n")
    world.glab(answer, status, "refused")
    with pytest.raises(Failed) as caught:
        await world.login(CORP)
    assert said in caught.value.failure.message
    assert filled(caught.value.failure.hint, "glab auth login --hostname {}") == ("git.test",)
    assert "nary" not in str(caught.value)
    world.files.put(FILE, f"{OAUTH}{iso(int(world.clock.wall()) + 7200)}\n")
    world.clock.suspend(1)
    assert await world.stored(CORP) == UserPassword("oauth2", Secret("old"))


async def test_without_glab_an_expired_token_is_an_error_and_explain_sees_it() -> None:
    """It starts nothing to find out."""
    world = World(f"{OAUTH}2020-01-01T00:00:00Z\n")
    target = parse_uri(CORP)
    identity = await world.source.locate(target, None)
    assert identity is not None
    with pytest.raises(Failed) as caught:
        await world.source.peek(identity, target)
    assert caught.value.failure.code is Code.HELPER_NOT_RUNNABLE
    assert world.processes.runs == []
    world.glab("username=oauth2\npassword=new\n")
    assert await world.source.peek(identity, target) is None
    assert world.processes.runs == []
    await world.login(CORP)
    known = await world.source.peek(identity, target)
    assert known is not None
    assert known.stored == UserPassword("oauth2", Secret("new"))


async def test_a_refused_token_is_requested_again() -> None:
    """And another answer is another credential."""
    world = World("hosts:\n  git.test:\n    use_keyring: true\n")
    world.glab("username=you\npassword=one\n")
    await world.login(CORP)
    before = await world.source.locate(parse_uri(CORP), None)
    world.glab("username=you\npassword=two\n")
    login = await world.login(CORP, anew=True)
    assert login is not None
    assert login.stored == PlainSecret(Secret("two"))
    assert await world.source.locate(parse_uri(CORP), None) != before


@pytest.mark.parametrize(
    ("environ", "content", "said"),
    [
        ({}, None, ["GITLAB_ACCESS_TOKEN are not set", "CI_JOB_TOKEN is not set", f"{FILE!r}, is not there"]),
        (
            {"GITLAB_TOKEN": "canary", "CI_JOB_TOKEN": "canary"},
            "hosts:\n  a.test:\n    token: canary\n",
            [
                "the variable GITLAB_TOKEN is for 'gitlab.com'",
                "CI_SERVER_HOST names, which is not set",
                "names no host 'git.test'",
            ],
        ),
        (
            {"GITLAB_TOKEN": "canary", "CI_JOB_TOKEN": "canary", "CI_SERVER_HOST": "ci.test"},
            "hosts:\n  git.test:\n    user: you\n",
            ["GITLAB_TOKEN is for 'ci.test'", "CI_JOB_TOKEN is for 'ci.test'", "has no token for 'git.test'"],
        ),
        ({}, "hosts: {", ["are not set", "is not set", "cannot be read"]),
        ({"HOME": ""}, None, ["are not set", "is not set", "no configuration of glab is looked at"]),
    ],
    ids=str,
)
async def test_each_place_that_was_looked_at_is_reported(
    environ: dict[str, str], content: str | None, said: list[str]
) -> None:
    """For explain; a token is not shown."""
    world = World(content, **environ)
    assert await world.stored(CORP) is None
    told = world.source.looked(parse_uri(CORP))
    for sentence, part in zip(told, said, strict=True):
        assert part in sentence
        assert "canary" not in sentence


async def test_an_ip_literal_has_no_login() -> None:
    """A wildcard names no host."""
    world = World("hosts:\n  gitlab.com:\n    token: t\n")
    assert await world.source.locate(parse_uri("*.gitlab.com"), None) is None


STAND_IN = """#!/bin/sh
# glab as far as it matters: it renews with the refresh token that it has stored, and stores the next one. One that is
# spent twice revokes everything.
set -eu
[ "$*" = "auth git-credential get" ] || exit 2
[ -z "${GITLAB_TOKEN:-}" ] || exit 3
state=$GLAB_CONFIG_DIR/issuer
refresh=$(sed -n 's/.*oauth2_refresh_token: //p' "$GLAB_CONFIG_DIR/config.yml")
[ "$refresh" = "$(cat "$state")" ] || { echo 'invalid_grant' >&2; exit 1; }
next=refresh-$$
echo "$next" > "$state"
cat > "$GLAB_CONFIG_DIR/config.yml.new" <<END
hosts:
    git.test:
        is_oauth2: "true"
        token: token-$$
        oauth2_refresh_token: $next
        oauth2_expiry_date: "2090-01-01T00:00:00Z"
END
mv "$GLAB_CONFIG_DIR/config.yml.new" "$GLAB_CONFIG_DIR/config.yml"
printf 'username=oauth2\\npassword=token-%s\\noauth_refresh_token=%s\\n' $$ "$next"
"""


async def test_a_rotating_refresh_token_is_never_spent_twice(tmp_path: Path) -> None:
    """With real files and a real process, which stands in for glab and its server: one run, then the file's token."""
    folder, programs = tmp_path / "glab", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "glab").write_text(STAND_IN)
    (programs / "glab").chmod(0o700)
    (folder / "issuer").write_text("refresh-0\n")
    old = 'hosts:\n  git.test:\n    is_oauth2: "true"\n    token: old\n    oauth2_refresh_token: refresh-0\n'
    (folder / "config.yml").write_text(f"{old}    oauth2_expiry_date: 2020-01-01T00:00:00Z\n")
    environ = {"HOME": str(tmp_path), "GLAB_CONFIG_DIR": str(folder), "PATH": f"{programs}:/usr/bin:/bin"}
    clock = SystemClock()
    processes = SystemProcesses({**environ, "GITLAB_TOKEN": "other"}, clock=clock, metrics=FakeMetrics())
    source = Glab(environ, files=SystemFiles(), processes=processes, clock=clock, key=lambda: b"key")
    target = parse_uri(CORP)

    async def read() -> str:
        identity = await source.locate(target, None)
        assert identity is not None
        login = await source.read(identity, target)
        assert login is not None
        assert isinstance(login.stored, UserPassword)
        return login.stored.password.reveal()

    first = set(await asyncio.gather(*(read() for _ in range(40))))
    source.forget()
    assert first == {await read()}
    assert len(first) == 1
    assert first.pop().startswith("token-")
    processes.close()


def into_config(ground: Ground, secret: str) -> None:
    """For the checks of tests/contract.py."""
    ground.files.put(FILE, f"hosts:\n  {HOST}:\n    token: {secret}\n")


def garbage(ground: Ground) -> None:
    """No YAML."""
    ground.files.put(FILE, f"hosts: [{CANARY}")


CONTRACTS = {"glab": SourceContract(GlabSource(), into_config, garbage)}
