"""A program of the same user, without capabilities, that attacks the real daemon. Prints what it could do as JSON.

Usage: ``intruder.py attach|nondumpable CREDPROXY``, with the environment of a home. It starts the daemon itself, so that it
is an ancestor, which yama's ptrace_scope would let attach.
"""

import ctypes
import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


PTRACE_ATTACH, PTRACE_DETACH = 16, 17  # <linux/ptrace.h>
PIDFD_GETFD = 438  # <asm-generic/unistd.h>
PR_SET_DUMPABLE = 4  # <linux/prctl.h>
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    """Raise the error that the C library reports."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def attach(pid: int) -> None:
    """ptrace(2)."""
    checked(LIBC.ptrace(PTRACE_ATTACH, pid, None, None))
    os.waitpid(pid, 0)
    LIBC.ptrace(PTRACE_DETACH, pid, None, None)


def take_descriptor(pid: int) -> None:
    """pidfd_getfd(2): a copy of one of its open files."""
    pidfd = os.pidfd_open(pid)
    try:
        checked(LIBC.syscall(PIDFD_GETFD, pidfd, 0, 0))
    finally:
        os.close(pidfd)


PROBES: dict[str, Callable[[int], object]] = {
    "mem": lambda pid: Path(f"/proc/{pid}/mem").open("rb").close(),
    "environ": lambda pid: Path(f"/proc/{pid}/environ").read_bytes(),
    "maps": lambda pid: Path(f"/proc/{pid}/maps").read_bytes(),
    "fd": lambda pid: Path(f"/proc/{pid}/fd/0").readlink(),
    "ptrace": attach,
    "pidfd_getfd": take_descriptor,
}


def probe(pid: int) -> dict[str, str]:
    """The outcome of each attempt: ``done``, or the error's name."""
    outcomes = {}
    for name, attempt in PROBES.items():
        try:
            attempt(pid)
            outcomes[name] = "done"
        except OSError as error:
            outcomes[name] = errno.errorcode[error.errno or 0]
    return outcomes


def ask(path: str, before: str = "") -> str:
    """A question on the helper socket from a process of its own, which does ``before`` first; gives the answer."""
    script = (
        f"import ctypes, socket, sys\n{before}\ntalk = socket.socket(socket.AF_UNIX)\ntalk.connect(sys.argv[1])\n"
        "talk.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "while part := talk.recv(65536): sys.stdout.write(part.decode())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    return done.stdout


def main() -> None:
    """Start the daemon, try, end it."""
    what, program = sys.argv[1:]
    path = os.environ["XDG_RUNTIME_DIR"] + "/credproxy/helper.sock"
    log = Path(os.environ["HOME"], "daemon.log")
    with (
        log.open("wb") as out,
        subprocess.Popen([program, "serve"], stdin=subprocess.DEVNULL, stdout=out, stderr=out) as daemon,
    ):
        try:
            wait_for(path)
            sys.stdout.write(json.dumps(try_it(what, daemon.pid, path)))
        finally:
            daemon.terminate()


def try_it(what: str, pid: int, path: str) -> object:
    """Run the chosen attack; ``attach`` also tries a process that does not defend itself."""
    if what == "nondumpable":
        return [ask(path), ask(path, f"ctypes.CDLL(None).prctl({PR_SET_DUMPABLE}, 0, 0, 0, 0)")]
    with subprocess.Popen(["sleep", "30"], stdin=subprocess.DEVNULL) as plain:
        try:
            return {"uid": os.getuid(), "daemon": probe(pid), "plain": probe(plain.pid)}
        finally:
            plain.kill()


def wait_for(path: str) -> None:
    """Until the daemon listens, ten seconds at most."""
    for _ in range(500):
        with socket.socket(socket.AF_UNIX) as probing:
            if probing.connect_ex(path) == 0:
                return
        time.sleep(0.02)
    message = "the daemon does not listen"
    raise SystemExit(message)


if __name__ == "__main__":
    main()
