"""Runs inside the unit instead of the daemon, and records what the kernel lets it do. Standard library only."""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000
PER_LINUX32 = 8
PTRACE_TRACEME = 0


def refusal(call: Callable[[], object]) -> str:
    """Give the name of the error number that a call fails with; empty if it does not fail."""
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def checked(result: int) -> None:
    """Raise for a system call that failed."""
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


def set_group_id() -> None:
    """Give a file the set-group-id bit."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0o2700)


def open_socket(family: int, kind: int) -> None:
    """Make a socket."""
    socket.socket(family, kind).close()


def status(name: str) -> str:
    """Give a line of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith(f"{name}:"))


def namespace(process: str) -> str:
    """Give a process's user namespace."""
    return str(Path(f"/proc/{process}/ns/user").readlink())


def findings() -> dict[str, object]:
    """Give everything that the test checks."""
    umask = os.umask(0o077)
    families = {name: getattr(socket, name) for name in ("AF_NETLINK", "AF_PACKET", "AF_VSOCK")}
    return {
        "no new privileges": status("NoNewPrivs"),
        "seccomp": status("Seccomp"),
        "umask": f"{umask:04o}",
        "core": list(resource.getrlimit(resource.RLIMIT_CORE)),
        "files": list(resource.getrlimit(resource.RLIMIT_NOFILE)),
        "same user namespace": namespace("self") == namespace(str(os.getppid())),
        "handed": os.environ.get("LISTEN_FDNAMES", "").split(":"),
        "families": {name: refusal(partial(open_socket, family, socket.SOCK_RAW)) for name, family in families.items()},
        "allowed families": [
            refusal(partial(open_socket, family, socket.SOCK_STREAM))
            for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
        ],
        "write and execute": refusal(
            lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        ),
        "unshare": refusal(lambda: checked(LIBC.unshare(CLONE_NEWUSER))),
        "personality": refusal(lambda: checked(LIBC.personality(PER_LINUX32))),
        "set group id": refusal(set_group_id),
        "ptrace": refusal(lambda: checked(LIBC.ptrace(PTRACE_TRACEME, 0, 0, 0))),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(findings()))
