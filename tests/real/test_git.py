"""The real git, with its helper ``store`` and one that is a program, in a separate home: what it knows, and which helper it asks."""

import asyncio
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.processes import SystemProcesses
from credproxy.core.ask.credential import Secret, UserPassword
from credproxy.core.ask.login import Login
from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds.sources.git import GitSource
from credproxy.sources.git import Git
from tests.e2e.stage import stage
from tests.fakes import FakeMetrics
from tests.real.clients import PLACES, find


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

STORE = "[credential]\n\thelper = store\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without a configuration; git has to be there."""
    find("git")
    return tmp_path


def environ(home: Path, **more: str) -> dict[str, str]:
    """Of a daemon in that home; the machine's own configuration is left out."""
    return {"HOME": str(home), "PATH": PLACES, "GIT_CONFIG_NOSYSTEM": "1", **more}


async def logins(home: Path, *uris: str, user: str | None = None, **more: str) -> list[UserPassword | str]:
    """What is given for each URI, all asked at once; else what ``explain`` says."""
    around, files, clock = environ(home, **more), SystemFiles(), SystemClock()
    processes = SystemProcesses(around, clock=clock, metrics=FakeMetrics())
    git = Git(GitSource(user), around, files=files, processes=processes, clock=clock, key=lambda: b"k")

    async def ask(uri: str) -> UserPassword | str:
        target = parse_uri(uri)
        identity = await git.locate(target, None)
        login: Login | None = None if identity is None else await git.read(identity, target)
        if login is None:
            return git.looked(target)[0]
        assert isinstance(login.stored, UserPassword)
        return login.stored

    try:
        return list(await asyncio.gather(*(ask(uri) for uri in uris)))
    finally:
        files.close()
        processes.close()


def login(user: str, password: str) -> UserPassword:
    """What ``store`` has."""
    return UserPassword(user, Secret(password))


def write(path: Path, text: str) -> None:
    """For the owner alone."""
    path.write_text(text)
    path.chmod(0o600)


async def test_the_store_answers_for_all_hosts_of_github_and_is_not_touched(home: Path) -> None:
    """Nothing is stored, erased or asked; a host that it does not know has no login."""
    write(home / ".gitconfig", STORE)
    write(home / ".git-credentials", "https://me:canary-pass@github.com\n")
    uris = ("https://github.com/o/r/archive/v1.zip", "https://api.github.com/repos/o/r", "https://other.test/x")
    none = "git's credential helpers have no login for 'other.test'"
    assert await logins(home, *uris) == [login("me", "canary-pass"), login("me", "canary-pass"), none]
    assert (home / ".git-credentials").read_text() == "https://me:canary-pass@github.com\n"


async def test_an_askpass_program_is_never_started(home: Path) -> None:
    """Neither the one of the environment nor the one of the configuration: it would open a window."""
    trap = home / "askpass"
    trap.write_text(f"#!/bin/sh\ntouch {home}/asked\necho canary\n")
    trap.chmod(0o700)
    write(home / ".gitconfig", f"{STORE}[core]\n\taskPass = {trap}\n")
    found = await logins(home, "https://git.test/x", GIT_ASKPASS=str(trap), SSH_ASKPASS=str(trap), DISPLAY=":9")
    assert found == ["git's credential helpers have no login for 'git.test'"]
    assert not (home / "asked").exists()


async def test_two_organisations_with_use_http_path(home: Path) -> None:
    """As they were stored when each was cloned: with ``.git``, and without."""
    write(home / ".gitconfig", f'{STORE}[credential "https://github.com"]\n\tuseHttpPath = true\n')
    stored = ["https://a:one@github.com/acme/r.git", "https://b:two@github.com/other/r", "https://c:three@github.com"]
    write(home / ".git-credentials", "\n".join(stored) + "\n")
    uris = [f"https://github.com/{name}/archive/v1.zip" for name in ("acme/r", "other/r")]
    assert await logins(home, *uris) == [login("a", "one"), login("b", "two")]


async def test_a_user_by_section_and_a_user_by_option(home: Path) -> None:
    """Git itself knows which section counts for a path, without sending it."""
    write(home / ".gitconfig", f'{STORE}[credential "https://github.com/acme"]\n\tusername = bot\n')
    write(home / ".git-credentials", "https://me:one@github.com\nhttps://bot:two@github.com\n")
    uris = [f"https://github.com/{name}/archive/v1.zip" for name in ("acme/r", "other/r")]
    assert await logins(home, *uris) == [login("bot", "two"), login("me", "one")]
    assert await logins(home, uris[1], user="bot") == [login("bot", "two")]


async def test_a_helper_in_an_included_file_is_found_and_one_of_a_repository_is_not_run(home: Path) -> None:
    """The daemon may have been started in another user's repository."""
    trap = home / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {home}/run\necho password=canary\n")
    trap.chmod(0o700)
    write(home / ".gitconfig", "[include]\n\tpath = more\n")
    write(home / "more", '[credential]\n\thelper = "!f() { echo username=u; echo password=p; }; f"\n')
    (home / ".git").mkdir()
    write(home / ".git" / "config", f"[core]\n\trepositoryformatversion = 0\n[credential]\n\thelper = {trap}\n")
    assert await logins(home, "https://git.test/x") == [login("u", "p")]
    assert not (home / "run").exists()


async def test_without_a_helper_git_is_not_started(home: Path) -> None:
    """A PATH on which there is none does not matter then."""
    write(home / ".gitconfig", "[user]\n\tname = me\n")
    assert await logins(home, "https://git.test/x", PATH="/nowhere") == ["git has no credential helper for 'git.test'"]


def test_github_and_gitlab_are_answered_without_a_line_of_configuration(short_path: Path) -> None:
    """By the helper, from what git has stored; the log has no secret."""
    find("git")
    with stage(short_path) as staged:
        write(staged.home / ".gitconfig", STORE)
        write(
            staged.home / ".git-credentials", "https://m:canary-gh@github.com\nhttps://oauth2:glpat-canary@gitlab.com\n"
        )
        staged.start(GIT_CONFIG_NOSYSTEM="1")
        assert staged.headers("https://api.github.com/repos/o/r/tarball") == {"Authorization": ["Bearer canary-gh"]}
        assert staged.headers("https://gitlab.com/api/v4/projects/1") == {"PRIVATE-TOKEN": ["glpat-canary"]}
        assert staged.headers("https://gist.github.com/x") == {}
        assert "git:github.com" in staged.credproxy("explain", "https://api.github.com/repos/o/r").stdout
        assert "canary" not in staged.log()
