"""Calls a helper as Bazel does: spawn, write, close, wait with a deadline, and only then read both pipes."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


EOF_WITHIN = 0.1
"""Seconds after the exit in which both pipes must be at their end: no other process may hold them (CL-9)."""

SANITIZER_EXIT = 97
"""What the sanitized build exits with; set in conftest.py."""


@dataclass(frozen=True, slots=True)
class Result:
    """What Bazel sees, and how long it took.

    Attributes:
        held: the pipes, "stdout" or "stderr", that were still open 100 ms after the exit.
        stdin_broke: writing the request failed: the helper had closed its end.
    """

    code: int
    out: bytes
    err: bytes
    seconds: float
    held: tuple[str, ...]
    stdin_broke: bool

    @property
    def lines(self) -> list[str]:
        """The error text."""
        return self.err.decode().splitlines()


def call(  # every argument is one freedom that the protocol leaves
    argv: Sequence[str | Path],
    stdin: bytes = b'{"uri":"https://ghcr.io/v2/"}',
    *,
    env: Mapping[str, str],
    cwd: Path | str | None = None,
    pipe_size: int = -1,
    patience: float = 10.0,
) -> Result:
    """One call in Bazel's order. Past ``patience`` seconds the helper gets SIGTERM, as from Bazel, and the test fails."""
    began = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        pipesize=pipe_size,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        stdin_broke = not write_all(process.stdin.fileno(), stdin)
        process.stdin.close()
        in_time = wait(process, patience)
        ended = time.perf_counter()
        if not in_time:
            process.send_signal(signal.SIGTERM)
            process.wait()
        pipes = {"stdout": process.stdout.fileno(), "stderr": process.stderr.fileno()}
        held = tuple(name for name, fd in pipes.items() if not at_end(fd, ended + EOF_WITHIN))
        out, err = (b"" if name in held else drain(fd) for name, fd in pipes.items())
    assert in_time, f"no exit within {patience} s; stderr: {err!r}"
    assert process.returncode != SANITIZER_EXIT, err.decode()
    return Result(process.returncode, out, err, ended - began, held, stdin_broke)


def write_all(fd: int, data: bytes) -> bool:
    """Write everything; false if the other end was closed."""
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:
        return False
    return True


def wait(process: subprocess.Popen[bytes], patience: float) -> bool:
    """Whether the process ended in time. By pidfd where there is one: Popen.wait looks only every 50 ms."""
    if hasattr(os, "pidfd_open"):
        pidfd = os.pidfd_open(process.pid)
        try:
            in_time = bool(select.select([pidfd], [], [], patience)[0])
        finally:
            os.close(pidfd)
        if in_time:
            process.wait()
        return in_time
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    return True


def at_end(fd: int, until: float) -> bool:
    """Whether every writer has closed this pipe by then; unread data does not matter."""
    poll = select.poll()
    poll.register(fd, 0)  # a hang-up is always reported
    return bool(poll.poll(max(0.0, until - time.perf_counter()) * 1000))


def drain(fd: int) -> bytes:
    """Everything up to the end."""
    data = b""
    while more := os.read(fd, 65536):
        data += more
    return data


@dataclass(frozen=True, slots=True)
class Helper:
    """One build of the program under both of its names, in a directory of its own."""

    kind: str
    directory: Path

    @property
    def bazel(self) -> Path:
        """The program under the name that Bazel knows."""
        return self.directory / "credproxy-helper"

    @property
    def docker(self) -> Path:
        """The program under the name that docker knows."""
        return self.directory / "docker-credential-credproxy"


@dataclass(frozen=True, slots=True)
class Place:
    """A runtime directory of one test, short enough for a socket's path, and the environment that leads to it."""

    root: Path

    @property
    def directory(self) -> Path:
        """The private directory of the socket; the test makes it, or the helper does."""
        return self.root / "run" / "credproxy"

    @property
    def socket(self) -> Path:
        """Where the helper looks."""
        return self.directory / "helper.sock"

    @property
    def log(self) -> Path:
        """Where a started daemon writes to."""
        return self.root / "state" / "credproxy" / "daemon.log"

    def env(self, **more: str) -> dict[str, str]:
        """A bare environment that keeps the helper away from the tester's own daemon."""
        return {
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "XDG_STATE_HOME": str(self.root / "state"),
            "HOME": str(self.root / "home"),
            "PATH": str(self.root / "bin"),
            "CREDPROXY_AUTOSTART": "0",
            **more,
        }
