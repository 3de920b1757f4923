"""``doctor`` on the sockets: what is wrong with each, and the command that fixes it."""

import stat
from dataclasses import replace

import pytest

from credproxy.doctor.daemon import Facts, HealthReply, SocketOutcome, SocketState, check
from credproxy.doctor.finding import Severity
from credproxy.doctor.machine import PathState
from tests.doctor.machines import ME, bad, told


RUN = "/run/user/1000/credproxy"
SOCKET = f"{RUN}/helper.sock"
DEAD = HealthReply(SocketOutcome.DEAD)
ANSWERS = HealthReply(SocketOutcome.ANSWERED, 200, uid=ME, pid=42)


def place(path: str, kind: int, mode: int, uid: int = ME) -> PathState:
    """A path with something at it."""
    return PathState(path, kind | mode, uid, readable=True, runnable=True)


def door(
    name: str = "helper", reply: HealthReply = ANSWERS, *, mode: int = 0o600, folder: int = 0o700, uid: int = ME
) -> SocketState:
    """A socket in its directory; both belong to ``uid``."""
    run = RUN if name == "helper" else f"{RUN}-actions"
    return SocketState(
        name,
        place(f"{run}/{name}.sock", stat.S_IFSOCK, mode, uid),
        place(run, stat.S_IFDIR, folder, uid),
        reply,
    )


def nothing(name: str = "helper") -> SocketState:
    """No socket, no directory."""
    run = RUN if name == "helper" else f"{RUN}-actions"
    return SocketState(name, PathState(f"{run}/{name}.sock"), PathState(run), HealthReply(SocketOutcome.ABSENT))


FINE = Facts(helper=door(), actions=door("actions"), me=ME, version="1.0", theirs="1.0", sandbox=403)


def test_a_listener_that_the_helper_does_not_trust_is_an_error() -> None:
    """Every call fails then, although the socket answers: the helper's own reason and hint are shown."""
    doubted = replace(ANSWERS, doubt="/proc is mounted with hidepid", remedy="set it to any")
    assert bad(check(replace(FINE, helper=door(reply=doubted)))) == [
        ("error", "credproxy-helper refuses to ask the daemon: /proc is mounted with hidepid", "set it to any")
    ]


def test_a_daemon_that_answers_and_refuses_a_sandbox_is_fine() -> None:
    """Both sockets, the process behind them, and the gate that was tried."""
    assert told(check(FINE)) == [
        ("ok", f"the helper socket '{SOCKET}' answers, pid 42", ""),
        ("ok", f"the actions socket '{RUN}-actions/actions.sock' answers, pid 42", ""),
        ("ok", "the helper socket refuses a caller in a sandbox", ""),
    ]


def test_without_a_daemon_there_is_nothing_wrong_as_long_as_the_helper_starts_one() -> None:
    """A fresh installation has no errors."""
    absent = replace(FINE, helper=nothing(), actions=nothing("actions"))
    assert [(severity, remedy) for severity, _, remedy in told(check(absent))] == [("note", "credproxy serve")]
    (finding,) = bad(check(replace(absent, autostart="0")))
    assert finding[0] == "error"
    assert "CREDPROXY_AUTOSTART=0" in finding[1]
    found = bad(check(replace(absent, autostart="false")))
    assert found == [
        (
            "error",
            "CREDPROXY_AUTOSTART is 'false': credproxy-helper refuses all but 0 and 1",
            "unset CREDPROXY_AUTOSTART",
        )
    ]


@pytest.mark.parametrize(
    ("facts", "severity", "message", "remedy"),
    [
        pytest.param(
            replace(FINE, helper=door(folder=0o755)),
            "error",
            f"the directory of the helper socket, '{RUN}', has mode 0755; wanted 0700",
            f"if nothing else is in it (ls -A {RUN}): chmod 700 {RUN}",
            id="T4-directory-open",
        ),
        pytest.param(
            replace(FINE, helper=replace(nothing(), directory=place(RUN, stat.S_IFDIR, 0o755))),
            "error",
            f"the directory of the helper socket, '{RUN}', has mode 0755; wanted 0700",
            f"if nothing else is in it (ls -A {RUN}): chmod 700 {RUN}",
            id="T4-directory-open-before-the-first-start",
        ),
        pytest.param(
            replace(FINE, helper=replace(door(folder=0o755), shared=True)),
            "error",
            f"the directory of the helper socket, '{RUN}', has mode 0755; wanted 0700",
            "unset CREDPROXY_SOCKET, or set it to a path in a directory of its own",
            id="T4-directory-with-other-things",
        ),
        pytest.param(
            replace(FINE, helper=replace(door(uid=0), socket=place(SOCKET, stat.S_IFDIR, 0o755), reply=DEAD)),
            "error",
            f"'{SOCKET}' is not a socket",
            "set CREDPROXY_SOCKET to another path",
            id="a-directory-in-the-place-of-the-socket",
        ),
        pytest.param(
            replace(FINE, actions=replace(door("actions"), directory=place(RUN, stat.S_IFDIR, 0o700))),
            "error",
            f"both sockets are in '{RUN}': what hides the helper socket from sandboxes hides the other as well",
            "unset CREDPROXY_ACTIONS_SOCKET, or set it to a path in a directory of its own",
            id="T11-one-directory-for-both",
        ),
        pytest.param(
            replace(FINE, helper=door(uid=1001)),
            "error",
            f"the directory of the helper socket, '{RUN}', belongs to uid 1001: its owner decides who answers there",
            f"ls -la {RUN}",
            id="T4-directory-of-another",
        ),
        pytest.param(
            replace(FINE, helper=door(uid=0, folder=0o777)),
            "error",
            f"others can write to '{RUN}', the directory of the helper socket",
            f"chmod go-w {RUN}",
            id="T4-system-directory-open",
        ),
        pytest.param(
            replace(FINE, helper=door(folder=0o1777)),
            "error",
            f"the directory of the helper socket, '{RUN}', is for everybody: others can put a socket there",
            "unset CREDPROXY_SOCKET, or set it to a path in a directory of its own",
            id="T4-in-tmp",
        ),
        pytest.param(
            replace(FINE, actions=door("actions", uid=0, folder=0o1777)),
            "error",
            f"the directory of the actions socket, '{RUN}-actions', is for everybody: others can put a socket there",
            "unset CREDPROXY_ACTIONS_SOCKET, or set it to a path in a directory of its own",
            id="T4-actions-in-roots-tmp",
        ),
        pytest.param(
            replace(FINE, helper=replace(door(), socket=place(SOCKET, stat.S_IFSOCK, 0o600, 1001))),
            "error",
            f"the helper socket '{SOCKET}' belongs to uid 1001",
            f"rm {SOCKET}",
            id="T4-socket-of-another",
        ),
        pytest.param(
            replace(FINE, helper=door(mode=0o666)),
            "warning",
            f"the helper socket '{SOCKET}' has mode 0666; wanted 0600",
            f"chmod 600 {SOCKET}",
            id="T8-socket-open",
        ),
        pytest.param(
            replace(FINE, helper=replace(door(), socket=place(SOCKET, stat.S_IFREG, 0o600))),
            "error",
            f"'{SOCKET}' is not a socket",
            "set CREDPROXY_SOCKET to another path",
            id="no-socket",
        ),
        pytest.param(
            replace(FINE, helper=door(reply=replace(ANSWERS, uid=1001))),
            "error",
            "uid 1001 answers on the helper socket, not you",
            f"ss -xlp src {SOCKET}",
            id="T4-impostor",
        ),
        pytest.param(
            replace(
                FINE,
                helper=door(
                    reply=HealthReply(SocketOutcome.ANSWERED, 403, "you are in a sandbox (peer_refused)", "leave")
                ),
            ),
            "error",
            "the helper socket refuses us: you are in a sandbox (peer_refused)",
            "leave",
            id="refused",
        ),
        pytest.param(
            replace(FINE, helper=door(reply=HealthReply(SocketOutcome.DEAD))),
            "warning",
            f"nobody listens at '{SOCKET}': a killed daemon left it behind",
            "credproxy serve",
            id="P6-stale",
        ),
        pytest.param(
            replace(FINE, helper=door(reply=HealthReply(SocketOutcome.SILENT))),
            "error",
            f"the program that listens at '{SOCKET}' does not answer",
            f"ss -xlp src {SOCKET}",
            id="silent",
        ),
        pytest.param(
            replace(FINE, helper=door(reply=HealthReply(SocketOutcome.ABSENT)), units=frozenset({"credproxy.socket"})),
            "error",
            f"systemd listens at '{SOCKET}', but the file is gone",
            "systemctl --user restart credproxy.socket",
            id="P1-file-gone",
        ),
        pytest.param(
            replace(FINE, actions=nothing("actions")),
            "warning",
            "there is no actions socket: the daemon's log says why",
            "credproxy restart",
            id="no-actions-socket",
        ),
        pytest.param(
            replace(FINE, actions=door("actions", HealthReply(SocketOutcome.DEAD))),
            "warning",
            f"nobody listens at '{RUN}-actions/actions.sock': a killed daemon left it behind",
            "credproxy restart",
            id="dead-actions-socket-of-a-daemon-that-runs",
        ),
        pytest.param(
            replace(FINE, theirs="0.9"),
            "warning",
            "the daemon that runs is version 0.9, this program is 1.0",
            "credproxy restart",
            id="old-daemon",
        ),
        pytest.param(
            replace(FINE, sandbox=200, any_namespace=True),
            "warning",
            'the helper socket answers sandboxed build actions, because the configuration says peer_namespaces = "any"',
            "credproxy bazelrc --sandbox >> ~/.bazelrc",
            id="T11-any",
        ),
        pytest.param(
            replace(FINE, sandbox=200),
            "error",
            "the helper socket answers a caller in a sandbox: it cannot tell build actions from you",
            "systemctl --user cat credproxy.service  # PrivateUsers= or an option that implies it?",
            id="F2-gate-blind",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(facts: Facts, severity: str, message: str, remedy: str) -> None:
    """One finding each; everything else stays fine."""
    assert bad(check(facts)) == [(severity, message, remedy)]


def test_a_path_that_no_socket_address_holds() -> None:
    """CL-36: reported before the user starts a daemon that cannot bind."""
    long = replace(nothing(), socket=PathState("/\udcff" + "x" * 110))  # not UTF-8
    for outcome in (SocketOutcome.ABSENT, SocketOutcome.SILENT):
        (finding,) = bad(check(replace(FINE, helper=replace(long, reply=HealthReply(outcome)))))
        assert "longer than 103 bytes" in finding[1]


def test_a_gate_that_could_not_be_tried_is_said() -> None:
    """A skipped check is not a passed check."""
    (finding,) = told(check(replace(FINE, sandbox=None)), Severity.NOTE)
    assert "not tried" in finding[1]


def test_a_service_only_for_build_actions_is_not_a_mistake() -> None:
    """``install --gateway-only`` makes no helper socket."""
    units = frozenset({"credproxy-actions.socket"})
    found = told(check(replace(FINE, helper=nothing(), units=units)))
    assert [severity for severity, _, _ in found] == ["note", "ok"]


def test_a_system_service_has_a_group_on_its_socket() -> None:
    """In root's directory, root chooses the mode: it is not judged."""
    assert bad(check(replace(FINE, helper=door(uid=0, folder=0o755, mode=0o660)))) == []


def test_a_clock_that_is_more_than_a_minute_off_is_a_finding() -> None:
    """Of each server that told its time; if all agree, this machine's clock is wrong."""
    near = {"https://a.test": 59, "https://b.test": -60}
    assert bad(check(replace(FINE, clocks=near))) == []
    (one,) = bad(check(replace(FINE, clocks={**near, "https://c.test": -361})))
    assert one == (
        "warning",
        (
            "this machine's clock is 361 s behind that of 'https://c.test': "
            "logins and certificates that depend on the time may be refused"
        ),
        "timedatectl status",
    )
    (all_of_them,) = bad(check(replace(FINE, clocks={"https://c.test": 361, "https://d.test": 361})))
    assert all_of_them[1:] == (
        (
            "this machine's clock is 361 s ahead of that of 'https://c.test', and off from those of 1 other servers: "
            "logins and certificates that depend on the time may be refused"
        ),
        "sudo timedatectl set-ntp true",
    )
