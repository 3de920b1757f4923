"""The table of exit statuses in the reference: each row is tried, and no status is missing."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import CREDPROXY, HELPER, Stage, stage


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
ROWS = set(
    re.findall(r"^\| `([^`]+)` \| (\d+) \|", PAGE.partition("## Exit status")[2].partition("\n## ")[0], re.MULTILINE)
)

DOCKER = HELPER.with_name("docker-credential-credproxy")
RULE = (
    '[[host]]\nmatch = "files.example"\nprovider = "basic"\n'
    'credentials = { source = "env", name = "PASSWORD", username = "me" }\n'
    '[[host]]\nmatch = "broken.example"\nprovider = "exec"\ncommand = ["/nowhere/program"]\n'
)


@pytest.fixture(scope="module")
def served() -> Iterator[Stage]:
    """A daemon with a login, a rule that fails, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="credproxy-") as name, stage(Path(name)) as staged:
        (staged.home / "bad.toml").write_text("nonsense = true\n")
        (staged.home / "docker").mkdir()
        (staged.home / "docker" / "config.json").write_text('{"auths": {"files.example": {"auth": "bWU6eA=="}}}')
        staged.configure(RULE)
        staged.environ["DOCKER_CONFIG"] = str(staged.home / "docker")
        staged.start(PASSWORD="canary-pass")
        yield staged


def status(served: Stage, *argv: str | Path, stdin: str = "", **environ: str) -> int:
    """Run it and give its status."""
    words = [str(word).replace("BAD", str(served.home / "bad.toml")) for word in argv]
    return subprocess.run(
        words, input=stdin, env=served.environ | environ, capture_output=True, text=True, check=False, timeout=20
    ).returncode


CASES: list[tuple[str, int, tuple[str | Path, ...], str, dict[str, str]]] = [
    ("credproxy-helper", 0, (HELPER, "get", "--uri", "https://files.example/"), "", {}),
    ("credproxy-helper", 0, (HELPER, "get", "--uri", "https://nobody.example/"), "", {}),
    ("credproxy-helper", 0, (HELPER, "--version"), "", {}),
    ("credproxy-helper", 1, (HELPER, "get", "--uri", "https://broken.example/"), "", {}),
    ("credproxy-helper", 1, (HELPER, "put"), "", {}),
    ("credproxy-helper", 1, (HELPER, "get", "--uri", "https://files.example/"), "", {"CREDPROXY_SOCKET": "/nowhere/x"}),
    ("docker-credential-credproxy", 0, (DOCKER, "get"), "files.example", {}),
    ("docker-credential-credproxy", 1, (DOCKER, "get"), "nobody.example", {}),
    ("docker-credential-credproxy", 1, (DOCKER, "put"), "", {}),
    ("credproxy", 0, (CREDPROXY, "get", "https://nobody.example/"), "", {}),
    ("credproxy", 0, (CREDPROXY, "status"), "", {}),
    ("credproxy", 0, (CREDPROXY, "config", "check"), "", {}),
    ("credproxy", 0, (CREDPROXY, "stop"), "", {"CREDPROXY_SOCKET": "/nowhere/x.sock"}),
    ("credproxy", 1, (CREDPROXY, "status"), "", {"CREDPROXY_SOCKET": "/nowhere/x.sock"}),
    ("credproxy", 1, (CREDPROXY, "restart"), "", {"CREDPROXY_SOCKET": "/nowhere/x.sock"}),
    ("credproxy", 1, (CREDPROXY, "get", "https://broken.example/"), "", {}),
    ("credproxy", 1, (CREDPROXY, "get", "--require", "https://broken.example/"), "", {}),
    ("credproxy", 1, (CREDPROXY, "config", "check", "BAD"), "", {}),
    ("credproxy", 1, (CREDPROXY, "actions", "check", "BAD"), "", {}),
    ("credproxy", 1, (CREDPROXY, "doctor"), "", {"CREDPROXY_SOCKET": "/nowhere/x.sock"}),
    ("credproxy", 2, (CREDPROXY, "get"), "", {}),
    ("credproxy", 2, (CREDPROXY, "nonsense"), "", {}),
    ("credproxy", 2, (CREDPROXY, "stop", "--nonsense"), "", {}),
    ("credproxy", 0, (CREDPROXY, "get", "--require", "https://files.example/"), "", {}),
    ("credproxy get --require", 3, (CREDPROXY, "get", "--require", "https://nobody.example/"), "", {}),
    ("credproxy serve", 0, (CREDPROXY, "serve"), "", {}),
    ("credproxy serve", 1, (CREDPROXY, "serve"), "", {"CREDPROXY_SOCKET": "relative"}),
    ("credproxy serve", 64, (CREDPROXY, "serve"), "", {"AIOHTTP_NO_EXTENSIONS": "1"}),
]


@pytest.mark.parametrize(
    ("program", "expected", "argv", "stdin", "environ"),
    CASES,
    ids=[f"{program} {expected} {n}" for n, (program, expected, *_) in enumerate(CASES)],
)
def test_a_row_of_the_table_is_true(
    served: Stage, program: str, expected: int, argv: tuple[str | Path, ...], stdin: str, environ: dict[str, str]
) -> None:
    """As a script would see it."""
    assert (program, str(expected)) in ROWS
    assert status(served, *argv, stdin=stdin, **environ) == expected


def test_a_daemon_that_says_that_something_is_wrong_has_a_status_of_its_own(served: Stage) -> None:
    """Until it is corrected; what was in force stays, so that the other rows are as true as before."""
    served.configure("nonsense = true\n")
    assert status(served, CREDPROXY, "reload") == 1
    assert [status(served, CREDPROXY, "status", *more) for more in ((), ("--json",))] == [4, 4]
    served.configure(RULE)
    assert status(served, CREDPROXY, "reload") == 0
    assert status(served, CREDPROXY, "status") == 0


def test_every_row_of_the_table_is_tried() -> None:
    """A row without a case would be a claim."""
    assert {(program, str(expected)) for program, expected, *_ in CASES} | {("credproxy status", "4")} == ROWS
