"""gh as a program: a stand-in that follows its documentation, and the real one if it is installed."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.processes import SystemProcesses
from credproxy.core.ask.credential import PlainSecret, Secret, Stored
from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds.sources.gh import GhSource
from credproxy.sources.gh import Gh
from tests.fakes import FakeMetrics


STAND_IN: Final = """#!/bin/sh
test "$*" = "auth token --hostname github.com" || exit 9
test -z "$GH_TOKEN$GITHUB_TOKEN" || { echo canary; exit; }
test -f "$GH_CONFIG_DIR/keyring" && exec cat "$GH_CONFIG_DIR/keyring"
echo "no oauth token" >&2
exit 1
"""
"""Source: gh help environment, gh auth token --help; what it says is that of gh 2.23."""


async def stored(config: Path, path: str) -> Stored | None:
    """What is sent for github.com."""
    environ = {"HOME": str(config), "PATH": path, "GH_CONFIG_DIR": str(config), "GH_ENTERPRISE_TOKEN": "canary"}
    clock, files, target = SystemClock(), SystemFiles(), parse_uri("github.com")
    processes = SystemProcesses(environ, clock=clock, metrics=FakeMetrics())
    try:
        gh = Gh(GhSource(), environ, files=files, processes=processes, clock=clock, key=lambda: b"k")
        identity = await gh.locate(target, None)
        login = None if identity is None else await gh.read(identity, target)
        return None if login is None else login.stored
    finally:
        files.close()


@pytest.fixture
def stand_in(tmp_path: Path) -> str:
    """A PATH that begins with it."""
    folder = tmp_path / "bin"
    folder.mkdir(mode=0o700)
    program = folder / "gh"
    program.write_text(STAND_IN)
    program.chmod(0o700)
    return f"{folder}:{os.defpath}"


async def test_the_token_comes_from_the_keyring_that_gh_reads(tmp_path: Path, stand_in: str) -> None:
    """As gh finds its own files, and without a token of the environment, which it would give back."""
    (tmp_path / "hosts.yml").write_text("github.com:\n    user: mona\n")
    (tmp_path / "keyring").write_text("gho_keyring\n")
    assert await stored(tmp_path, stand_in) == PlainSecret(Secret("gho_keyring"))


async def test_a_keyring_without_a_token_gives_no_login(tmp_path: Path, stand_in: str) -> None:
    """What gh complains of is known again, although its arguments are masked in it."""
    (tmp_path / "hosts.yml").write_text("github.com:\n    user: mona\n")
    assert await stored(tmp_path, stand_in) is None


@pytest.mark.real
@pytest.mark.timeout(60)
@pytest.mark.skipif(shutil.which("gh") is None, reason="gh is not installed")
async def test_the_real_gh_has_no_token_and_says_so(tmp_path: Path) -> None:
    """The words that the stand-in says are its own."""
    (tmp_path / "hosts.yml").write_text("github.com:\n    user: mona\n")
    assert await stored(tmp_path, os.environ["PATH"]) is None
