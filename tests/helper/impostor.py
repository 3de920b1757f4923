"""Programs that listen in place of the daemon, inside and outside of sandboxes."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


LISTENER = """
import ctypes, os, select, socket, sys, time
path, how = sys.argv[1:]
first = os.getpid()
if "hidden" in how:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(8)
if "left" in how and os.fork():
    os._exit(0)
while "left" in how and os.getppid() == first:
    time.sleep(0.01)
print(flush=True)
if "left" in how:
    if sys.stdin in select.select([listener, sys.stdin], [], [])[0] or not "succeed" in how:
        sys.stdin.read()
        sys.exit()
    listener.listen(8)
while True:
    connection, _ = listener.accept()
    data = connection.recv(65536)
    if data:
        print(len(data), flush=True)
        connection.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
        if "left" in how:
            break
    connection.close()
"""
"""Prints a line when it listens, and for each request the number of bytes."""

SANDBOXES = {
    "user, mount and pid": ("--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"),
    "with a /proc of its own": ("--user", "--map-root-user", "--mount-proc", "--pid", "--fork", "--kill-child"),
    "mount": ("--user", "--map-root-user", "--mount"),
    "user": ("--user", "--map-root-user"),
}


@contextmanager
def listening(path: Path, *around: str, how: str = "") -> Iterator[subprocess.Popen[str]]:
    """A program that listens where the helper looks, started by the command ``around``."""
    argv = [*around, sys.executable, "-IS", "-c", LISTENER, str(path), how]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "\n"
            yield process
        finally:
            process.kill()


def unshare(*options: str) -> tuple[str, ...]:
    """The command that makes a sandbox; skips if this user may not make one."""
    argv = ("unshare", *options)
    if shutil.which("unshare") is None or subprocess.run([*argv, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"allow namespaces: {' '.join(argv)} fails here")
    return argv
