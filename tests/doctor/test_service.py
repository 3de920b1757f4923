"""``doctor`` on the environment of the daemon: units, runtime directory, limits."""

import stat
from dataclasses import replace

import pytest

from credproxy.doctor.machine import PathState
from credproxy.doctor.service import Facts, Unit, check
from tests.doctor.machines import ME, bad, told


RUNTIME = PathState("/run/user/1000", stat.S_IFDIR | 0o700, ME, readable=True, runnable=True)
GOOD = Unit("loaded", "active", "enabled", "success")
FINE = Facts(
    me=ME,
    units={"credproxy.socket": GOOD, "credproxy-actions.socket": GOOD, "credproxy.service": GOOD},
    linger=True,
    runtime=RUNTIME,
    socket="/run/user/1000/credproxy/helper.sock",
    bare="/run/user/1000/credproxy/helper.sock",
    open_files=65_536,
    helpers=40_000,
)


def unit(**changes: str) -> Facts:
    """The facts with another helper socket unit."""
    return replace(FINE, units={**(FINE.units or {}), "credproxy.socket": replace(GOOD, **changes)})


def test_a_service_that_listens_is_fine() -> None:
    """And the socket check uses that."""
    assert [severity for severity, _, _ in told(check(FINE))] == ["ok"] * 3
    assert FINE.listening == {"credproxy.socket", "credproxy-actions.socket"}


@pytest.mark.parametrize(
    ("facts", "severity", "message", "remedy"),
    [
        pytest.param(
            unit(active="failed", result="service-start-limit-hit"),
            "error",
            "credproxy.socket has failed: service-start-limit-hit",
            "systemctl --user reset-failed credproxy.socket && systemctl --user start credproxy.socket",
            id="F6-failed",
        ),
        pytest.param(
            unit(active="inactive"),
            "error",
            "credproxy.socket is installed but inactive",
            "systemctl --user enable --now credproxy.socket",
            id="inactive",
        ),
        pytest.param(
            unit(enabled="disabled"),
            "note",
            "credproxy.socket is not enabled: it is gone after the next login",
            "systemctl --user enable credproxy.socket",
            id="disabled",
        ),
        pytest.param(
            replace(FINE, units={**(FINE.units or {}), "credproxy.service": Unit("loaded", "failed", "", "exit-code")}),
            "error",
            "credproxy.service has failed: exit-code",
            "journalctl --user -u credproxy.service -n 50",
            id="service-failed",
        ),
        pytest.param(
            replace(FINE, units={"credproxy.socket": Unit("not-found", "inactive")}),
            "note",
            "the user service is not installed: the daemon starts with the first credproxy-helper call and not before",
            "credproxy install",
            id="not-installed",
        ),
        pytest.param(
            replace(FINE, linger=False),
            "note",
            "the service ends with your last session; on a CI host it should stay",
            "loginctl enable-linger",
            id="linger",
        ),
        pytest.param(
            replace(FINE, runtime=replace(RUNTIME, uid=0)),
            "error",
            "XDG_RUNTIME_DIR is '/run/user/1000', which belongs to uid 0: did su or sudo keep it?",
            "unset XDG_RUNTIME_DIR",
            id="su",
        ),
        pytest.param(
            replace(FINE, runtime=replace(RUNTIME, mode=stat.S_IFDIR | 0o777)),
            "error",
            "others can write to XDG_RUNTIME_DIR, '/run/user/1000'",
            "chmod 700 /run/user/1000",
            id="T4-runtime-open",
        ),
        pytest.param(
            replace(FINE, runtime=PathState("/run/user/1000/")),
            "warning",
            "XDG_RUNTIME_DIR is '/run/user/1000/', which is not a directory",
            "loginctl enable-linger",
            id="no-runtime",
        ),
        pytest.param(
            replace(FINE, runtime=PathState("/run/user/7")),
            "warning",
            "XDG_RUNTIME_DIR is '/run/user/7', which is not a directory",
            "unset XDG_RUNTIME_DIR",
            id="no-runtime-that-systemd-would-make",
        ),
        pytest.param(
            replace(FINE, runtime=PathState("/tmp", stat.S_IFDIR | 0o1777, ME)),
            "error",
            "XDG_RUNTIME_DIR is '/tmp', which is for everybody",
            "unset XDG_RUNTIME_DIR",
            id="T4-runtime-is-tmp",
        ),
        pytest.param(
            replace(FINE, open_files=1024, helpers=170),
            "warning",
            "at most 1024 files may be open, so only 170 helpers can wait at once",
            "ulimit -Hn  # raise it in /etc/security/limits.conf: nofile",
            id="C5-few-descriptors",
        ),
        pytest.param(
            replace(FINE, bare="/home/u/.local/state/credproxy/run/helper.sock"),
            "note",
            "a Bazel started without this environment looks for the daemon at "
            "'/home/u/.local/state/credproxy/run/helper.sock', not at '/run/user/1000/credproxy/helper.sock'",
            "",
            id="rule-11",
        ),
        pytest.param(
            replace(FINE, units=None),
            "note",
            "this user's systemd cannot be asked; the daemon is started by the first credproxy-helper call",
            "",
            id="no-systemd",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(facts: Facts, severity: str, message: str, remedy: str) -> None:
    """One finding each; only what prevents the service is an error."""
    findings = [finding for finding in told(check(facts)) if finding[0] != "ok"]
    assert findings == [(severity, message, remedy)]
    assert bad(check(facts)) == ([] if severity == "note" else findings)
