"""Where the real programs are, and how to run one without the person's own environment."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[2]

# crane and regctl come from tools/install-counterparts, uv beside this Python, servers are in sbin on Debian
PLACES = os.pathsep.join(
    (
        str(ROOT / ".counterparts/bin"),
        str(Path(sys.executable).parent),
        os.environ.get("PATH", os.defpath),
        "/usr/sbin",
        "/sbin",
    )
)


def find(name: str) -> Path:
    """The program `name`: without it the test skips on a person's machine and fails in CI."""
    found = shutil.which(name, path=PLACES)
    if found:
        return Path(found)
    reason = f"{name} is missing: install with tools/install-counterparts"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass(frozen=True)
class Ran:
    """How a program ended, and its output."""

    code: int
    out: str
    err: str


def run(argv: Sequence[str | Path], *, env: Mapping[str, str], stdin: str = "", timeout: float = 30) -> Ran:
    """Run a program to its end with exactly `env` (clean_environment makes one) and `stdin` for its input."""
    done = subprocess.run(  # noqa: PLW1510 - the caller judges the exit code
        [str(part) for part in argv],
        env=dict(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def clean_environment(home: Path, trust: Path) -> dict[str, str]:
    """An environment with nothing of the person's: an empty home, and TLS that trusts the bundle `trust` alone.

    SSL_CERT_FILE speaks to Go programs, uv and skopeo, CURL_CA_BUNDLE to curl; DOCKER_CONFIG is `home/.docker`.
    """
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "DOCKER_CONFIG": str(home / ".docker"),
        "SSL_CERT_FILE": str(trust),
        "CURL_CA_BUNDLE": str(trust),
    }


def docker_config(environment: Mapping[str, str], config: Mapping[str, object]) -> Path:
    """Write `config` as the docker configuration of `environment`; skopeo 1.9 needs the path as `--authfile`."""
    path = Path(environment["DOCKER_CONFIG"]) / "config.json"
    path.write_text(json.dumps(config))
    return path


def docker_auths(authority: str, authorization: str) -> dict[str, object]:
    """A docker configuration that holds a Basic login for one registry."""
    return {"auths": {authority: {"auth": authorization.removeprefix("Basic ")}}}
