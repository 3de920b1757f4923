"""``credproxy login`` and ``logout`` as processes: a real registry, a real keyring, a daemon that runs meanwhile."""

import base64
import json
import os
import pty
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.e2e.stage import CREDPROXY, Stage, stage
from tests.real.conftest import OTHER, ROBOT
from tests.real.pki import Pki
from tests.real.registry import Registry
from tests.real.secret_service import Session, session
from tests.real.shell_helpers import DockerHelper
from tests.real.token_server import TokenServer
from tests.real.wire import basic


pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

WRONG = "canary-wrong"


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session whose keyring is unlocked."""
    with session(tmp_path_factory.mktemp("k")) as made:
        made.unlock()
        yield made


@pytest.fixture
def staged(short_path: Path) -> Iterator[Stage]:
    """A home without a keyring, and no daemon yet."""
    with stage(short_path) as made:
        yield made


def rule(registry: Registry, pki: Pki, token_server: TokenServer | None = None, more: str = "") -> str:
    """How to reach it; the logins are where they are by default."""
    realm = "" if token_server is None else f'realm_hosts = ["{token_server.realm.split("/")[2]}"]\n'
    return f'[[host]]\nmatch = "{registry.authority}"\nprovider = "oci"\nca_bundle = "{pki.bundle}"\n{realm}{more}'


def log_in(staged: Stage, *arguments: str, password: str = ROBOT.password) -> subprocess.CompletedProcess[str]:
    """With a password on standard input."""
    argv = [str(CREDPROXY), "login", *arguments, "--password-stdin"]
    done = subprocess.run(
        argv, input=f"{password}\n", env=staged.environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert password not in done.stdout + done.stderr
    assert [line for line in (done.stdout + done.stderr).splitlines() if len(line) > 60 and " " in line.strip()] == []
    return done


def logins(staged: Stage) -> dict[str, dict[str, str]]:
    """What the file of logins has."""
    place = staged.home / ".local/state/credproxy/logins.json"
    if not place.exists():
        return {}
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    found: dict[str, dict[str, str]] = json.loads(place.read_text())["logins"]
    return found


def docker(staged: Stage) -> dict[str, object]:
    """What docker's configuration says."""
    place = staged.home / ".docker/config.json"
    found: dict[str, object] = json.loads(place.read_text()) if place.exists() else {}
    return found


def with_keyring(staged: Stage, keyring: Session) -> None:
    """Programs of this home are in the session."""
    staged.environ["DBUS_SESSION_BUS_ADDRESS"] = keyring.environ["DBUS_SESSION_BUS_ADDRESS"]


def test_a_login_goes_into_the_keyring_and_a_running_daemon_answers_with_it_at_once(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki, keyring: Session
) -> None:
    """And with the next one at once: the old user's answer is never given. After logout it answers nothing."""
    with_keyring(staged, keyring)
    staged.configure(rule(registry, pki, token_server))
    staged.start()
    uri = f"https://{registry.authority}"
    assert staged.headers(uri) == {}
    done = log_in(staged, registry.authority, "-u", "robot")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"logged in to {registry.authority} as robot\nstored in the keyring\n"
    assert staged.headers(uri)["Authorization"] == [basic("robot", ROBOT.password)]
    assert log_in(staged, registry.authority, "-u", "other", password=OTHER.password).returncode == 0
    assert staged.headers(uri)["Authorization"] == [basic("other", OTHER.password)]
    (entry,) = logins(staged).values()
    assert (entry["kept"], entry["username"], "secret" in entry) == ("keyring", "other", False)
    service = f"credproxy:{registry.authority}"
    assert keyring.secret_tool("lookup", "service", service) == OTHER.password
    gone = staged.credproxy("logout", registry.authority)
    assert (gone.returncode, gone.stdout) == (0, "deleted from the keyring\n")
    assert staged.headers(uri) == {}
    assert logins(staged) == {}
    found = subprocess.run(
        ["secret-tool", "lookup", "service", service], env=keyring.environ, capture_output=True, check=False
    )
    assert found.stdout == b""
    for secret in (ROBOT.password, OTHER.password):
        assert secret not in staged.log()


def test_a_wrong_password_is_refused_and_nothing_is_stored(
    staged: Stage, registry: Registry, basic_registry: Registry, token_server: TokenServer, pki: Pki
) -> None:
    """By a token server, and by a registry that takes Basic; the login that was there stays."""
    for one, server in ((registry, token_server), (basic_registry, None)):
        staged.configure(rule(one, pki, server))
        assert log_in(staged, one.authority, "-u", "robot").returncode == 0
        before = docker(staged)
        done = log_in(staged, one.authority, "-u", "robot", password=WRONG)
        assert (done.returncode, done.stdout) == (1, "")
        assert "refuse" in done.stderr
        assert docker(staged) == before
        assert logins(staged) == {}


def test_without_a_keyring_it_goes_into_docker_s_configuration_which_keeps_all_else(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki
) -> None:
    """With docker's own warning; the file's mode, a link to it and unknown members are unchanged."""
    staged.configure(rule(registry, pki, token_server))
    real = staged.home / "dotfiles" / "docker.json"
    real.parent.mkdir()
    text = '{"auths": {"other.test": {"auth": "eDp5"}}, "psFormat": "x", "HttpHeaders": {"A": "1.0"}, "n": 1.50}'
    real.write_text(text)
    real.chmod(0o640)
    place = staged.home / ".docker" / "config.json"
    place.parent.mkdir()
    place.symlink_to(real)
    done = log_in(staged, registry.authority, "-u", "robot")
    assert done.returncode == 0, done.stderr
    assert "warning: your password is stored unencrypted in" in done.stderr
    assert place.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    found = docker(staged)
    auth = base64.b64encode(f"robot:{ROBOT.password}".encode()).decode()
    assert found.pop("auths") == {"other.test": {"auth": "eDp5"}, registry.authority: {"auth": auth}}
    assert found == {"psFormat": "x", "HttpHeaders": {"A": "1.0"}, "n": 1.5}
    assert '"n": 1.50' in real.read_text()
    staged.start()
    assert staged.headers(f"https://{registry.authority}")["Authorization"] == [basic("robot", ROBOT.password)]
    assert staged.credproxy("logout", registry.authority).returncode == 0
    assert docker(staged)["auths"] == {"other.test": {"auth": "eDp5"}}
    assert staged.headers(f"https://{registry.authority}") == {}


def test_a_program_that_docker_s_configuration_names_gets_the_login(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki, docker_helper: DockerHelper
) -> None:
    """As with ``docker login``, and without a warning; ``logout`` erases it."""
    staged.configure(rule(registry, pki, token_server))
    staged.environ["PATH"] = f"{docker_helper.folder}:{staged.environ['PATH']}"
    (staged.home / ".docker").mkdir()
    (staged.home / ".docker/config.json").write_text(json.dumps({"credsStore": "shelltest"}))
    done = log_in(staged, registry.authority, "-u", "robot")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("stored in docker-credential-shelltest\n")
    assert docker(staged)["auths"] == {registry.authority: {}}
    assert docker_helper.calls[-1].startswith("store")
    assert not [call for call in docker_helper.calls if ROBOT.password in call]
    staged.start()
    assert staged.headers(f"https://{registry.authority}")["Authorization"] == [basic("robot", ROBOT.password)]
    assert staged.credproxy("logout", registry.authority).returncode == 0
    assert [call.split()[0] for call in docker_helper.calls][-1] == "erase"


@pytest.mark.parametrize("store", ["file", "systemd-creds"])
def test_it_is_stored_where_login_store_says(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki, store: str
) -> None:
    """A file of plain text is private; what systemd encrypted for this machine is not text."""
    if store == "systemd-creds" and os.geteuid() != 0:
        pytest.skip("users need systemd 256: run as root")
    staged.configure(f'login_store = "{store}"\n{rule(registry, pki, token_server)}')
    done = log_in(staged, registry.authority, "-u", "robot")
    assert done.returncode == 0, done.stderr
    assert ("unencrypted" in done.stderr) is (store == "file")
    (entry,) = logins(staged).values()
    assert entry["kept"] == store
    assert (ROBOT.password in json.dumps(entry)) is (store == "file")
    staged.start()
    assert staged.headers(f"https://{registry.authority}")["Authorization"] == [basic("robot", ROBOT.password)]
    explained = staged.credproxy("explain", f"https://{registry.authority}", "--json").stdout
    assert json.loads(explained)["detail"]["credential"] == f"login:{registry.authority}"


def test_a_login_is_typed_on_the_terminal_without_an_echo(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki
) -> None:
    """The user name is asked for as well; neither arguments nor environment hold the password."""
    staged.configure(rule(registry, pki, token_server))
    shown = on_terminal(staged, registry.authority, [b"robot\n", f"{ROBOT.password}\n".encode()])
    assert f"logged in to {registry.authority} as robot" in shown
    assert ROBOT.password not in shown


@pytest.mark.parametrize("typed", [[b"\x03"], [b"robot\n", b"\x03"]], ids=["user name", "password"])
def test_ctrl_c_stores_nothing(
    staged: Stage, registry: Registry, token_server: TokenServer, pki: Pki, typed: list[bytes]
) -> None:
    """At any point."""
    staged.configure(rule(registry, pki, token_server))
    shown = on_terminal(staged, registry.authority, typed)
    assert "logged in" not in shown
    assert "Traceback" not in shown
    assert (logins(staged), docker(staged), token_server.asked) == ({}, {}, [])


def on_terminal(staged: Stage, host: str, typed: list[bytes]) -> str:
    """Run ``login`` on a terminal and type at each prompt; give everything that is shown."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  another process
        os.execve(CREDPROXY, [str(CREDPROXY), "login", host], staged.environ)
    shown = b""
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # it has ended
            break
        if not more:
            break
        shown += more
        if typed and shown.rstrip(b" ").endswith(b":"):
            time.sleep(0.05)  # until it reads without an echo
            os.write(terminal, typed.pop(0))
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown.decode()


def test_no_terminal_is_told_together_with_the_way_out(staged: Stage) -> None:
    """A CI build must not wait for input."""
    argv = [str(CREDPROXY), "login", "reg.test", "-u", "me"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, env=staged.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "credproxy: there is no terminal to ask on\nhint: pipe it in, with --password-stdin\n"


def test_a_locked_keyring_is_reported_before_a_password_is_typed(
    staged: Stage, registry: Registry, short_path: Path
) -> None:
    """It never falls back to a plain-text file by itself."""
    (short_path / "x").mkdir()
    with session(short_path / "x") as locked:
        locked.unlock()
        locked.lock()
        with_keyring(staged, locked)
        done = log_in(staged, registry.authority, "-u", "robot")
    assert done.returncode == 1
    assert "the keyring is locked, and nothing was changed" in done.stderr
    assert (logins(staged), docker(staged)) == ({}, {})


class Page(BaseHTTPRequestHandler):
    """Wants a key at ``/``, and none at ``/open``."""

    def do_GET(self) -> None:
        """Answer."""
        keys = {self.headers.get("x-api-key"), self.headers.get("Authorization")}
        ok = self.path == "/open" or bool(keys & {"canary-right", basic("u", "canary-right")})
        self.send_response(200 if ok else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing."""


@pytest.fixture
def page() -> Iterator[str]:
    """A host of artifacts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("text", "user", "header", "value"),
    [
        ('provider = "header"\nname = "x-api-key"\nsecret = { source = "login" }', "", "x-api-key", "canary-right"),
        ('provider = "basic"', "u", "Authorization", basic("u", "canary-right")),
    ],
    ids=["header", "basic"],
)
def test_a_host_that_is_not_a_registry_is_asked_with_the_login_and_without(
    staged: Stage, page: str, text: str, user: str, header: str, value: str
) -> None:
    """An answer that everybody gets proves nothing, so nothing is stored unless the user insists."""
    staged.configure(f'[[host]]\nmatch = "{page}"\n{text}\n')
    who = ("-u", user) if user else ()
    done = log_in(staged, page, *who, password=WRONG)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"credproxy: host '{page}' refuses it with 401")
    done = log_in(staged, page, *who, "--check-url", f"http://{page}/open", password="canary-right")
    assert done.returncode == 1
    assert "it answers 200 without it, too" in done.stderr
    assert logins(staged) == {}
    assert log_in(staged, page, *who, password="canary-right").returncode == 0
    staged.start()
    assert staged.headers(f"http://{page}/file")[header] == [value]
    assert logins(staged)[page]["kept"] == "file"
    assert log_in(staged, page, *who, "--no-check", password=WRONG).returncode == 0
    assert logins(staged)[page]["secret"] == WRONG


def test_what_a_rule_names_is_where_the_login_goes(staged: Stage, page: str, keyring: Session) -> None:
    """A file, a service of the keyring; and if nothing can be stored, that is reported before anything is typed."""
    with_keyring(staged, keyring)
    secret = staged.home / "secret"
    head = f'[[host]]\nmatch = "{page}"\nprovider = "header"\nname = "x-api-key"\n'
    staged.configure(f'{head}secret = {{ source = "file", path = "{secret}" }}\n')
    assert log_in(staged, page, password="canary-right").returncode == 0
    assert (secret.read_text(), stat.S_IMODE(secret.stat().st_mode)) == ("canary-right\n", 0o600)
    assert staged.credproxy("logout", page).returncode == 0
    assert not secret.exists()
    staged.configure(f'{head}secret = {{ source = "keyring", service = "cache-{page}" }}\n')
    assert log_in(staged, page, password="canary-right").returncode == 0
    assert keyring.secret_tool("lookup", "service", f"cache-{page}") == "canary-right"
    staged.configure(f'{head}secret = {{ source = "env", name = "X" }}\n')
    done = log_in(staged, page, password="canary-right")
    assert done.returncode == 1
    assert 'put { source = "login" } in front of its secret' in " ".join(done.stderr.split())


def test_two_logins_of_one_host_are_kept_apart_by_path(staged: Stage, page: str) -> None:
    """The longest path counts; the other login is for everything else."""
    staged.configure(f'[[host]]\nmatch = "{page}"\nprovider = "basic"\n')
    assert log_in(staged, page, "-u", "all", "--no-check", password="pass-a").returncode == 0
    assert log_in(staged, f"{page}/team", "-u", "team", "--no-check", password="pass-t").returncode == 0
    staged.start()
    for path, wanted in (
        ("/team/x", basic("team", "pass-t")),
        ("/teams/x", basic("all", "pass-a")),
        ("/x", basic("all", "pass-a")),
    ):
        assert staged.headers(f"http://{page}{path}")["Authorization"] == [wanted]
    assert staged.credproxy("logout", f"{page}/team").returncode == 0
    assert staged.headers(f"http://{page}/team/x")["Authorization"] == [basic("all", "pass-a")]


@pytest.mark.timeout(180)
def test_a_login_that_is_killed_at_any_moment_leaves_the_old_one_or_the_new_one(
    staged: Stage, page: str, keyring: Session
) -> None:
    """In the file and in the keyring, and on the way from one to the other; the next login can still be stored."""
    staged.configure(f'[[host]]\nmatch = "{page}"\nprovider = "basic"\n')
    with_keyring(staged, keyring)
    assert log_in(staged, page, "-u", "u", "--store", "file", "--no-check", password="first").returncode == 0
    killed, kept = 0, "first"
    for round_, store in enumerate(["file", "keyring", "keyring", "file"] * 5):
        process = subprocess.Popen(
            [CREDPROXY, "login", page, "-u", "u", "--store", store, "--no-check", "--password-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=staged.environ,
        )
        assert process.stdin is not None
        process.stdin.write(f"of round {round_}".encode())
        process.stdin.close()
        time.sleep(0.15 + 0.02 * round_)
        process.send_signal(signal.SIGKILL)
        killed += process.wait(20) == -signal.SIGKILL
        before, entry = kept, logins(staged)[page]
        kept = entry.get("secret") or keyring.secret_tool("lookup", "service", f"credproxy:{page}", "username", "u")
        assert kept in {before, f"of round {round_}"}
    assert killed
    assert log_in(staged, page, "-u", "u", "--store", "file", "--no-check", password="last").returncode == 0
    left = {path.name for path in (staged.home / ".local/state/credproxy").iterdir()}
    assert left <= {"logins.json", ".logins.json.lock"}


def test_eight_logins_at_once_are_all_there(staged: Stage, page: str) -> None:
    """One writer at a time."""
    staged.configure(f'[[host]]\nmatch = "{page}"\nprovider = "basic"\n')
    running = [
        subprocess.Popen(
            [CREDPROXY, "login", f"{page}/{number}", "-u", "u", "--store", "file", "--no-check", "--password-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=staged.environ,
        )
        for number in range(8)
    ]
    for process in running:
        process.communicate(b"x", timeout=60)
        assert process.returncode == 0
    assert len(logins(staged)) == 8
