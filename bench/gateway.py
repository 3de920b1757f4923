"""The gateway's figures, beside curl straight to the same nginx in the same run, over TLS and plain.

    gateway.py [PART ...]

Each row shows its target. Ratios count: both sides of a ratio are measured alternately, on a machine that they share
with the server. All traffic stays on the loopback.
"""

import http.client
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from run import BIN, Row, end, h2load, show, spawn_time, status_kib


MIB = 1024 * 1024
ROUNDS = 5
CALLS = 300
SIZES = {"big": 512 * MIB, "layer": 64 * MIB, "small": 1024}
NGINX = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; default_type application/octet-stream;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{tls} ssl; listen 127.0.0.1:{plain};
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
    root {folder}/root;
    location = /v2/ {{ return 200 "{{}}"; }}
  }}
}}
"""


@dataclass
class Bench:
    """nginx with three blobs, a daemon that may fetch them, and the rows so far."""

    folder: Path
    stack: ExitStack
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tls, self.plain = _free_port(), _free_port()
        self._nginx()
        self.actions = self.folder / "credproxy-actions" / "actions.sock"
        self.helper = self.folder / "credproxy" / "helper.sock"
        self.daemon = self._daemon()

    def path(self, blob: str) -> str:
        """The path of a blob; its name has the form of a digest, and the bench only verifies lengths."""
        return f"/v2/bench/app/blobs/sha256:{SIZES[blob]:064x}"

    def authority(self, *, tls: bool) -> str:
        """The registry's name."""
        return f"localhost:{self.tls if tls else self.plain}"

    def direct(self, blob: str, *, tls: bool, times: int = 1) -> float:
        """Bytes per second of curl straight to nginx, with ``count`` downloads at once."""
        scheme = "https" if tls else "http"
        return self._curl(f"{scheme}://{self.authority(tls=tls)}{self.path(blob)}", blob, times)

    def through(self, blob: str, *, tls: bool, times: int = 1, inside: Sequence[str] = ()) -> float:
        """The same through the gateway; ``inside`` is the command that starts curl, such as ``unshare``."""
        header = f"X-Rules_img-Original-Host: {self.authority(tls=tls)}"
        where = ["--unix-socket", str(self.actions), "-H", header]
        return self._curl(f"http://localhost{self.path(blob)}", blob, times, *where, inside=inside)

    def add(self, what: str, measured: str, floor: str = "", ratio: str = "", target: str = "") -> None:
        """Keep a row."""
        self.rows.append(Row(what, measured, floor, ratio, target))

    def memory(self) -> float:
        """The daemon's resident set and the carriers' own share (PSS), in MB."""
        return status_kib(self.daemon.pid, "VmRSS") / 1024 + sum(self.carriers())

    def carriers(self) -> list[float]:
        """The own share (PSS) of each carrier, and of the process that they are forked from, in MB."""
        shares = []
        for pid in (found for parent in _children(self.daemon.pid) for found in (parent, *_children(parent))):
            with suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                shares += [int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:")]
        return shares

    def spent(self) -> float:
        """Seconds of CPU of the carriers so far."""
        return sum(_cpu(pid) for nursery in _children(self.daemon.pid) for pid in _children(nursery))

    def _curl(self, url: str, blob: str, times: int, *options: str, inside: Sequence[str] = ()) -> float:
        argv = [*inside, "curl", "-sS", "--fail", "--cacert", self.folder / "ca.pem", *options]
        argv += ["--parallel", "--parallel-immediate", "--parallel-max", str(times)] if times > 1 else []
        argv += [part for _ in range(times) for part in ("-o", "/dev/null", url)]
        begun = time.perf_counter()
        done = subprocess.run([*argv, "-w", "%{size_download}\n"], check=False, capture_output=True, text=True)
        spent = time.perf_counter() - begun
        if done.returncode:
            log = "\n".join(self.log.read_text().splitlines()[-5:])
            raise SystemExit(f"curl: {done.stderr}the end of the daemon's log:\n{log}")
        if [int(line) for line in done.stdout.split()] != [SIZES[blob]] * times:
            raise SystemExit(f"not every byte arrived: {done.stdout}")
        return times * SIZES[blob] / spent

    def _nginx(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        leaf.private_key_and_cert_chain_pem.write_to_path(str(self.folder / "server.pem"))
        (self.folder / "root" / "v2" / "bench" / "app" / "blobs").mkdir(parents=True)
        for name, size in SIZES.items():
            place = self.folder / "root" / self.path(name)[1:]
            with place.open("wb") as file:
                for at in range(0, size, MIB):
                    file.write(os.urandom(min(MIB, size - at)))
        self.folder.chmod(0o755)  # nginx's workers run as another user
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, tls=self.tls, plain=self.plain))
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        process = subprocess.Popen([program or "nginx", "-c", config], stderr=subprocess.DEVNULL)
        self.stack.callback(end, process)
        _until(lambda: _listens(self.plain))

    def _daemon(self) -> subprocess.Popen[bytes]:
        hosts = "".join(
            f'[[host]]\nmatch = "{self.authority(tls=tls)}"\nprovider = "oci"\nca_bundle = "{self.folder}/ca.pem"\n'
            f'credentials = {{ source = "env", name = "BENCH_PASSWORD", username = "bench" }}\ninsecure = {insecure}\n'
            f'[[actions.rule]]\naction = "allow"\nregistry = "{self.authority(tls=tls)}"\n'
            'repository = "**"\noperations = ["blob:read", "manifest:read"]\n'
            for tls, insecure in ((True, "false"), (False, "true"))
        )
        config = self.folder / "config" / "credproxy" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(hosts)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "CREDPROXY_SOCKET": str(self.helper),
            "CREDPROXY_ACTIONS_SOCKET": str(self.actions),
            "BENCH_PASSWORD": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
            "GCE_METADATA_HOST": "127.0.0.1:1",
        }
        self.log = self.folder / "log"
        log = self.log.open("ab")
        process = subprocess.Popen([BIN / "credproxy", "serve"], env=environ, stderr=log)
        self.stack.callback(end, process)
        _until(self.actions.exists)
        return process


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _until(true: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + 10
    while not true():
        if time.perf_counter() > deadline:
            raise SystemExit("nginx or the daemon did not start")
        time.sleep(0.01)


def large(bench: Bench) -> None:
    """One blob of 512 MiB, over TLS and plain."""
    for tls, target in ((True, ">= 0.7"), (False, ">= 1.0")):
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
        _until(place.exists)
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
