"""The processes that talk to build actions: they hold no secrets, and the failure of one does not affect others."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.halves import DIGEST, HALF, Halves, carriers, children, curl, download, is_dead, nurseries, until
from tests.e2e.stage import Stage
from tests.e2e.test_actions import rules


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


@pytest.fixture
def served(staged: Stage, halves: Halves) -> Stage:
    """A daemon with a rule for it."""
    staged.configure(halves.rule() + "insecure = true\n[actions]\ncarriers = 2\n" + rules(halves))
    staged.start(REGISTRY_PASSWORD=halves.password)
    return staged


def begin(served: Stage, halves: Halves, sandbox: tuple[str, ...]) -> tuple[list[subprocess.Popen[bytes]], int]:
    """Begin two downloads in two sandboxes, and so in two carriers; give them, and the carrier of the first."""
    first = download(served, halves, *sandbox)
    until(lambda: halves.begun == 1)
    (victim,) = carriers(served)
    second = download(served, halves, *sandbox)
    until(lambda: halves.begun == 2)
    assert len(carriers(served)) == 2
    return [first, second], victim


def test_the_nursery_is_replaced(served: Stage, halves: Halves) -> None:
    """Whatever ended it, the next carrier is forked from a new one."""
    halves.rest.set()
    assert len(download(served, halves).communicate(timeout=20)[0]) == 2 * HALF
    assert served.process is not None
    (nursery,) = [pid for pid in children(served.process.pid) if children(pid)]
    os.kill(nursery, signal.SIGKILL)
    assert served.events("nursery ended")
    assert served.events("carrier lost")
    assert len(download(served, halves).communicate(timeout=20)[0]) == 2 * HALF
    assert served.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_no_carrier_outlives_the_daemon(
    served: Stage, halves: Halves, sandbox: tuple[str, ...], number: signal.Signals
) -> None:
    """Not even a hanging one, nor if their nursery hangs as well."""
    downloads, victim = begin(served, halves, sandbox)
    all_of_it = nurseries(served) + carriers(served)
    os.kill(victim, signal.SIGSTOP)
    if number == signal.SIGKILL:
        os.kill(all_of_it[0], signal.SIGSTOP)
    assert served.process is not None
    served.process.send_signal(number)
    served.process.wait(10)
    until(lambda: all(is_dead(pid) for pid in all_of_it), 1.0)
    halves.rest.set()
    for one in downloads:
        assert len(one.communicate(timeout=20)[0]) < 2 * HALF
        assert one.returncode != 0


def test_a_policy_that_denies_ends_no_download_and_begins_none(served: Stage, halves: Halves) -> None:
    """What was granted is granted; the next request is judged by the policy in force, at once."""
    one = download(served, halves)
    until(lambda: halves.begun == 1)
    served.configure(
        halves.rule() + "insecure = true\n[actions]\ncarriers = 2\n" + rules(halves).replace("allow", "deny")
    )
    assert served.credproxy("reload").returncode == 0
    refused = subprocess.run(
        curl(served, halves, "-w", "%{http_code}", "-o", "/dev/null"),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (refused.returncode, refused.stdout) == (22, "403")
    halves.rest.set()
    assert len(one.communicate(timeout=20)[0]) == 2 * HALF
    assert (one.returncode, halves.begun) == (0, 1)
    assert served.stop() == 0


def test_what_lies_on_this_machine_is_logged_once_and_told_to_no_action(staged: Stage, halves: Halves) -> None:
    """By the daemon, with the request's path; for the gateway and the JSON API."""
    missing = staged.home / "canary-file"
    rule = halves.rule().replace('source = "env", name = "REGISTRY_PASSWORD"', f'source = "file", path = "{missing}"')
    staged.configure(rule.replace(', username = "canary-user"', "") + "insecure = true\n" + rules(halves))
    staged.start()
    *how, url = curl(staged, halves)
    how.remove("--fail")
    for asked in ([url], ["http://localhost/v1/get", "-d", json.dumps({"uri": halves.uri(f"org/app/blobs/{DIGEST}")})]):
        told = subprocess.run([*how, *asked], capture_output=True, text=True, check=True, timeout=20).stdout
        assert "credential_unreadable" in told
        assert "canary" not in told
    assert staged.stop() == 0  # the log line is written after the answer
    lines = [json.loads(line) for line in staged.log().splitlines() if "credential_unreadable" in line]
    assert [(line["event"], line["path"] is None, str(missing) in line["reason"]) for line in lines] == [
        ("question failed", False, True),
        ("question failed", True, True),
    ]


def test_where_memory_runs_out_the_kernel_ends_a_carrier_and_not_the_daemon(served: Stage, halves: Halves) -> None:
    """It kills the process with the highest score."""
    halves.rest.set()
    download(served, halves).communicate(timeout=20)
    assert served.process is not None
    daemon, carrier = (
        int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (served.process.pid, *carriers(served))
    )
    assert carrier == min(1000, daemon + 300)
    assert served.stop() == 0


def test_a_carrier_holds_no_login_and_no_environment(served: Stage, halves: Halves) -> None:
    """Its memory is searched for the daemon's secrets: it only contains the token of its request."""
    if os.geteuid() != 0:
        pytest.skip("only root reads another process's memory: sudo make test")
    one = download(served, halves)
    until(lambda: halves.begun == 1)
    (pid,) = carriers(served)
    status: list[dict[str, int]] = []

    def counted() -> bool:
        status[:] = json.loads(served.credproxy("status", "--json").stdout)["carriers"]
        return status[0]["downloads"] == 1

    until(counted)  # it is asked every two seconds
    (told,) = status
    assert (told["pid"], told["connections"], told["downloads"]) == (pid, 1, 1)
    assert told["memory_bytes"] > 1 << 20
    memory = memory_of(pid)
    assert b"canary-token-1" in memory  # proves that the search works
    for secret in (b"canary-pass", b"Y2FuYXJ5LXVzZXI6", b"REGISTRY_PASSWORD", b"XDG_RUNTIME_DIR="):
        assert secret not in memory
    assert b"HOME=" not in Path(f"/proc/{pid}/environ").read_bytes()
    halves.rest.set()
    one.communicate(timeout=20)
    assert served.stop() == 0


def memory_of(pid: int) -> bytes:
    """What a process has written to, as root sees it."""
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in place.split("-"))
            memory.seek(start)
            try:
                found += memory.read(end - start)
            except OSError:
                continue
    return bytes(found)
