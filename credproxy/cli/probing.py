"""What ``doctor`` asks running processes: the sockets, a sandbox, systemd. Each has a time limit in seconds."""

import contextlib
import http.client
import json
import os
import pwd
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from credproxy.cli.client import UnixConnection, told
from credproxy.core.ask.carrier_messages import UNBOUND
from credproxy.core.ask.worker_messages import WorkerReport
from credproxy.core.unit_names import SERVICE, SOCKETS
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.doctor.daemon import HealthReply, SocketOutcome, SocketState
from credproxy.doctor.machine import Machine
from credproxy.doctor.service import Unit
from credproxy.helper import credproxy_helper
from credproxy.server.peer_credentials import peer_credentials


_PATIENCE = 3.0

# Asks as a build action in linux-sandbox would, and prints the status. It only uses the most basic standard modules,
# because nothing else is sure to be found in the sandbox.
_INSIDE = """
import _socket, sys
talk = _socket.socket(_socket.AF_UNIX)
talk.settimeout(3)
talk.connect(sys.argv[1])
mark = sys.stdin.read().encode()
talk.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: x\\r\\nX-Credproxy-Probe: " + mark + b"\\r\\nConnection: close\\r\\n\\r\\n")
print(talk.recv(4096).split()[1].decode())
"""
_SANDBOX = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc", "--kill-child")


def door(machine: Machine, name: str, *, path: str) -> SocketState:
    """Check a socket and ask the process that listens there."""
    folder = Path(path).parent
    reply = _reply(path, verified=name == "helper")
    return SocketState(name, machine.look(path), machine.look(str(folder)), reply, _holds_more(folder))


def _holds_more(folder: Path) -> bool:
    """Whether a folder holds anything else than sockets and what is beside them."""
    try:
        return any(one.suffix not in {".sock", ".lock", ".new"} for one in folder.iterdir())
    except OSError:
        return False


class RunningDaemon(NamedTuple):
    """What a daemon reports about itself.

    Attributes:
        version: "" for none.
        clocks: seconds by which its clock is ahead of each server's.
        unbound: carriers and relay processes that report that they can open files.
        worker: the process in which the clouds' libraries run; None if it reports none.
    """

    version: str = ""
    clocks: Mapping[str, int] = MappingProxyType({})
    unbound: int = 0
    worker: WorkerReport | None = None


def running(path: str) -> RunningDaemon:
    """Ask a daemon for its state."""
    connection = UnixConnection(path, _PATIENCE)
    try:
        connection.request("GET", "/v1/status")
        status = json.loads(connection.getresponse().read())
        origins = [(str(one["origin"]), one.get("ahead")) for one in status.get("origins", ())]
        clocks = {origin: seconds for origin, seconds in origins if isinstance(seconds, int)}
        confined = [*status.get("carriers", ()), *status.get("relays", ())]
        unbound = sum(str(one["confined"]).startswith(UNBOUND) for one in confined)
        worker = msgspec.convert(status["worker"], WorkerReport) if "worker" in status else None
        return RunningDaemon(str(status["version"]), clocks, unbound, worker)
    except (OSError, http.client.HTTPException, KeyError, TypeError, AttributeError, *UNREADABLE):
        return RunningDaemon()
    finally:
        connection.close()


def from_sandbox(path: str) -> int | None:
    """The status that a caller in namespaces of its own gets; None if there is no such caller.

    The daemon is told first, so that its log does not show a refusal that looks like a problem.
    """
    mark = secrets.token_hex(16)
    _announce(path, mark)
    said = _run((*_SANDBOX, sys.executable, "-IS", "-c", _INSIDE, path), mark)
    return int(said) if said is not None and said.strip().isdigit() else None


def units() -> dict[str, Unit] | None:
    """The user's units by name; None if no systemd can be asked."""
    names = (*SOCKETS, SERVICE)
    wanted = ("Id", "LoadState", "ActiveState", "UnitFileState", "Result")
    said = _run(("systemctl", "--user", "show", f"--property={','.join(wanted)}", *names))
    if said is None:
        return None
    found = {}
    for block in said.strip().split("\n\n"):
        about = dict(line.partition("=")[::2] for line in block.splitlines())
        found[about.get("Id", "")] = Unit(*(about.get(key, "") for key in wanted[1:]))
    return found


def lingers() -> bool | None:
    """Whether this user's services outlive the last session; None for a user without a name."""
    try:
        return Path("/var/lib/systemd/linger", pwd.getpwuid(os.getuid()).pw_name).exists()
    except KeyError:
        return None


def docker_version(program: str) -> str:
    """The version that ``docker-credential-credproxy version`` prints as its last word; "" if none."""
    said = _run((program, "version"))
    return said.split()[-1] if said and said.split() else ""


def _reply(path: str, *, verified: bool) -> HealthReply:
    connection = UnixConnection(path, _PATIENCE)
    try:
        connection.connect()
        pid, uid = _listener(connection.sock)
        doubt = _doubt(connection.sock, path) if verified else ("", "")
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        content = response.read()
    except FileNotFoundError:
        return HealthReply(SocketOutcome.ABSENT)
    except ConnectionRefusedError:
        return HealthReply(SocketOutcome.DEAD)
    except PermissionError:
        return HealthReply(SocketOutcome.ANSWERED, 0, "this user may not connect", "")
    except (OSError, http.client.HTTPException):
        return HealthReply(SocketOutcome.SILENT)
    finally:
        connection.close()
    message, hint = ("", "") if response.status == http.client.OK else told(response.status, content)
    return HealthReply(SocketOutcome.ANSWERED, response.status, message, hint, uid, pid, *doubt)


def _doubt(talk: socket.socket, path: str) -> tuple[str, str]:
    """Why the helper would not trust the process that listens, and its hint."""
    try:
        credproxy_helper.verify_daemon(talk, os.fsencode(path))
    except credproxy_helper.Stop as stop:
        return os.fsdecode(stop.cause), os.fsdecode(stop.hint)
    return "", ""


def _announce(path: str, mark: str) -> None:
    connection = UnixConnection(path, _PATIENCE)
    # Without it the probe only causes a line in the log.
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/healthz", headers={"X-Credproxy-Probe": mark})
        connection.getresponse().read()
    connection.close()


def _listener(sock: socket.socket) -> tuple[int, int]:
    """The pid and uid of the process that listens; zeros if unknown."""
    if sys.platform == "darwin":
        return 0, 0
    return peer_credentials(sock)


def _run(argv: Sequence[str], text: str = "") -> str | None:
    """Standard output of a command that succeeded; ``text`` is its standard input."""
    try:
        done = subprocess.run(  # noqa: S603  our own commands and paths
            argv, capture_output=True, text=True, timeout=_PATIENCE + 2, check=False, input=text
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
