"""``make bench``: each figure beside its floor, measured in one run, printed as a table.

Ratios count, not times: the machine is noisy, and both sides of a ratio are measured alternately. This is not a test.
Each row shows its target.
"""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def _descriptors(pid: int) -> int:
    """Open files of a process; the daemon is not dumpable, so only root sees them."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


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


def helper_calls(bench: Bench) -> None:
    """One warm helper call, beside an empty static program and the same helper on a bare handler."""
    helper = str(BIN / "credproxy-helper")
    cases = {
        "empty": (str(bench.empty), bench.environ),
        "bare": (helper, bench.environ | {"CREDPROXY_SOCKET": str(bench.folder / "bare" / "bare.sock")}),
        "daemon": (helper, bench.environ),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (program, environ) in cases.items():
            times[name] += [spawn_time(program, bench.body, environ) for _ in range(CALLS_PER_ROUND)]
    median = {name: statistics.median(values) * 1000 for name, values in times.items()}
    measured = f"{median['daemon']:.2f} ms"
    bench.add(
        "helper call, warm",
        measured,
        f"bare handler {median['bare']:.2f} ms",
        f"{median['daemon'] / median['bare']:.2f}",
        "<= 1.2",
    )
    bench.add(
        "", measured, f"empty program {median['empty']:.2f} ms", f"{median['daemon'] / median['empty']:.2f}", "<= 2.5"
    )


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


def _asking(bench: Bench, socket: Path, requests: int) -> Load:
    where = ("-d", bench.body, "-B", f"unix:{socket}", "http://localhost/v1/get")
    return h2load(bench.folder, 32, requests, *where)


def cached_requests(bench: Bench) -> None:
    """32 keep-alive connections that ask for a cached answer, alternating with the bare handler."""
    sockets = (bench.folder / "bare" / "bare.sock", bench.socket, bench.actions)
    rounds = [[_asking(bench, socket, 20_000) for socket in sockets] for _ in range(ROUNDS)]
    bare, ours, actions = (statistics.median(load.rate for load in side) for side in zip(*rounds, strict=True))
    bare99, ours99, _ = (statistics.median(load.p99 for load in side) for side in zip(*rounds, strict=True))
    bench.add(
        "cached POST /v1/get, 32 connections",
        f"{ours:,.0f}/s",
        f"bare handler {bare:,.0f}/s",
        f"{ours / bare:.2f}",
        ">= 0.6",
    )
    bench.add("its p99", f"{ours99:.2f} ms", f"bare handler {bare99:.2f} ms", f"{ours99 / bare99:.2f}", "<= 2")
    bench.add(
        "the same on the actions socket", f"{actions:,.0f}/s", f"helper socket {ours:,.0f}/s", f"{actions / ours:.2f}"
    )


def million(bench: Bench) -> None:
    """A million cached requests must not make the daemon grow."""
    _asking(bench, bench.socket, 50_000)
    before, open_before = bench.rss(), _descriptors(bench.daemon.pid)
    for _ in range(20):
        _asking(bench, bench.socket, 50_000)
    growth, files = bench.rss() - before, _descriptors(bench.daemon.pid) - open_before
    bench.add("1,000,000 cached requests", f"RSS {growth / 1024:+.1f} MB, {files:+d} descriptors", target="< 4 MB, 0")


def cold_uris(bench: Bench) -> None:
    """1,000 blobs of one repository through the helper executable, eight at a time, nothing cached."""
    bench.credproxy("flush")
    before = bench.counts()
    helper = str(BIN / "credproxy-helper")

    def ask(number: int) -> None:
        request = json.dumps({"uri": bench.uri(number)}).encode()
        subprocess.run([helper, "get"], input=request, env=bench.environ, check=True, stdout=subprocess.DEVNULL)

    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(1000)))
    spent, after = time.perf_counter() - begun, bench.counts()
    asked = {kind: after.get(kind, 0) - before.get(kind, 0) for kind in ("ping", "exchange")}
    bench.add(
        "1,000 cold URIs through the helper",
        f"{asked['ping']} ping, {asked['exchange']} exchange, {spent:.1f} s",
        target="1 ping, 1 exchange",
    )


def herd(bench: Bench) -> None:
    """10,000 clients at once on one cold key; the token server takes 200 ms."""
    time.sleep(1.1)  # flush is allowed once a second
    bench.credproxy("flush")
    before = bench.counts()
    body = json.dumps({"uri": bench.uri(0)})
    done = subprocess.run([bench.herd, bench.socket, "10000", body], capture_output=True, text=True, check=False)
    result = dict(part.split("=") for part in done.stdout.split())
    asked = bench.counts().get("exchange", 0) - before.get("exchange", 0)
    peak = status_kib(bench.daemon.pid, "VmHWM") / 1024
    bench.add(
        "10,000 clients at once, one cold key",
        f"{asked} exchange, {result['failed']} errors, {float(result['seconds']):.1f} s, peak RSS {peak:.0f} MB",
        target="1, 0, <= 8 s, <= 220 MB",
    )


def start_up(bench: Bench) -> None:
    """From exec to a listening socket, beside the unavoidable imports."""
    imports = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import aiohttp.web"], check=True)
        imports.append(time.perf_counter() - begun)
    floor = min(imports)
    bench.add(
        "start to ready",
        f"{bench.started:.2f} s",
        f"import aiohttp.web {floor:.2f} s",
        f"+{bench.started - floor:.2f} s",
        "<= +0.4 s",
    )
    bench.add("idle RSS", f"{bench.rss() / 1024:.0f} MB", target="<= 60 MB")


def full_cache(bench: Bench) -> None:
    """100,000 entries, beyond the bytes of their tokens."""
    done = subprocess.run([sys.executable, HERE / "full_cache.py"], check=True, capture_output=True, text=True)
    once, twice = map(float, done.stdout.split())
    bench.add("100,000 cached entries beyond their tokens", f"{once:+.0f} MB", target="<= +60 MB")
    bench.add("the same, each asked twice", f"{twice:+.0f} MB")


PARTS: tuple[Callable[[Bench], None], ...] = (
    start_up,
    helper_calls,
    cached_requests,
    cold_uris,
    herd,
    million,
    full_cache,
)


def main() -> int:
    """Run every part, or those named on the command line; print the table."""
    wanted = sys.argv[1:]
    if shutil.which("h2load") is None:
        print("h2load is missing: apt-get install nghttp2-client", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="credproxy-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        for part in PARTS:
            if not wanted or part.__name__ in wanted:
                part(bench)
    show("credproxy, this machine, one run", bench.rows)
    return 0


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table("what", "measured", "floor", "ratio", "target", title=title)
    for row in rows:
        table.add_row(row.what, row.measured, row.floor, row.ratio, row.target)
    Console(width=130).print(table)


if __name__ == "__main__":
    sys.exit(main())
