"""``credproxy login`` at a certified identity provider, as a person sees it: on a terminal, with a browser."""

import asyncio
import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import CREDPROXY, Stage, stage
from tests.real.browser import Browser
from tests.real.oidc import OidcServer


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

URI = "https://cache.test/cas/1"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcServer]:
    """One for all of them."""
    with OidcServer(tmp_path_factory.mktemp("oidc")) as running:
        yield running


@pytest.fixture
def staged(short_path: Path, oidc: OidcServer) -> Iterator[Stage]:
    """A home with one rule, without a keyring and a daemon."""
    with stage(short_path) as made:
        made.configure(
            f'[[host]]\nmatch = "cache.test"\nprovider = "oauth2"\nissuer = "{oidc.issuer}"\nclient_id = "bazel"\n'
            'grant = "refresh_token"\nscope = ["openid", "offline_access", "read"]\n'
        )
        yield made


class Terminal:
    """``credproxy login cache.test`` on a terminal of so many columns."""

    def __init__(self, staged: Stage, *arguments: str, columns: int = 60) -> None:
        argv = [str(CREDPROXY), "login", "cache.test", *arguments]
        environ = {**staged.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "SSH_TTY": "/dev/pts/0"}
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:  # pragma: no cover  another process
            os.execve(CREDPROXY, argv, environ)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._raw = b""

    @property
    def shown(self) -> str:
        """Without colours."""
        return ESCAPES.sub("", self._raw.decode()).replace("\r\n", "\n")

    def until(self, text: str) -> str:
        """Read until it shows that."""
        while text not in self.shown:
            more = self._read()
            assert more, self.shown
        return self.shown

    def type(self, text: bytes) -> None:
        """Type."""
        os.write(self._terminal, text)

    def end(self) -> int:
        """Read to the end; give the exit status, or -1 if a signal ended it."""
        while self._read():
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bytes:
        try:
            more = os.read(self._terminal, 4096)
        except OSError:  # it has ended
            return b""
        self._raw += more
        return more


def confirm(url: str) -> None:
    """As a person does, in a browser."""

    async def confirmed() -> None:
        async with Browser() as browser:
            await browser.confirm(url, "somebody")

    asyncio.run(confirmed())


def left(staged: Stage) -> list[str]:
    """What lies where logins are stored, but for locks, which hold nothing."""
    place = staged.home / ".local"
    return [str(one.relative_to(place)) for one in place.rglob("*") if one.is_file() and one.suffix != ".lock"]


def test_a_login_on_another_device_is_stored_and_serves_a_build_at_once(staged: Stage, oidc: OidcServer) -> None:
    """What is shown fits into 60 columns, with a QR code; the daemon renews what was stored, and no log shows a token."""
    staged.start()
    terminal = Terminal(staged)
    shown = terminal.until("Ctrl-C")
    assert max(map(len, shown.splitlines())) <= 60
    assert "██ ▄▄▄▄▄ █" in shown
    code = re.search(r"and type this code: (\S+)", shown)
    assert code is not None
    confirm(f"{oidc.issuer}/device?user_code={code[1]}")
    assert terminal.end() == 0, terminal.shown
    assert "logged in to cache.test\n" in terminal.shown
    (entry,) = json.loads((staged.home / ".local/state/credproxy/logins.json").read_text())["logins"].values()
    assert (entry["kept"], entry["rotates"]) == ("file", True)
    stored = staged.home / ".local/state/credproxy/logins.d" / entry["id"]
    first = stored.read_text().strip()
    token = staged.headers(URI)["Authorization"][0].removeprefix("Bearer ")
    assert oidc.introspected(token)["active"]
    assert stored.read_text().strip() != first
    last = stored.read_text().strip()
    before = oidc.revoked()
    done = staged.credproxy("logout", "cache.test")
    assert (done.returncode, done.stderr) == (0, "")
    assert "revoked at token server '127.0.0.1:" in done.stdout
    assert (oidc.revoked(), oidc.introspected(token)["active"]) == (before + 1, False)
    said = terminal.shown + staged.log() + done.stdout
    for secret in (first, token, last):
        assert secret not in said
    assert left(staged) == ["state/credproxy/logins.json"]
    done = staged.helper(URI)
    assert done.returncode == 1
    assert done.stderr.endswith("credproxy login cache.test\n")


def test_a_login_in_the_browser_with_two_under_way_at_once(staged: Stage, oidc: OidcServer) -> None:
    """Each takes its own answer; the later one's login is there, and nothing of the other."""
    terminals = [Terminal(staged, "--flow", "browser", columns=80) for _ in range(2)]
    for terminal in terminals:
        shown = terminal.until("--flow device")
        url = re.search(r"  (http://\S+/auth\?\S+)", shown)
        assert url is not None
        confirm(url[1])
        assert terminal.end() == 0, terminal.shown
    assert len(left(staged)) == 2
    before = oidc.revoked()
    staged.start()
    assert oidc.introspected(staged.headers(URI)["Authorization"][0].removeprefix("Bearer "))["active"]
    assert oidc.revoked() == before


def test_ctrl_c_at_an_identity_provider_stores_nothing(staged: Stage) -> None:
    """Nor does it leave a line of Python behind, while a port is waited at."""
    terminal = Terminal(staged, "--flow", "browser")
    terminal.until("Ctrl-C")
    terminal.type(b"\x03")
    assert terminal.end() == 1
    assert "Traceback" not in terminal.shown
    assert terminal.shown.endswith("credproxy: ended, and nothing was changed\n")
    assert left(staged) == []


def piped(staged: Stage, token: str, *arguments: str, limit: Callable[[], None] | None = None) -> tuple[int, str]:
    """Pipe a refresh token in; give the status, and what is said."""
    argv = [str(CREDPROXY), "login", "cache.test", "--password-stdin", *arguments]
    done = subprocess.run(
        argv,
        input=token,
        # Python would write cut .pyc files within the limit, and who imports them next dies of them (gh-126606)
        env=staged.environ | ({"PYTHONDONTWRITEBYTECODE": "1"} if limit else {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        preexec_fn=limit,
    )
    assert token not in done.stdout + done.stderr
    assert [line for line in (done.stdout + done.stderr).splitlines() if len(line) > 60 and " " in line.strip()] == []
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_token_that_is_piped_in_is_renewed_once_before_it_is_stored(staged: Stage, oidc: OidcServer) -> None:
    """What it became is stored. One that the server does not take is not, and the login that was there stays."""
    token = oidc.refresh_token()
    assert piped(staged, token)[0] == 0
    (name,) = (staged.home / ".local/state/credproxy/logins.d").glob("[0-9a-f]*")
    assert name.read_text().strip() not in {"", token}
    before = name.read_text()
    status, said = piped(staged, "canary-wrong")
    assert status == 1
    assert "does not take the refresh token" in said
    assert name.read_text() == before


def test_a_disk_that_is_full_is_told_and_nothing_is_half_stored(staged: Stage, oidc: OidcServer) -> None:
    """The new token is deleted again where the file that would point to it cannot be written."""
    place = staged.home / ".local/state/credproxy"
    place.mkdir(parents=True)
    many = {f"h{number}.test": {"kept": "file", "id": "1", "secret": "s" * 40} for number in range(20)}
    (place / "logins.json").write_text(json.dumps({"logins": many}))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # the token fits, the file of logins does not
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    status, said = piped(staged, oidc.refresh_token(), limit=limit)
    assert status == 1
    assert "nothing was changed" in said
    assert "file too large" in said
    assert left(staged) == ["state/credproxy/logins.json"]
    assert json.loads((place / "logins.json").read_text())["logins"] == many
