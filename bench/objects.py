"""``make bench``, the fourth table: signatures for objects of one bucket, none of which was asked about before.

The key is what a program of the user's prints, so that each look at the chain of credentials is counted: it goes through the
worker of libraries, which starts with the first. Nothing is sent to any store.
"""

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from measuring import BIN, CALLS_PER_ROUND, ROUNDS, Bench, show, spawn_time


OBJECTS = 1000
WAITING = 5000
SIGNED = 6000
CONNECTIONS = 8

_numbers = count()


def fresh() -> str:
    """The URI of an object that nobody has asked about."""
    return f"https://bucket.s3.eu-west-1.amazonaws.com/toolchains/llvm-{next(_numbers):06}.tar.zst"


def prepare(bench: Bench) -> Path:
    """Give the daemon's user a key; give the file that has a line for each look at it."""
    folder = bench.folder / ".aws"
    folder.mkdir()
    keys = {"Version": 1, "AccessKeyId": "AKIDBENCH", "SecretAccessKey": "bench", "Expiration": "2099-01-01T00:00:00Z"}
    (folder / "keys").write_text(json.dumps(keys))
    (folder / "printer").write_text(f"#!/bin/sh\necho x >> {folder}/looks\ncat {folder}/keys\n")
    (folder / "printer").chmod(0o700)
    (folder / "config").write_text(f"[default]\ncredential_process = {folder}/printer\n")
    (folder / "looks").touch()
    return folder / "looks"


def waiting_objects(bench: Bench, looks: Path) -> None:
    """Distinct objects, a connection each, while the key is looked up: more than the queue for exchanges holds."""
    bench.credproxy("flush")
    looks.write_text("")
    body = json.dumps({"uri": "https://bucket.s3.eu-west-1.amazonaws.com/waiting/@.tar"})
    done = subprocess.run([bench.herd, bench.socket, str(WAITING), body], capture_output=True, text=True, check=False)
    result = dict(part.split("=") for part in done.stdout.split())
    bench.add(
        f"{WAITING:,} cold objects at once",
        f"{len(looks.read_text().splitlines())} look at the key, {result['failed']} errors, {float(result['seconds']):.1f} s",
        target="1 look, 0 errors",
    )


def cold_objects(bench: Bench, looks: Path) -> None:
    """Through the helper executable, eight at a time, from a daemon that has not signed yet."""
    helper = str(BIN / "credproxy-helper")

    def ask(uri: str) -> None:
        request = json.dumps({"uri": uri}).encode()
        done = subprocess.run([helper, "get"], input=request, env=bench.environ, check=True, capture_output=True)
        if b"AWS4-HMAC-SHA256" not in done.stdout:
            raise SystemExit(f"no signature: {done.stdout!r}")

    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, [fresh() for _ in range(OBJECTS)]))
    spent = time.perf_counter() - begun
    asked = len(looks.read_text().splitlines())
    bench.add(
        f"{OBJECTS:,} cold objects through the helper", f"{asked} look at the key, {spent:.1f} s", target="1 look"
    )


def calls(bench: Bench) -> None:
    """One helper call for an object that is signed for it, in turns with one for a cached answer of a registry."""
    helper, body = str(BIN / "credproxy-helper"), bench.folder / "object"
    rounds: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        times: dict[str, list[float]] = {"object": [], "registry": []}
        for _ in range(CALLS_PER_ROUND):
            body.write_text(json.dumps({"uri": fresh()}))
            times["object"].append(spawn_time(helper, body, bench.environ))
            times["registry"].append(spawn_time(helper, bench.body, bench.environ))
        rounds.append((statistics.median(times["object"]) * 1000, statistics.median(times["registry"]) * 1000))
    object_, registry = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for one, other in rounds)
    bench.add(
        "helper call, cold object, p50",
        f"{object_:.2f} ms",
        f"cached registry answer {registry:.2f} ms",
        f"{ratio:.2f}",
        "<= 1.6",
    )


class _Connection(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def signatures(bench: Bench) -> None:
    """Distinct objects over a few kept connections: what the daemon signs and answers, this client's own time included."""

    def ask(share: Iterator[str]) -> None:
        connection = _Connection(bench.socket)
        for uri in share:
            connection.request("POST", "/v1/get", json.dumps({"uri": uri}))
            answer = connection.getresponse()
            if answer.status != 200 or b"AWS4-HMAC-SHA256" not in answer.read():
                raise SystemExit(f"no signature: {answer.status}")
        connection.close()

    shares = [[fresh() for _ in range(SIGNED // CONNECTIONS)] for _ in range(CONNECTIONS)]
    before, begun = _cpu(bench.daemon.pid), time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(ask, map(iter, shares)))
    spent, busy = time.perf_counter() - begun, _cpu(bench.daemon.pid) - before
    bench.add(
        f"{SIGNED:,} cold objects, {CONNECTIONS} connections",
        f"{SIGNED / spent:,.0f}/s",
        f"the daemon's own time {SIGNED / busy:,.0f}/s",
        target=">= 1,500/s",
    )
    bench.add("resident after them", f"{bench.rss() / 1024:.0f} MB")


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run every part; print the table."""
    with tempfile.TemporaryDirectory(prefix="credproxy-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        bench.add("idle, nothing signed", f"{bench.rss() / 1024:.0f} MB")
        looks = prepare(bench)
        cold_objects(bench, looks)
        calls(bench)
        signatures(bench)
        waiting_objects(bench, looks)
    show("objects: signatures, this machine, one run", bench.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
