"""``make bench``, the third table: the installed service under a real ``systemd --user``, while callers keep asking.

Needs root and systemd (tools/user-manager); without them it says so and measures nothing. Rows and targets:
docs/design/faults.md#load. Bounded: about two minutes, eight callers at a time, once 10,000 connections.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import Row, show


HERE = Path(__file__).parent
TOOLS = HERE.parent / "tools"
CALLERS = 8
TIMES = 20
PAUSE = 1.5
"""Seconds from one restart to the next: the daemon is back long before that, so each restart affects callers."""

SOCKET = "/run/user/12345/credproxy/helper.sock"


@dataclass(frozen=True)
class Service:
    """An installed service, and how to reach it."""

    home: Path
    programs: Path
    herd: Path
    upstream: int

    def run(self, *argv: str | Path, check: bool = True) -> str:
        """Run something as its user; give what it prints."""
        done = subprocess.run(
            [TOOLS / "user-manager", "run", self.home, *argv], check=check, capture_output=True, text=True
        )
        return done.stdout.strip()

    def pid(self) -> int:
        """Give the daemon's process id; it has to run."""
        pid = int(self.run("systemctl", "--user", "show", "--value", "--property=MainPID", "credproxy.service"))
        if pid == 0:
            raise SystemExit("the daemon does not run")  # a signal to 0 would go to ourselves
        return pid

    def restart(self) -> None:
        """Restart the service, as an upgrade does."""
        self.run("systemctl", "--user", "restart", "credproxy.service")

    def kill(self) -> None:
        """Kill the daemon, as the kernel does when memory is short."""
        os.kill(self.pid(), signal.SIGKILL)

    def exchanges(self) -> int:
        """Count the requests to the registry."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.upstream}/counts") as answer:
            return int(json.loads(answer.read()).get("exchange", 0))

    @contextmanager
    def callers(self, seconds: float) -> Iterator[list[list[float]]]:
        """Keep eight callers asking; at the end, the list has the seconds of each call, -1 for a failure."""
        seen: list[list[float]] = []
        argv = [TOOLS / "user-manager", "run", self.home, self.programs / "python", __file__, "call", str(seconds)]
        with subprocess.Popen([*argv, self.programs / "credproxy-helper"], stdout=subprocess.PIPE) as process:
            yield seen
            assert process.stdout is not None
            seen += json.loads(process.stdout.read())


def call(seconds: float, helper: str) -> None:
    """The program that runs as the user: eight loops, each running one helper process after the other."""
    end = time.perf_counter() + seconds
    request = os.memfd_create("request")
    os.write(request, b'{"uri":"https://cache.example/x"}')

    def loop(_: int) -> list[float]:
        spent = []
        while time.perf_counter() < end:
            # Through /proc, for an offset of its own: eight callers read the same file.
            stdin = (os.POSIX_SPAWN_OPEN, 0, f"/proc/{os.getpid()}/fd/{request}", os.O_RDONLY, 0)
            stdout = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
            begun = time.perf_counter()
            pid = os.posix_spawn(helper, [helper, "get"], os.environ, file_actions=[stdin, stdout])
            failed = os.waitpid(pid, 0)[1] != 0
            spent.append(-1.0 if failed else time.perf_counter() - begun)
        return spent

    with ThreadPoolExecutor(CALLERS) as pool:
        print(json.dumps(list(pool.map(loop, range(CALLERS)))))


def usual(service: Service) -> Row:
    """Undisturbed: what a call takes while seven others ask."""
    with service.callers(5) as seen:
        time.sleep(5)
    spent = sorted(time for caller in seen for time in caller)
    return Row(
        "8 callers, undisturbed",
        f"median {statistics.median(spent) * 1000:.1f} ms, longest {spent[-1]:.2f} s",
        "",
        "",
        "",
    )


def disturbed(service: Service, what: str, disturb: Callable[[], None]) -> Row:
    """The same while the daemon is repeatedly ended."""
    with service.callers(TIMES * PAUSE + 2) as seen:
        for _ in range(TIMES):
            time.sleep(PAUSE)
            disturb()
    spent = [time for caller in seen for time in caller]
    failures, median = sum(time < 0 for time in spent), statistics.median(spent)
    return Row(
        f"{what} x{TIMES} under 8 callers",
        f"{failures} errors in {len(spent):,} calls, longest {max(spent):.2f} s",
        f"median {median * 1000:.1f} ms",
        f"+{max(spent) - median:.2f} s",
        "0 errors, <= +1.5 s",
    )


def hang(service: Service) -> Row:
    """A daemon that hangs, which the watchdog ends."""
    os.kill(service.pid(), signal.SIGSTOP)
    begun = time.perf_counter()
    service.run(service.programs / "credproxy-helper", "get", "--uri", "https://cache.example/x")
    return Row(
        "one caller meets a hanging daemon", f"answered after {time.perf_counter() - begun:.1f} s", "", "", "<= 8.5 s"
    )


def cold_start(service: Service) -> Row:
    """A call while nothing runs."""
    spent = []
    for _ in range(5):
        service.run("systemctl", "--user", "stop", "credproxy.service")
        begun = time.perf_counter()
        service.run(service.programs / "credproxy-helper", "get", "--uri", "https://cache.example/x")
        spent.append(time.perf_counter() - begun)
    return Row("the first call wakes the daemon", f"{statistics.median(spent):.2f} s", "", "", "")


def herd(service: Service) -> Row:
    """10,000 clients at once on systemd's socket, before the daemon is started, with one cold key."""
    service.run("systemctl", "--user", "stop", "credproxy.service")
    uri = f"http://127.0.0.1:{service.upstream}/v2/acme/app/blobs/sha256:{0:064x}"
    before = service.exchanges()
    printed = service.run(service.herd, SOCKET, "10000", json.dumps({"uri": uri}), check=False)
    result = dict(part.split("=") for part in printed.split())
    status = Path(f"/proc/{service.pid()}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return Row(
        "10,000 clients at once, activated socket",
        f"{service.exchanges() - before} exchange, {result['failed']} errors, {float(result['seconds']):.1f} s, peak RSS {peak:.0f} MB",
        "",
        "",
        "1, 0, <= 8 s, <= 220 MB",
    )


def install(folder: Path, stack: ExitStack) -> Service:
    """Set everything up; the exit stack cleans up."""
    folder.chmod(0o755)
    service = Service(folder / "home", folder / "opt" / "bin", folder / "herd", _upstream(stack))
    subprocess.run(["cc", "-O2", "-std=gnu11", "-o", service.herd, HERE / "herd.c"], check=True)
    copied = subprocess.run([TOOLS / "installed-copy", folder / "opt"], check=True, capture_output=True, text=True)
    configuration = service.home / ".config" / "credproxy"
    configuration.mkdir(parents=True)
    (configuration / "password").write_text("bench")
    (configuration / "config.toml").write_text(
        f'[[host]]\nmatch = "127.0.0.1:{service.upstream}"\nprovider = "oci"\n'
        f'credentials = {{ source = "file", path = "{configuration}/password", username = "bench" }}\n'
        '[[host]]\nmatch = "cache.example"\nprovider = "header"\n'
        f'secret = {{ source = "file", path = "{configuration}/password" }}\n'
    )
    reachable = [*copied.stdout.splitlines(), str(HERE)]
    subprocess.run([TOOLS / "user-manager", "start", service.home, "12345", *reachable], check=True)
    stack.callback(subprocess.run, [TOOLS / "user-manager", "stop", service.home], check=False)
    service.run(service.programs / "credproxy", "install")
    return service


def _upstream(stack: ExitStack) -> int:
    process = subprocess.Popen([sys.executable, HERE / "upstream.py", "0.2"], stdout=subprocess.PIPE)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    return int(json.loads(process.stdout.readline())["port"])


def main() -> int:
    """Measure, and print the table."""
    if os.geteuid() != 0 or shutil.which("systemctl") is None:
        print("bench/restarts.py needs root and systemd: apt-get install systemd; sudo make bench")
        return 0
    with tempfile.TemporaryDirectory(prefix="credproxy-bench-", dir="/var/lib") as folder, ExitStack() as stack:
        service = install(Path(folder), stack)
        rows = [
            cold_start(service),
            usual(service),
            disturbed(service, "restart", service.restart),
            disturbed(service, "SIGKILL", service.kill),
            hang(service),
            herd(service),
        ]
    show("the service under systemd --user, this machine, one run", rows)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["call"]:
        call(float(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main())
