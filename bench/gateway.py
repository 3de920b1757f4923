"""The gateway's figures, beside curl straight to the same nginx in the same run, over TLS and plain.

    gateway.py [PART ...]

Each row shows its target. Ratios count: both sides of a ratio are measured alternately, on a machine that they share
with the server. All traffic stays on the loopback.
"""

import http.client
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gateway_setup import MIB, SIZES, Bench, until
from measuring import BIN, end, h2load, show, spawn_time


ROUNDS = 5
CALLS = 300


def large(bench: Bench) -> None:
    """One blob of 512 MiB, over TLS and plain."""
    for tls, target in ((True, ">= 0.85"), (False, ">= 1.1")):
        rounds = [(bench.direct("big", tls=tls), bench.through("big", tls=tls)) for _ in range(ROUNDS)]
        direct, through = (statistics.median(side) for side in zip(*rounds, strict=True))
        bench.add(
            f"one blob of 512 MiB over {'TLS' if tls else 'plain HTTP'}",
            f"{through / 1e6:,.0f} MB/s",
            f"curl to nginx {direct / 1e6:,.0f} MB/s",
            f"{through / direct:.2f}",
            target,
        )


def many(bench: Bench) -> None:
    """16 blobs of 64 MiB at once over TLS: by one curl, whose connections are one carrier's, and by 16 of them."""
    bench.through("layer", tls=True)  # makes sure that there is a carrier
    before = bench.memory()
    with _peak(bench.memory) as peak:
        _many(bench, "by one curl", lambda get: get("layer", tls=True, times=16))
        _many(bench, "by 16 curls", lambda get: _at_once(16, lambda: get("layer", tls=True)))
    bench.add("memory of all processes while they stream", f"{peak[0] - before:+.0f} MB", target="<= +32 MB")


def _many(bench: Bench, how: str, rate: "Callable[[Callable[..., float]], float]") -> None:
    rounds = []
    rate(bench.through)  # all carriers have started
    for _ in range(ROUNDS):
        direct, begun = rate(bench.direct), bench.spent()
        through = rate(bench.through)
        rounds.append((direct, through, through / direct, (bench.spent() - begun) / (16 * SIZES["layer"] / 1024 / MIB)))
    direct, through, ratio, spent = (statistics.median(side) for side in zip(*rounds, strict=True))
    bench.add(
        f"16 blobs of 64 MiB at once over TLS, {how}",
        f"{through / 1e6:,.0f} MB/s",
        f"curl to nginx {direct / 1e6:,.0f} MB/s",
        f"{ratio:.2f} ({min(one[2] for one in rounds):.2f} to {max(one[2] for one in rounds):.2f})",
        ">= 0.80 in each",
    )
    bench.add("CPU of the carriers meanwhile", f"{spent:.2f} s a GiB", target="<= 1.25 s")


def _at_once(count: int, get: Callable[[], float]) -> float:
    """Bytes per second of several processes together, each with one layer."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(get) for _ in range(count)]:
            done.result()
    return count * SIZES["layer"] / (time.perf_counter() - begun)


def helper(bench: Bench) -> None:
    """Calls of the helper while 16 layers stream through the gateway, straight to curl, and while nothing streams."""
    body = bench.folder / "question"
    body.write_text(json.dumps({"uri": f"https://{bench.authority(tls=True)}{bench.path('small')}"}))
    environ = {"PATH": os.environ["PATH"], "HOME": str(bench.folder), "CREDPROXY_SOCKET": str(bench.helper)}

    def calls() -> list[float]:
        spent = []
        for _ in range(CALLS):
            spent.append(spawn_time(str(BIN / "credproxy-helper"), body, environ))
            time.sleep(0.004)  # so that they meet all of a download, and load nothing themselves
        return spent

    def told(spent: list[float]) -> tuple[float, float]:
        spent = sorted(spent)
        return spent[len(spent) // 2] * 1000, spent[len(spent) * 99 // 100] * 1000

    quiet, beside_curl, beside_ours, roots = calls(), [], [], []
    for _ in range(ROUNDS):  # by turns, because a machine's neighbours make one minute slower than the next
        with _streaming(lambda: bench.direct("layer", tls=True, times=16)):
            beside_curl += calls()
        with _streaming(lambda: bench.through("layer", tls=True, times=16)):
            beside_ours += calls()
            roots += _latencies(bench.actions, "GET", "/v2/", b"")
    quiet, straight, ours, root = told(quiet), told(beside_curl), told(beside_ours), told(roots)
    bench.add(
        "a helper call, 16 layers streaming through the gateway over TLS",
        f"p50 {ours[0]:.1f} ms, p99 {ours[1]:.1f} ms",
        f"straight to curl {straight[0]:.1f}, {straight[1]:.1f} ms; quiet {quiet[0]:.1f}, {quiet[1]:.1f} ms",
        f"{ours[0] / straight[0]:.2f}, {ours[1] / straight[1]:.2f}",
        "<= 1.2",
    )
    bench.add(
        "/v2/ on the actions socket meanwhile", f"p50 {root[0]:.1f} ms, p99 {root[1]:.1f} ms", target="<= 1.5, 10 ms"
    )


@contextmanager
def _streaming(stream: Callable[[], object]) -> Iterator[None]:
    """Download again and again while the block runs."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            stream()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        time.sleep(0.3)
        yield
    finally:
        over.set()
        thread.join()


def sandboxes(bench: Bench) -> None:
    """64 sandboxes at once, one layer each over TLS; if a byte of any is missing, the bench fails."""
    spent = []

    def one() -> float:
        begun = time.perf_counter()
        rate = bench.through("layer", tls=True, inside=("unshare", "-Urmpnf"))
        spent.append(time.perf_counter() - begun)
        return rate

    rate = _at_once(64, one)
    bench.add(
        "64 sandboxes at once, one layer each over TLS",
        f"{rate / 1e6:,.0f} MB/s, 0 errors",
        f"fastest {min(spent):.1f} s, slowest {max(spent):.1f} s",
        f"{max(spent) / min(spent):.2f}",
        "<= 2",
    )


@contextmanager
def _peak(value: Callable[[], float]) -> Iterator[list[float]]:
    """The highest value while the block runs."""
    highest, over = [value()], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            highest[0] = max(highest[0], value())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()


def others(bench: Bench) -> None:
    """Other requests on both sockets while four large blobs stream over TLS."""
    body = json.dumps({"uri": f"https://{bench.authority(tls=True)}{bench.path('small')}"}).encode()
    cases = {
        "/v2/ on the actions socket": lambda: _latencies(bench.actions, "GET", "/v2/", b""),
        "a cached answer on the actions socket": lambda: _latencies(bench.actions, "POST", "/v1/get", body),
        "a cached answer on the helper socket": lambda: _latencies(bench.helper, "POST", "/v1/get", body),
    }
    for what, measure in cases.items():
        with _streaming(lambda: bench.through("big", tls=True, times=4)):
            spent = measure()
        p50, p99 = spent[len(spent) // 2] * 1000, spent[len(spent) * 99 // 100] * 1000
        bench.add(
            f"{what}, four blobs streaming", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", target="p50 <= 5, p99 <= 20 ms"
        )


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def _latencies(place: Path, method: str, path: str, body: bytes, count: int = 1000) -> list[float]:
    connection, spent = _Unix(place), []
    for _ in range(count):
        begun = time.perf_counter()
        connection.request(method, path, body or None)
        answer = connection.getresponse()
        answer.read()
        spent.append(time.perf_counter() - begun)
        if answer.status != http.client.OK:
            raise SystemExit(f"{path} was answered with {answer.status}")
        time.sleep(0.001)
    connection.close()
    return sorted(spent)


def first(bench: Bench) -> None:
    """The first layer, before there is a carrier, and the next ones; and what idle carriers cost."""
    time.sleep(3)  # the process that they are forked from starts after the daemon
    alone = bench.memory()

    def once() -> float:
        begun = time.perf_counter()
        bench.through("small", tls=True)
        return time.perf_counter() - begun

    first_of_all = once()
    later = statistics.median(once() for _ in range(20))
    spent = f"{first_of_all * 1000:.0f} ms"
    bench.add("first layer, curl included", spent, f"a later one {later * 1000:.0f} ms", "", "<= +150 ms")
    shares = bench.carriers()
    told = ", ".join(f"{share:.0f}" for share in shares)
    bench.add("daemon (RSS) and nursery (PSS), without carriers", f"{alone:.0f} MB")
    bench.add("nursery and carriers, idle, own share (PSS)", f"{told} MB", target="<= 22 MB a carrier")


def small(bench: Bench) -> None:
    """Blobs of 1 KiB, 8 at a time, beside a naive pass-through in the same run."""
    for tls, target in ((True, ">= 0.6"), (False, ">= 0.7")):
        url = f"{'https' if tls else 'http'}://{bench.authority(tls=tls)}{bench.path('small')}"
        place = bench.folder / f"naive-{tls}.sock"
        naive = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "naive.py", place, url, bench.folder / "ca.pem"]
        )
        bench.stack.callback(end, naive)
        until(place.exists)
        header = f"X-Rules_img-Original-Host: {bench.authority(tls=tls)}"
        where = f"http://localhost{bench.path('small')}"
        rounds = [
            (
                h2load(bench.folder, 8, 10_000, "-B", f"unix:{place}", where).rate,
                h2load(bench.folder, 8, 10_000, "-H", header, "-B", f"unix:{bench.actions}", where).rate,
            )
            for _ in range(3)
        ]
        floor, ours = (statistics.median(side) for side in zip(*rounds, strict=True))
        what = f"blobs of 1 KiB over {'TLS' if tls else 'plain HTTP'}, 8 at a time"
        bench.add(what, f"{ours:,.0f}/s", f"naive pass-through {floor:,.0f}/s", f"{ours / floor:.2f}", target)


def hostile(bench: Bench) -> None:
    """2,000 idle connections, 500 that send a header byte by byte, and garbage on the actions socket."""
    body = json.dumps({"uri": f"https://{bench.authority(tls=True)}{bench.path('small')}"}).encode()
    over = threading.Event()
    with ExitStack() as stack:
        held = [stack.enter_context(_connected(bench.actions)) for _ in range(2500)]

        def drip() -> None:
            while not over.wait(0.2):
                for sock in held[2000:]:
                    with suppress(OSError):
                        sock.send(b"G", socket.MSG_DONTWAIT)

        def garbage() -> None:
            while not over.wait(0.005):
                with suppress(OSError), _connected(bench.actions) as sock:
                    sock.sendall(b"\x16\x03\x01 GET /v2/../../ HTTP/9.9\r\n\r\n")
                    sock.recv(4096)

        threads = [threading.Thread(target=work) for work in (drip, garbage)]
        for thread in threads:
            thread.start()
        spent = _latencies(bench.helper, "POST", "/v1/get", body)
        over.set()
        for thread in threads:
            thread.join()
    p50, p99 = spent[len(spent) // 2] * 1000, spent[len(spent) * 99 // 100] * 1000
    what = "a cached answer on the helper socket, 2,500 hostile connections and garbage on the other"
    bench.add(
        what, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, log {bench.log.stat().st_size:,} bytes", target="p99 <= 50 ms"
    )


def _connected(place: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(place))
    return sock


def pumps(bench: Bench) -> None:
    """Compares ways to move a body, so that the choice stays based on measurements."""
    for tls, scheme in ((True, "https"), (False, "http")):
        url = f"{scheme}://{bench.authority(tls=tls)}{bench.path('big')}"
        argv = [sys.executable, Path(__file__).parent / "pumps.py", bench.folder / "ca.pem", url]
        rates = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        measured = ", ".join(f"{name} {found / 1e6:,.0f}" for name, found in rates.items())
        chosen = rates["thread" if tls else "splice"] / rates["loop"]
        bench.add(f"pumps over {scheme}, MB/s", measured, "loop", f"{chosen:.2f}")


PARTS: tuple[Callable[[Bench], None], ...] = (first, large, many, helper, sandboxes, others, small, hostile, pumps)


def main() -> int:
    """Run every part, or those named; print the table."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="credproxy-gateway-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        for part in PARTS:
            if not wanted or part.__name__ in wanted:
                part(bench)
    show("the gateway, this machine, one run", bench.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
