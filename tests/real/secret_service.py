"""A separate session bus and gnome-keyring, in a separate home."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.clients import find, run


PASSWORD = "of the keyring"

# as Debian's session.conf, without the folders of programs that the bus would start
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""


_NAME = "org.freedesktop.secrets"
_LOGIN = "/org/freedesktop/secrets/collection/login"


@dataclass
class Session:
    """Where they are.

    Attributes:
        environ: for a program of this session.
        daemons: keyrings that were started.
    """

    environ: Mapping[str, str]
    daemons: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def unlock(self) -> None:
        """Start the keyring as a login to a desktop does, with its password."""
        self._start("--unlock")

    def start_locked(self) -> None:
        """Start it as the bus does before a login."""
        self._start("--start")

    def end(self) -> None:
        """End the keyrings."""
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
        self.daemons.clear()

    def lock(self) -> None:
        """Lock what the password unlocked."""
        self._send("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", f"array:objpath:{_LOGIN}")

    def secret_tool(self, *arguments: str, secret: str = "") -> str:
        """Run libsecret's own program; give what it prints."""
        content = secret.encode(errors="surrogateescape")
        argv = [str(find("secret-tool")), *arguments]
        return subprocess.run(
            argv, env=self.environ, input=content, capture_output=True, check=True, timeout=20
        ).stdout.decode()

    def _start(self, how: str) -> None:
        argv = [str(find("gnome-keyring-daemon")), how, "--components=secrets", "--foreground"]
        daemon = subprocess.Popen(
            argv, env=self.environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.daemons.append(daemon)
        assert daemon.stdin is not None
        daemon.stdin.write(PASSWORD.encode())
        daemon.stdin.close()
        deadline = time.perf_counter() + 10
        while not self._answers():
            assert daemon.poll() is None, "gnome-keyring-daemon has ended"
            assert time.perf_counter() < deadline, "gnome-keyring-daemon did not take its name"
            time.sleep(0.02)

    def _answers(self) -> bool:
        return "true" in self._send(
            "/", "org.freedesktop.DBus.NameHasOwner", f"string:{_NAME}", to="org.freedesktop.DBus"
        )

    def _send(self, path: str, method: str, *arguments: str, to: str = _NAME) -> str:
        argv = [str(find("dbus-send")), "--session", "--print-reply", f"--dest={to}", path, method, *arguments]
        done = run(argv, env=self.environ)
        assert done.code == 0, done.err
        return done.out


@contextmanager
def session(home: Path) -> Iterator[Session]:
    """A bus without a keyring yet; whatever is on it ends with it.

    Args:
        home: of its user; a short path, as a socket is made in it.
    """
    (home / "bus").mkdir(mode=0o700)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "bus")}
    config = home / "bus" / "bus.conf"
    config.write_text(CONFIG.format(home / "bus" / "bus"))
    argv = [str(find("dbus-daemon")), f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"]
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().decode().strip()
        assert address, "dbus-daemon did not start"
        made = Session({**environ, "DBUS_SESSION_BUS_ADDRESS": address})
        try:
            yield made
        finally:
            made.end()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        with suppress(OSError):
            (home / "bus" / "bus").unlink()
