"""What the gateway's bench measures: downloads from an nginx, straight and through a daemon that may fetch them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from measuring import BIN, Row, end, status_kib


MIB = 1024 * 1024
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
        until(lambda: _listens(self.plain))

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
        until(self.actions.exists)
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


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true, for ten seconds at most."""
    deadline = time.perf_counter() + 10
    while not true():
        if time.perf_counter() > deadline:
            raise SystemExit("nginx or the daemon did not start")
        time.sleep(0.01)
