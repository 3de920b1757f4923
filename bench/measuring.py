"""What the benches share: a daemon beside a registry, timers, and the table that they print."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table


HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
ROUNDS = 5
CALLS_PER_ROUND = 100


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    floor: str
    ratio: str
    target: str


class Bench:
    """A folder, its processes, and the rows so far."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.rows: list[Row] = []
        self._stack = stack
        self.empty = self._compile("floor.c", static=True)
        self.herd = self._compile("herd.c", static=False)
        self.upstream = json.loads(self._start([sys.executable, str(HERE / "upstream.py"), "0.2"]).readline())["port"]
        self.body = folder / "body"
        self.body.write_text(json.dumps({"uri": self.uri(0)}))
        self.environ = self._environment()
        (folder / "bare").mkdir(mode=0o700)  # the helper refuses a socket in a directory that others may write
        bare = folder / "bare" / "bare.sock"
        self._serve([sys.executable, str(HERE / "bare.py"), str(bare)], bare)
        self.socket = Path(self.environ["CREDPROXY_SOCKET"])
        self.actions = self.folder / "credproxy-actions" / "actions.sock"
        self.started = 0.0
        self.daemon = self._daemon()

    def uri(self, number: int, repository: str = "acme/app") -> str:
        """A blob's URI."""
        return f"http://127.0.0.1:{self.upstream}/v2/{repository}/blobs/sha256:{number:064x}"

    def counts(self) -> dict[str, int]:
        """The requests to the registry so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.upstream}/counts") as answer:
            counts: dict[str, int] = json.loads(answer.read())
        return counts

    def credproxy(self, *args: str) -> str:
        """Run the command line against the bench's daemon."""
        done = subprocess.run([BIN / "credproxy", *args], env=self.environ, check=True, capture_output=True, text=True)
        return done.stdout

    def add(self, what: str, measured: str, floor: str = "", ratio: str = "", target: str = "") -> None:
        """Keep a row."""
        self.rows.append(Row(what, measured, floor, ratio, target))

    def rss(self) -> int:
        """The daemon's resident set in KiB."""
        return status_kib(self.daemon.pid, "VmRSS")

    def _compile(self, source: str, *, static: bool) -> Path:
        out = self.folder / Path(source).stem
        flags = ["-static"] if static else []
        subprocess.run(["cc", "-O2", "-std=gnu11", *flags, "-o", out, HERE / source], check=True)
        return out

    def _environment(self) -> dict[str, str]:
        config = self.folder / "config.toml"
        config.write_text(
            f'[[host]]\nmatch = "127.0.0.1:{self.upstream}"\nprovider = "oci"\n'
            'credentials = { source = "env", name = "BENCH_PASSWORD", username = "bench" }\n'
            f'[[actions.rule]]\naction = "allow"\nregistry = "127.0.0.1:{self.upstream}"\n'
            'repository = "**"\noperations = ["blob:read"]\n'
        )
        (self.folder / "config" / "credproxy").mkdir(parents=True)
        config.rename(self.folder / "config" / "credproxy" / "config.toml")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_RUNTIME_DIR": str(self.folder),
            "CREDPROXY_SOCKET": str(self.folder / "credproxy" / "helper.sock"),
            "CREDPROXY_AUTOSTART": "0",
            "BENCH_PASSWORD": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
            "GCE_METADATA_HOST": "127.0.0.1:1",
        }

    def _start(self, argv: list[str]) -> IO[bytes]:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self._stack.callback(end, process)
        assert process.stdout is not None
        return process.stdout

    def _serve(self, argv: list[str], socket: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(argv, env=self.environ, stderr=(self.folder / "log").open("ab"))
        self._stack.callback(end, process)
        while not socket.exists():
            time.sleep(0.002)
        return process

    def _daemon(self) -> subprocess.Popen[bytes]:
        begun = time.perf_counter()
        process = self._serve([str(BIN / "credproxy"), "serve"], self.socket)
        self.started = time.perf_counter() - begun
        return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def status_kib(pid: int, field: str) -> int:
    """A field of a process's status, such as VmRSS, in KiB."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def spawn_time(program: str, body: Path, environ: dict[str, str]) -> float:
    """Seconds from start to exit of one helper call, its pipes as files so that nothing else is measured."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, str(body), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]
    begun = time.perf_counter()
    pid = os.posix_spawn(program, [program, "get"], environ, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    spent = time.perf_counter() - begun
    if program.endswith("helper") and status != 0:
        raise SystemExit(f"{program} failed with status {status}")
    return spent


@dataclass(frozen=True)
class Load:
    """The result of one run of h2load."""

    rate: float
    p99: float


def h2load(folder: Path, connections: int, requests: int, *options: str | Path) -> Load:
    """Send requests over several connections; each must be answered with 2xx."""
    times = folder / "times"
    times.unlink(missing_ok=True)
    program = shutil.which("h2load") or "h2load"
    counts = ["-n", str(requests), "-c", str(connections), "-t", "1"]
    done = subprocess.run(
        [program, "--h1", *counts, f"--log-file={times}", *options], check=True, capture_output=True, text=True
    )
    if f"{requests} 2xx" not in done.stdout:
        raise SystemExit(f"not every request was answered:\n{done.stdout}")
    rate = re.search(r"([\d.]+) req/s", done.stdout)
    assert rate is not None
    spent = sorted(int(line.split()[2]) for line in times.read_text().splitlines())
    return Load(float(rate[1]), spent[len(spent) * 99 // 100] / 1000)


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table("what", "measured", "floor", "ratio", "target", title=title)
    for row in rows:
        table.add_row(row.what, row.measured, row.floor, row.ratio, row.target)
    Console(width=130).print(table)
