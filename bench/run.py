"""``make bench``: each figure beside its floor, measured in one run, printed as a table.

Ratios count, not times: the machine is noisy, and both sides of a ratio are measured alternately. This is not a test.
Each row shows its target.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from measuring import BIN, CALLS_PER_ROUND, HERE, ROUNDS, Bench, Load, h2load, show, spawn_time, status_kib


def _descriptors(pid: int) -> int:
    """Open files of a process; the daemon is not dumpable, so only root sees them."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


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
        "<= 1.15",
    )
    bench.add(
        "", measured, f"empty program {median['empty']:.2f} ms", f"{median['daemon'] / median['empty']:.2f}", "<= 2.2"
    )


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
        ">= 0.85",
    )
    bench.add("its p99", f"{ours99:.2f} ms", f"bare handler {bare99:.2f} ms", f"{ours99 / bare99:.2f}", "<= 1.3")
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


if __name__ == "__main__":
    sys.exit(main())
