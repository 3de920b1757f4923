"""Checks the two sockets and the processes that answer on them (P1, T4, T8, T11)."""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from shlex import quote

from credproxy.core.ask.http_date import SKEWED
from credproxy.core.ask.worker_messages import WorkerReport
from credproxy.core.errors import Failure
from credproxy.core.paths import SOCKET_PATH_LIMIT
from credproxy.core.unit_names import SERVICE, socket_unit
from credproxy.doctor.finding import Finding, Topic
from credproxy.doctor.machine import PathState


topic = Topic("daemon")


class SocketOutcome(Enum):
    """The outcome of a request to a socket."""

    ANSWERED = "answered"
    ABSENT = "nothing is there"
    DEAD = "nobody listens"
    SILENT = "no answer"


@dataclass(frozen=True, slots=True)
class HealthReply:
    """The answer to ``GET /healthz``.

    Attributes:
        status, message, hint: of an answer; the texts only of an error.
        uid, pid: of the process that listens, from the kernel; 0 if unknown.
        doubt, remedy: why the helper does not trust that process, and what it says to do; "" if it does.
    """

    outcome: SocketOutcome
    status: int = 0
    message: str = ""
    hint: str = ""
    uid: int = 0
    pid: int = 0
    doubt: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class SocketState:
    """One socket: ``name`` is ``helper`` or ``actions``; ``shared`` says that its directory holds other things as well."""

    name: str
    socket: PathState
    directory: PathState
    reply: HealthReply
    shared: bool = False

    @property
    def served(self) -> bool:
        """Whether a daemon answers there."""
        return self.reply.outcome is SocketOutcome.ANSWERED and self.reply.status == HTTPStatus.OK

    @property
    def unit(self) -> str:
        """The unit that creates the socket."""
        return socket_unit(self.name)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the daemon.

    Attributes:
        actions: the socket for build actions, or why there is no place for it.
        me: the uid of this user.
        version: of this program; ``theirs`` of the daemon, "" if unknown.
        units: of the sockets, those that systemd says are listening.
        autostart: ``CREDPROXY_AUTOSTART``: whether the helper may start a daemon.
        blocked: its socket cannot be made, which ``room`` reports.
        sandbox: status that a caller in namespaces of its own got on the helper socket; None if that was not tried.
        any_namespace: the configuration admits callers of all namespaces.
        unbound: carriers of the daemon that say that they can open files.
        worker: what the daemon says of the process of the clouds' libraries; None if it says nothing.
        clocks: seconds by which the daemon's clock is ahead, by origin of the server that told its time.
    """

    helper: SocketState
    actions: SocketState | Failure
    me: int
    version: str
    theirs: str = ""
    units: frozenset[str] = frozenset()
    autostart: str = ""
    blocked: bool = False
    sandbox: int | None = None
    any_namespace: bool = False
    clocks: Mapping[str, int] = field(default_factory=dict)
    unbound: int = 0
    worker: WorkerReport | None = None


def check(facts: Facts) -> Iterator[Finding]:
    """Check both sockets."""
    if facts.autostart not in {"", "0", "1"}:
        said = f"CREDPROXY_AUTOSTART is {facts.autostart!r}: credproxy-helper refuses all but 0 and 1"
        yield topic.error(said, "unset CREDPROXY_AUTOSTART")
    if len(facts.helper.socket.path.encode(errors="surrogateescape")) > SOCKET_PATH_LIMIT:
        yield topic.error(
            f"the socket path {facts.helper.socket.path!r} is longer than {SOCKET_PATH_LIMIT} bytes",
            "export CREDPROXY_SOCKET=/a/shorter/path",
        )
        return
    if facts.helper.reply.outcome is SocketOutcome.ABSENT and not facts.units:
        yield from _not_running(facts)
        yield from _place(facts.helper, facts.me)
        return
    yield from _apart(facts.helper, facts.actions)
    for door in (facts.helper, facts.actions):
        if isinstance(door, Failure):
            yield topic.warning(f"there is no actions socket: {door.message}", door.hint)
            continue
        yield from _place(door, facts.me)
        if door.socket.is_socket or not door.socket.there:  # anything else has just been reported
            yield from _answer(door, facts)
    if facts.helper.served:
        yield from _version(facts)
        yield from _gate(facts)
        yield from _clocks(facts.clocks)


def _apart(helper: SocketState, actions: SocketState | Failure) -> Iterator[Finding]:
    """The two sockets must not be in one directory: sandboxes are kept from one of them and need the other."""
    if isinstance(actions, SocketState) and actions.directory.path == helper.directory.path:
        yield topic.error(
            f"both sockets are in {helper.directory.path!r}: what hides the helper socket from sandboxes hides the other as well",
            "unset CREDPROXY_ACTIONS_SOCKET, or set it to a path in a directory of its own",
        )


def _not_running(facts: Facts) -> Iterator[Finding]:
    path = facts.helper.socket.path
    if facts.blocked:
        yield topic.note(f"no daemon listens at {path!r}, and none can")
    elif facts.autostart != "0":
        yield topic.note(
            f"no daemon listens at {path!r}; the first credproxy-helper call starts one", "credproxy serve"
        )
    else:
        yield topic.error(
            f"no daemon listens at {path!r}, and CREDPROXY_AUTOSTART=0 keeps the helper from starting one",
            "credproxy serve",
        )


def _place(door: SocketState, me: int) -> Iterator[Finding]:
    where = door.directory
    variable = "CREDPROXY_SOCKET" if door.name == "helper" else "CREDPROXY_ACTIONS_SOCKET"
    another = f"unset {variable}, or set it to a path in a directory of its own"
    if where.is_everybodys:
        yield topic.error(
            f"the directory of the {door.name} socket, {where.path!r}, is for everybody: others can put a socket there",
            another,
        )
    elif where.is_directory and where.uid not in {0, me}:
        yield topic.error(
            f"the directory of the {door.name} socket, {where.path!r}, belongs to uid {where.uid}: "
            "its owner decides who answers there",
            f"ls -la {quote(where.path)}",
        )
    elif where.is_directory and where.uid == me and where.open_to_others:
        yield topic.error(
            f"the directory of the {door.name} socket, {where.path!r}, has mode {where.bits}; wanted 0700",
            another
            if door.shared
            else f"if nothing else is in it (ls -A {quote(where.path)}): chmod 700 {quote(where.path)}",
        )
    elif where.is_directory and where.mode & 0o022:
        yield topic.error(
            f"others can write to {where.path!r}, the directory of the {door.name} socket",
            f"chmod go-w {quote(where.path)}",
        )
    found = door.socket
    if found.is_socket and where.uid == me and found.uid != me:
        yield topic.error(
            f"the {door.name} socket {found.path!r} belongs to uid {found.uid}", f"rm {quote(found.path)}"
        )
    elif found.is_socket and where.uid == me and stat.S_IMODE(found.mode) != 0o600:  # noqa: PLR2004  only its owner
        yield topic.warning(
            f"the {door.name} socket {found.path!r} has mode {found.bits}; wanted 0600",
            f"chmod 600 {quote(found.path)}",
        )
    elif found.there and not found.is_socket:
        yield topic.error(f"{found.path!r} is not a socket", f"set {variable} to another path")


def _answer(door: SocketState, facts: Facts) -> Iterator[Finding]:
    reply, path = door.reply, door.socket.path
    running = (
        "credproxy restart" if facts.helper.served else "credproxy serve"
    )  # beside one that runs, another ends at once
    restart = f"systemctl --user restart {door.unit}" if door.unit in facts.units else running
    match reply.outcome:
        case SocketOutcome.ANSWERED if reply.status == HTTPStatus.OK:
            yield from _listener(door, facts)
        case SocketOutcome.ANSWERED:
            yield topic.error(
                f"the {door.name} socket refuses us: {reply.message or reply.status}", reply.hint or restart
            )
        case SocketOutcome.ABSENT if door.unit in facts.units:
            # A restart of the service does not help: the listening socket has lost its name (P1, F5).
            yield topic.error(f"systemd listens at {path!r}, but the file is gone", restart)
        case SocketOutcome.ABSENT if door.name == "helper":
            yield topic.note("there is no helper socket: the service is for build actions alone", "credproxy install")
        case SocketOutcome.ABSENT:
            yield topic.warning(f"there is no {door.name} socket: the daemon's log says why", restart)
        case SocketOutcome.DEAD:
            yield topic.warning(f"nobody listens at {path!r}: a killed daemon left it behind", restart)
        case SocketOutcome.SILENT:
            yield topic.error(f"the program that listens at {path!r} does not answer", f"ss -xlp src {quote(path)}")


def _listener(door: SocketState, facts: Facts) -> Iterator[Finding]:
    reply = door.reply
    if reply.doubt:
        yield topic.error(f"credproxy-helper refuses to ask the daemon: {reply.doubt}", reply.remedy)
        return
    if reply.uid not in {0, facts.me} and door.directory.uid == facts.me:
        yield topic.error(
            f"uid {reply.uid} answers on the {door.name} socket, not you", f"ss -xlp src {quote(door.socket.path)}"
        )
        return
    yield topic.ok(f"the {door.name} socket {door.socket.path!r} answers" + (f", pid {reply.pid}" if reply.pid else ""))


def _version(facts: Facts) -> Iterator[Finding]:
    if facts.theirs and facts.theirs != facts.version:
        said = f"the daemon that runs is version {facts.theirs}, this program is {facts.version}"
        yield topic.warning(said, "credproxy restart")


def _clocks(clocks: Mapping[str, int]) -> Iterator[Finding]:
    off = {origin: ahead for origin, ahead in clocks.items() if abs(ahead) > SKEWED}
    if not off:
        return
    origin, ahead = next(iter(off.items()))
    where = "ahead of" if ahead > 0 else "behind"
    message = f"this machine's clock is {abs(ahead)} s {where} that of {origin!r}"
    if len(off) > 1:
        message += f", and off from those of {len(off) - 1} other servers"
    remedy = "sudo timedatectl set-ntp true" if len(off) == len(clocks) else "timedatectl status"
    yield topic.warning(f"{message}: logins and certificates that depend on the time may be refused", remedy)


def _gate(facts: Facts) -> Iterator[Finding]:
    if facts.sandbox is None:
        yield topic.note("not tried whether the helper socket refuses a sandbox: this user cannot create one")
    elif facts.sandbox != HTTPStatus.OK:
        yield topic.ok("the helper socket refuses a caller in a sandbox")
    elif facts.any_namespace:
        yield topic.warning(
            'the helper socket answers sandboxed build actions, because the configuration says peer_namespaces = "any"',
            "credproxy bazelrc --sandbox >> ~/.bazelrc",
        )
    else:
        yield topic.error(
            "the helper socket answers a caller in a sandbox: it cannot tell build actions from you",
            f"systemctl --user cat {SERVICE}  # PrivateUsers= or an option that implies it?",
        )
