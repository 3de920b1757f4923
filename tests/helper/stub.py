"""Stands in for ``credproxy serve`` when a helper starts it; ``install`` makes it a program.

It notes how it was started, then does what STUB_MODE says: ``listen`` (after STUB_DELAY seconds), ``sleep``, ``exit``.
"""

import json
import os
import signal
import sys
from pathlib import Path


SOURCE = r"""#!@PYTHON@ -IS
import json, os, socket, sys, time

root = os.environ["STUB_ROOT"]
place = os.environ.get("STUB_SOCKET") or os.environ["XDG_RUNTIME_DIR"] + "/credproxy/helper.sock"
with open("/proc/self/status") as status:
    signals = dict(line.split(":\t") for line in status if line.startswith(("SigBlk", "SigIgn")))
note = {
    "pid": os.getpid(),
    "argv": sys.argv,
    "cwd": os.getcwd(),
    "sid": os.getsid(0),
    "pgid": os.getpgid(0),
    "stdio": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
    "inherited": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2),
    "blocked": int(signals["SigBlk"], 16),
    "ignored": int(signals["SigIgn"], 16),
    "environ": dict(os.environ),
}
unfinished = f"{root}/unfinished-{os.getpid()}"
with open(unfinished, "w") as file:
    json.dump(note, file)
os.rename(unfinished, f"{root}/starts/{os.getpid()}")
mode = os.environ.get("STUB_MODE", "listen")
if mode == "exit":
    print("cannot start today", file=sys.stderr)
    sys.exit(1)
if mode == "sleep":
    time.sleep(60)
time.sleep(float(os.environ.get("STUB_DELAY", "0")))
if os.path.exists(place):
    os.unlink(place)
listener = socket.socket(socket.AF_UNIX)
listener.bind(place)
listener.listen(64)
while True:
    connection, _ = listener.accept()
    with connection:
        data = b""
        while not data.endswith(b"}"):
            data += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nstarted")
"""


def install(directory: Path) -> Path:
    """Make the program ``credproxy`` in that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "credproxy"
    program.write_text(SOURCE.replace("@PYTHON@", sys.executable))
    program.chmod(0o755)
    return program


class Starts:
    """What the stubs of one test noted."""

    def __init__(self, root: Path) -> None:
        self._directory = root / "starts"
        self._directory.mkdir()

    def notes(self) -> list[dict[str, object]]:
        """One note for each start."""
        return [json.loads(path.read_text()) for path in self._directory.iterdir()]

    def count(self) -> int:
        """How many stubs were started."""
        return len(list(self._directory.iterdir()))

    def kill(self) -> None:
        """Kill them: they are not our child processes."""
        for path in self._directory.iterdir():
            try:
                os.kill(int(path.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
