"""What ``kill -9`` leaves of logins, wherever ``login_store`` puts them; refresh tokens that rotate, and many processes at once."""

import base64
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.login_places import LoginsFile
from credproxy.adapters.replaced_file import exclusively
from credproxy.adapters.writable_keyring import writable_keyring
from credproxy.core.ask.credential import Secret
from credproxy.core.formats.login_file import SecretKept
from credproxy.core.kinds.sources.login import LoginSource
from tests.real.clients import ROOT
from tests.real.oidc import OidcServer
from tests.real.renewals import renewing
from tests.real.secret_service import Session, session
from tests.real.storing import place_of


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

HOST = "cache.test"


@pytest.fixture(scope="module")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcServer]:
    """One for all of them."""
    with OidcServer(tmp_path_factory.mktemp("oidc")) as running:
        yield running


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session whose keyring is unlocked."""
    with session(tmp_path_factory.mktemp("k")) as made:
        made.unlock()
        yield made


@dataclass(frozen=True)
class Kept:
    """A login of this home, in one of the stores."""

    home: Path
    store: SecretKept
    environ: dict[str, str]

    @property
    def file(self) -> Path:
        """Of logins."""
        return self.home / ".local/state/credproxy/logins.json"

    @property
    def apart(self) -> Path:
        """The folder beside it."""
        return self.file.with_suffix(".d")

    def log_in(self, token: str) -> None:
        """As ``credproxy login`` stores it."""
        ring = writable_keyring(self.environ, clock=SystemClock(), uid=os.geteuid())
        place = LoginsFile(self.file, HOST, self.store, ring, os.geteuid(), rotates=True)
        with exclusively(self.file):
            place.put("", Secret(token))

    def whole(self) -> None:
        """Nothing is lost, half written, or there for others to read."""
        entry = json.loads(self.file.read_text())["logins"][HOST]
        assert {"kept", "id", "rotates"} == set(entry)
        known = {entry["id"], f".{entry['id']}.new"}
        names = {place.name for place in self.apart.iterdir() if not place.name.endswith(".lock")}
        assert names <= known
        assert (entry["id"] in names) is (self.store != "keyring")
        for place in (self.file, *self.apart.iterdir()):
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
        if self.store == "file":
            content = (self.apart / entry["id"]).read_text()
            assert content.endswith("\n")
            assert len(content) > 20


@pytest.fixture(params=["file", "keyring", "systemd-creds"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, keyring: Session) -> Kept:
    """An empty home."""
    store: SecretKept = request.param
    if store == "systemd-creds" and os.geteuid() != 0:
        pytest.skip("users need systemd 256: run as root")
    bus = {"DBUS_SESSION_BUS_ADDRESS": keyring.environ["DBUS_SESSION_BUS_ADDRESS"]}
    return Kept(tmp_path, store, {"HOME": str(tmp_path), "XDG_STATE_HOME": "", "PATH": os.environ["PATH"], **bus})


def test_a_login_serves_many_processes_and_survives_kill_9_or_says_why_not(kept: Kept, oidc: OidcServer) -> None:
    """Five at once, three times each: every one gets a token, and no refresh token is used twice.

    Then one is killed again and again, at any moment: a login that is gone is never gone without a word, and the next one
    takes its place.
    """
    kept.log_in(oidc.refresh_token())
    before = oidc.revoked()
    with renewing(oidc.issuer, LoginSource(), kept.environ) as program:
        for _ in range(5):
            program.start(3)
        lines: list[str] = []
        while lines.count("end") < 5:
            lines.append(program.line())
        assert len({line for line in lines if line.startswith("ok ")}) == 15, lines
        assert oidc.revoked() == before
        kept.whole()
        lost = program.kill_often(8, again=lambda: kept.log_in(oidc.refresh_token()), whole=kept.whole)
    assert lost < 8


SECRET = re.compile(r"secret-\d+")


def files(place: Path) -> set[str]:
    """What lies beside it, but for locks, which hold nothing."""
    return {one.name for one in place.iterdir() if one.is_file() and not one.name.endswith(".lock")}


def check_logins(path: Path, name: str) -> None:
    """Each login that is there is whole."""
    logins = json.loads(path.read_text())["logins"] if path.exists() else {}
    for entry in logins.values():
        apart = path.with_suffix(".d") / entry["id"]
        if name == "systemd-creds":
            assert entry["sealed"].endswith("\n")
        else:
            assert SECRET.fullmatch(apart.read_text().strip() if name == "rotating" else entry["secret"])


def check_docker(path: Path, name: str) -> None:
    """Each login that is there is whole, and so is what others have written."""
    del name
    found = json.loads(path.read_text())
    assert found["HttpHeaders"] == {"A": "1.0"}
    auths = found["auths"]
    assert auths.pop("other.test") == {"auth": "eDp5"}
    for entry in auths.values():
        assert re.fullmatch(r"u:secret-\d+", base64.b64decode(entry["auth"]).decode())


@pytest.fixture(scope="module")
def storing() -> Iterator["subprocess.Popen[str]"]:
    """The program that stores, for all of them: see storing.py."""
    argv, environ = (
        [sys.executable, str(Path(__file__).with_name("storing.py"))],
        os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("name", ["docker", "file", "rotating", "systemd-creds"])
def test_who_is_killed_while_a_login_is_stored_leaves_the_old_one_or_the_new_one(
    tmp_path: Path, storing: "subprocess.Popen[str]", name: str
) -> None:
    """At any moment: docker's configuration and the file of logins are whole, and the next writer deletes what was left."""
    if name == "systemd-creds" and os.geteuid() != 0:
        pytest.skip("users need systemd 256: run as root")
    path, chance = tmp_path / ("config.json" if name == "docker" else "logins.json"), random.Random()
    if name == "docker":
        path.write_text('{"HttpHeaders": {"A": "1.0"}, "auths": {"other.test": {"auth": "eDp5"}}}')
    check = check_docker if name == "docker" else check_logins
    assert storing.stdin is not None
    assert storing.stdout is not None
    for _ in range(25):
        storing.stdin.write(f"{name} {path}\n")
        storing.stdin.flush()
        pid = int(storing.stdout.readline())
        time.sleep(chance.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        check(path, name)
    with exclusively(path):
        place_of(path, name, 0).put("u", Secret("secret-0"))
    check(path, name)
    assert files(tmp_path) == {path.name}
    if name == "rotating":
        logins = json.loads(path.read_text())["logins"].values()
        assert files(path.with_suffix(".d")) == {entry["id"] for entry in logins}
