"""``stop`` and ``restart``: the daemon that serves the helper socket, however it was started.

There is no request that ends a daemon: only a signal from its own user, or its service manager, may end it.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from credproxy.cli.client import VerifiedConnection, ask, its_log, socket_path
from credproxy.cli.command_error import CommandError
from credproxy.cli.installer import RunCommand, runner
from credproxy.core.errors import Failed
from credproxy.core.paths import actions_socket
from credproxy.core.unit_names import SERVICE, SOCKETS
from credproxy.server.peer_credentials import peer_credentials


PATIENCE = 60.0
"""Seconds for a daemon to end: one that drains downloads of build actions takes as long as its drain_timeout."""


@dataclass(frozen=True, slots=True)
class ListeningProcess:
    """The process that listens.

    Attributes:
        pid: of the daemon, or of the service manager that listens in its place.
        waiting: it is the service manager: no daemon runs, and the first call starts one.
        systemctl: the command that manages it, ``systemctl --user`` or ``systemctl``; empty if no unit started it.
    """

    pid: int
    waiting: bool = False
    systemctl: tuple[str, ...] = ()


def find(path: str, run: RunCommand) -> ListeningProcess | None:
    """Find who serves a socket; None if nobody does.

    Raises:
        CommandError: the process that listens is not this user's daemon, or does not answer.
    """
    # Asked first, because a connection to a socket of systemd would start the daemon.
    if (managed := _managed(path, run)) is not None:
        return managed
    connection = VerifiedConnection(path)
    try:
        connection.connect()
        pid = _listener(connection.sock)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return None
    except OSError as error:
        raise CommandError(f"the daemon at {path} cannot be asked: {error.strerror}", its_log()) from None
    finally:
        connection.close()
    name = _read_of(pid, "comm").strip()
    if name != "systemd" and not _is_daemon(pid):
        raise CommandError(
            f"what listens at {path} is not credproxy but {name or 'another program'!r} (pid {pid})",
            "end it yourself, or set CREDPROXY_SOCKET to another path",
        )
    return ListeningProcess(pid, waiting=name == "systemd")


def _managed(path: str, run: RunCommand) -> ListeningProcess | None:
    """What systemd says about its own socket at that path; None if it has none."""
    for systemctl in (("systemctl", "--user"), ("systemctl",)):

        def shown(unit: str, name: str, *, show: tuple[str, ...] = (*systemctl, "show")) -> str:
            status, said = run((*show, unit, f"--property={name}"))
            return said.removeprefix(f"{name}=") if status == 0 else ""

        if shown(SOCKETS[0], "Listen") == f"{path} (Stream)" and shown(SOCKETS[0], "ActiveState") == "active":
            pid = shown(SERVICE, "MainPID")
            return ListeningProcess(int(pid or 0), waiting=pid in {"", "0"}, systemctl=systemctl)
    return None


def end(pid: int) -> None:
    """Send SIGTERM and wait for the end.

    Raises:
        CommandError: the process is another user's, or it has not ended in time.
    """
    try:
        pidfd = os.pidfd_open(pid) if sys.platform == "linux" else -1
        if sys.platform == "linux":
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        else:
            os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise CommandError(f"the daemon (pid {pid}) is another user's", f"sudo kill {pid}") from None
    ended = _ended_linux(pidfd) if pidfd >= 0 else _ended_elsewhere(pid)
    if not ended:
        raise CommandError(f"the daemon (pid {pid}) has not ended within {PATIENCE:.0f} s", f"kill -KILL {pid}")


def end_self_started(say: Callable[[str], object], *, dry_run: bool) -> None:
    """End a daemon that no unit manages, and remove what it leaves in its directories; say so.

    Raises:
        CommandError: as ``find`` and ``end``.
    """
    path = socket_path(os.environ)
    found = find(path, runner(os.environ))
    if found is not None and not found.waiting and not found.systemctl:
        say(f"{'would stop' if dry_run else 'stopped'}  the daemon (pid {found.pid})")
        if not dry_run:
            end(found.pid)
            _clear(Path(path))
            with contextlib.suppress(Failed):  # it had no runtime directory
                _clear(Path(actions_socket(os.environ, os.geteuid(), is_directory=os.path.isdir)))


def _clear(socket_file: Path) -> None:
    for lock in (socket_file.with_suffix(".lock"), socket_file.with_name("autostart.lock")):
        lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it
        socket_file.parent.rmdir()


@click.command()
def stop() -> None:
    """Stop the daemon, however it was started.

    If systemd listens for it, or credproxy-helper may start it, the next call starts it again.
    """
    path, run = socket_path(os.environ), runner(os.environ)
    found = find(path, run)
    if found is None:
        click.echo(f"no daemon runs at {path}")
    elif found.waiting:
        click.echo(f"no daemon runs: systemd listens at {path}, and starts one on demand")
    elif found.systemctl:
        _manage(found, "stop", run)
        click.echo(f"stopped {SERVICE} (pid {found.pid}); systemd starts it again on demand")
        click.echo(f"to stop it for good: {' '.join((*found.systemctl, 'stop', *SOCKETS))}")
    else:
        end(found.pid)
        click.echo(f"stopped the daemon (pid {found.pid}); the next credproxy-helper call starts it again")


@click.command(short_help="Restart the daemon, however it was started.")
def restart() -> None:
    """Restart the daemon, however it was started, with the program that is installed now.

    Without a service manager, the daemon keeps its process id, its options and its sockets. No call is lost.
    """
    path, run = socket_path(os.environ), runner(os.environ)
    found = find(path, run)
    if found is None or found.waiting:
        raise CommandError(
            f"no daemon runs at {path}", "the next credproxy-helper call starts it; or run: credproxy serve"
        )
    if found.systemctl:
        _manage(found, "restart", run)
    else:
        _hand_over(found.pid)
    click.echo(f"restarted the daemon (pid {ask('GET', '/v1/status')['pid']})")


def _hand_over(pid: int) -> None:
    before = ask("GET", "/v1/status").get("started")
    try:
        os.kill(pid, signal.SIGUSR2)
    except ProcessLookupError:
        return
    except PermissionError:
        raise CommandError(f"the daemon (pid {pid}) is another user's", f"sudo kill -USR2 {pid}") from None

    def replaced() -> bool:
        with contextlib.suppress(CommandError):
            return ask("GET", "/v1/status").get("started") != before
        return False

    if not _within(PATIENCE, replaced):
        raise CommandError(f"the daemon (pid {pid}) has not restarted within {PATIENCE:.0f} s", "credproxy stop")


def _manage(found: ListeningProcess, verb: str, run: RunCommand) -> None:
    argv = (*found.systemctl, verb, SERVICE)
    status, complaint = run(argv)
    if status != 0:
        hint = f"sudo {' '.join(argv)}" if found.systemctl == ("systemctl",) else f"journalctl --user --unit={SERVICE}"
        raise CommandError(f"{' '.join(argv)} failed: {complaint}", hint)


def _listener(sock: socket.socket) -> int:
    """The pid of the process that listens."""
    if sys.platform == "darwin":
        told = ask("GET", "/v1/status")["pid"]
        assert isinstance(told, int)
        return told
    pid, _ = peer_credentials(sock)
    return pid


def _is_daemon(pid: int) -> bool:
    """Whether a process is a daemon of ours: by how it was started, because one that hangs answers nothing."""
    words = _read_of(pid, "cmdline").split("\0")
    if "serve" in words and any(Path(word).name == "credproxy" for word in words):
        return True
    try:
        return ask("GET", "/v1/status").get("pid") == pid
    except CommandError:
        return False


def _read_of(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ended_linux(pidfd: int) -> bool:
    try:
        return bool(select.select([pidfd], [], [], PATIENCE)[0])
    finally:
        os.close(pidfd)


def _ended_elsewhere(pid: int) -> bool:
    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    return _within(PATIENCE, gone)


def _within(seconds: float, happened: Callable[[], bool]) -> bool:
    """Wait until a condition holds, checking ten times a second."""
    for _ in range(int(seconds * 10)):
        if happened():
            return True
        select.select([], [], [], 0.1)
    return False
