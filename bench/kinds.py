"""``make bench``, the fifth table: 10,000 URLs of ten kinds at once, and what the extras cost where nobody uses them.

Each kind has a stand-in that counts: a registry, a token server, a Vault, and programs that append a line for each run.
Nothing leaves the machine.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from measuring import BIN, Bench, end, show, spawn_time, status_kib


URLS = 10_000
CONNECTIONS = 256
"""As many as a large build has helpers at once. One connection has one question under way, so that is what waits."""

ROUNDS = 5
SLOW = 0.2

_numbers = count()

HOSTS = {
    "oci": "",  # the bench's registry
    "s3": "bucket.s3.eu-west-1.amazonaws.com",
    "github": "github.com/acme/tools/releases/download/v1",
    "gitlab": "gitlab.test/api/v4/projects/7/packages/generic/tools/1",
    "huggingface": "huggingface.co/acme/model/resolve/main",
    "remoteapis": "cache.test/cas",
    "oauth2": "files.test/x",
    "vault": "artifacts.test/x",
    "google": "storage.googleapis.com/bucket",
    "azure": "acme.blob.core.windows.net/container",
}


class StandIn:
    """A token server and a Vault.

    Attributes:
        counts: requests by path.
        delay: seconds that each takes.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.delay = 0.0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        self.counts[path] += 1
        await asyncio.sleep(self.delay)
        token = {"access_token": "bench", "token_type": "Bearer", "expires_in": 3600}
        secret = {"data": {"data": {"password": "bench"}, "metadata": {"version": 1}}}
        body = json.dumps(secret if path.startswith("/v1/") else token).encode()
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


class Kinds(Bench):
    """The bench with a login for each kind."""

    port = 0

    def uri(self, number: int, repository: str = "acme/app") -> str:
        """One more URL; the kinds take turns."""
        kind = list(HOSTS)[number % len(HOSTS)]
        if kind == "oci":
            return super().uri(number, repository)
        return f"https://{HOSTS[kind]}/file-{number:06}.tar"

    def lines(self) -> Counter[str]:
        """How often each program has run."""
        return Counter({file.stem: len(file.read_text().splitlines()) for file in self.folder.glob("*.runs")})

    def _program(self, name: str, said: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\necho x >> {self.folder}/{name}.runs\nsleep 0.2\ncat <<'EOF'\n{said}\nEOF\n")
        path.chmod(0o700)
        return path

    def _environment(self) -> dict[str, str]:
        environ = super()._environment()
        rules = Path(environ["XDG_CONFIG_HOME"]) / "credproxy" / "config.toml"
        keys = {"Version": 1, "AccessKeyId": "AKIDBENCH", "SecretAccessKey": "b", "Expiration": "2099-01-01T00:00:00Z"}
        (self.folder / ".aws").mkdir()
        printer = self._program("s3", json.dumps(keys))
        (self.folder / ".aws" / "config").write_text(f"[default]\ncredential_process = {printer}\n")
        token = {"accessToken": "bench", "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}
        self._program("az", json.dumps(token | {"subscription": "s", "tenant": "t", "tokenType": "Bearer"}))
        (self.folder / ".azure").mkdir()
        user = {"id": "s", "tenantId": "t", "user": {"name": "bench@corp.test", "type": "user"}, "isDefault": True}
        (self.folder / ".azure" / "azureProfile.json").write_text(json.dumps({"subscriptions": [user]}))
        key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        origin = f"http://127.0.0.1:{self.port}"
        account = {"type": "service_account", "client_email": "b@corp.test", "token_uri": f"{origin}/google"}
        (self.folder / "google.json").write_text(json.dumps(account | {"private_key": key.decode()}))
        stored = "".join(
            f'[[host]]\nmatch = "{HOSTS[kind].partition("/")[0]}"\nprovider = "{kind}"\n'
            f'{option} = {{ source = "command", argv = ["{self._program(kind, "bench")}"] }}\n'
            for kind, option in (
                ("github", "credentials"),
                ("gitlab", "credentials"),
                ("huggingface", "credentials"),
                ("remoteapis", "secret"),
            )
        )
        stored += (
            f'[[host]]\nmatch = "files.test"\nprovider = "oauth2"\ntoken_url = "{origin}/oauth2"\nclient_id = "bench"\n'
            'client_secret = { source = "env", name = "BENCH_PASSWORD" }\n'
            '[[host]]\nmatch = "artifacts.test"\nprovider = "vault"\n'
            'headers = { X-Key = "{password}" }\n'
            f'secret = {{ source = "vault", path = "secret/data/bench", address = "{origin}" }}\n'
        )
        rules.write_text(stored + rules.read_text())
        return environ | {
            "PATH": f"{self.folder}:{environ['PATH']}",
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "google.json"),
            "VAULT_TOKEN": "bench",
        }


async def ask(socket: Path, uri: str, within: asyncio.Semaphore, *, errors: list[str]) -> None:
    """One question on a connection of its own, as a helper has it."""
    body = json.dumps({"uri": uri})
    async with within:
        reader, writer = await asyncio.open_unix_connection(socket)
        head = f"POST /v1/get HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        answer = await reader.read()
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200") or b'"headers":{}' in answer:
        errors.append(f"{uri}: {answer.decode(errors='replace')}")


class Exchanges:
    """How many exchanges each identity has caused since it was made."""

    def __init__(self, bench: Kinds, stand_in: StandIn) -> None:
        self._bench, self._stand_in = bench, stand_in
        self._before = self._counts()

    def _counts(self) -> Counter[str]:
        registry = Counter({"oci": self._bench.counts().get("exchange", 0)})
        return registry + self._stand_in.counts + self._bench.lines()

    def told(self) -> str:
        """In words."""
        found = self._counts() - self._before
        return f"{len(found)} identities, {max(found.values())} exchange each"


async def asked(bench: Kinds, errors: list[str]) -> int:
    """Ask about every URL once, so many at a time; gives the most that the daemon was resident meanwhile, in KiB."""
    within, peak = asyncio.Semaphore(CONNECTIONS), 0
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ask(bench.socket, bench.uri(next(_numbers)), within, errors=errors)) for _ in range(URLS)
        ]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.05)
            peak = max(peak, bench.rss())
    return peak


async def many(bench: Kinds, stand_in: StandIn) -> None:
    """From a daemon that has forgotten everything."""
    await asyncio.to_thread(bench.credproxy, "flush")
    stand_in.delay = SLOW
    exchanges = await asyncio.to_thread(Exchanges, bench, stand_in)
    resident, errors = bench.rss(), list[str]()
    begun = time.perf_counter()
    peak = await asked(bench, errors)
    spent, told = time.perf_counter() - begun, await asyncio.to_thread(exchanges.told)
    print(*errors[:3], sep="\n", end="", file=sys.stderr)
    bench.add(
        f"{URLS:,} URLs of {len(HOSTS)} kinds, {CONNECTIONS} at once",
        f"{told}, {len(errors)} errors, {spent:.1f} s",
        target="1 each, 0 errors",
    )
    grown = (bench.rss() - resident) / 1024
    bench.add("", f"RSS {grown:+.0f} MB, at its peak {(peak - resident) / 1024:+.0f} MB", target="<= +40 MB")


def herd(bench: Kinds, stand_in: StandIn) -> None:
    """As many connections at once as URLs, for information: no build has that many helpers."""
    time.sleep(1.1)  # flush is allowed once a second
    bench.credproxy("flush")
    exchanges = Exchanges(bench, stand_in)
    bodies = [json.dumps({"uri": f"https://{host}/@.tar"}) for host in HOSTS.values() if host]
    bodies.append(json.dumps({"uri": bench.uri(0)}))
    done = subprocess.run([bench.herd, bench.socket, str(URLS), *bodies], capture_output=True, text=True, check=False)
    result = dict(part.split("=") for part in done.stdout.split())
    peak = status_kib(bench.daemon.pid, "VmHWM") / 1024
    bench.add(
        f"the same, {URLS:,} connections at once",
        f"{exchanges.told()}, {result['failed']} errors, {float(result['seconds']):.1f} s, peak RSS {peak:.0f} MB",
    )


def worker(bench: Kinds) -> None:
    """The first answer through the process with the libraries, and the next ones, whose tokens are not in memory."""
    question = bench.folder / "question"
    question.write_text(json.dumps({"uri": "https://storage.googleapis.com/bucket/object"}))

    def answer() -> float:
        return spawn_time(str(BIN / "credproxy-helper"), question, bench.environ)

    idle = bench.rss()
    first = answer()
    later = []
    for _ in range(ROUNDS):
        time.sleep(1.1)
        bench.credproxy("flush")
        later.append(answer())
    bench.add("first answer through the worker", f"{first:.2f} s", target="<= 0.6 s")
    bench.add("a later one, a new token each time", f"{statistics.median(later) * 1000:.1f} ms", target="<= 5 ms")
    told = json.loads(bench.credproxy("status", "--json"))["worker"]
    bench.add("the worker's memory", f"{told['memory_bytes'] / 2**20:.0f} MB", f"the daemon idle {idle / 1024:.0f} MB")


_WITHOUT = """
import sys
from importlib.machinery import PathFinder
class Installed:
    def find_spec(self, name, path=None, target=None):
        missing = name.partition(".")[0] in {"botocore", "azure", "msal"} or name in {"google.auth", "google.oauth2"}
        return None if missing else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Installed()
from credproxy.cli import main
sys.argv = ["credproxy", "serve"]
main()
"""


def extras(bench: Bench) -> None:
    """Start and idle memory of a daemon with the extras, by turns with one that finds none of them."""
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    memory: dict[str, list[float]] = {"with": [], "without": []}
    argv = {"with": [str(BIN / "credproxy"), "serve"], "without": [sys.executable, "-c", _WITHOUT]}
    for number in range(ROUNDS):
        for name, command in argv.items():
            place = bench.folder / f"{name}-{number}"
            place.mkdir(mode=0o700)
            environ = {
                "PATH": os.environ["PATH"],
                "HOME": str(place),
                "XDG_RUNTIME_DIR": str(place),
                "AWS_EC2_METADATA_DISABLED": "true",
                "GCE_METADATA_HOST": "127.0.0.1:1",
            }
            begun = time.perf_counter()
            with (place / "log").open("wb") as log:
                process = subprocess.Popen(command, env=environ, stderr=log)
            while not (place / "credproxy" / "helper.sock").exists():
                time.sleep(0.002)
            seconds[name].append(time.perf_counter() - begun)
            time.sleep(0.5)
            memory[name].append(status_kib(process.pid, "VmRSS") / 1024)
            end(process)
    for what, found, unit in (("start to ready", seconds, "s"), ("idle RSS", memory, "MB")):
        there, without = (statistics.median(found[name]) for name in ("with", "without"))
        bench.add(
            f"{what}, all extras installed",
            f"{there:.2f} {unit}",
            f"none installed {without:.2f} {unit}",
            f"{there / without:.2f}",
            "1",
        )


async def measure(folder: Path, stack: ExitStack) -> None:
    """Run every part, beside the stand-in; print the table."""
    stand_in = StandIn()
    server = await asyncio.start_server(stand_in.answer, "127.0.0.1", 0)
    async with server:
        Kinds.port = server.sockets[0].getsockname()[1]
        bench = await asyncio.to_thread(Kinds, folder, stack)
        await asyncio.to_thread(extras, bench)
        await asyncio.to_thread(worker, bench)
        await many(bench, stand_in)
        await asyncio.to_thread(herd, bench, stand_in)
    show("ten kinds, this machine, one run", bench.rows)


def main() -> int:
    """Run every part; print the table."""
    with tempfile.TemporaryDirectory(prefix="credproxy-bench-") as folder, ExitStack() as stack:
        asyncio.run(measure(Path(folder), stack))
    return 0


if __name__ == "__main__":
    sys.exit(main())
