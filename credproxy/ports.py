"""What rooms need from one another and from the world; satisfied structurally.

A port belongs to the rooms that need it. ``converse`` drives all exchanges.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Hashable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from credproxy.core.ask.audit import Record
from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Caller, Grant, Identity, Secret, Stored
from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.http import Method, Reach, Request, Response
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Granted, Question, Target
from credproxy.core.ask.worker_messages import LibraryAnswer, LibraryQuestion
from credproxy.core.checksum import Checksum
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.uses import Library
from credproxy.core.ownership import Exposure


T = TypeVar("T")
A = TypeVar("A", bound=LibraryAnswer)


class Clock(Protocol):
    """Time and waiting. ``boot`` runs through suspend (CLOCK_BOOTTIME); timers of the loop do not (PY19)."""

    def boot(self) -> float:
        """Seconds since boot, suspend included: every validity is judged on it."""
        ...

    def wall(self) -> float:
        """POSIX seconds: only for what is shown to clients and for absolute expiries."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a fake clock returns when it is advanced."""
        ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Raise TimeoutError inside the block after that many seconds (asyncio.timeout's contract)."""
        ...


Sample = Callable[[], float]
"""Draws from [0, 1): jitter. Seeded in tests."""


class Terms(Protocol):
    """The limits of one flight, for the code that runs inside it (TX-27, docs/design/faults.md#deadlines)."""

    @property
    def deadline(self) -> float:
        """Boot-clock second at which the flight itself is given up."""
        ...

    @property
    def patience(self) -> float:
        """Boot-clock second at which the oldest waiter stops waiting: a longer pause is pointless."""
        ...

    @property
    def anew(self) -> bool:
        """Whether the last grant was refused upstream, or may have been: then the login is looked up again."""
        ...

    @property
    def for_actions(self) -> bool:
        """Whether build actions caused it: then their slots, pauses and breakers apply (T16)."""
        ...


@dataclass(frozen=True, slots=True)
class OwnTerms:
    """The limits of an exchange outside of any flight, such as one that a command holds. Source: Terms.

    Attributes:
        until: boot-clock second at which it is given up.
    """

    until: float
    anew: bool = field(default=False, init=False)
    for_actions: bool = field(default=False, init=False)

    @property
    def deadline(self) -> float:
        """There is no earlier one."""
        return self.until

    @property
    def patience(self) -> float:
        """Nobody stops waiting before."""
        return self.until


under_way: ContextVar[Terms | None] = ContextVar("under_way", default=None)
"""The limits of the flight under way: for what is reached without ``Terms``, as the programs and the issuers are that a
source asks without knowing the caller (T16)."""


class HttpClient(Protocol):
    """Sends one request, follows nothing, reads at most BODY_LIMIT bytes."""

    async def send(self, request: Request, terms: Terms) -> Response:
        """Give the response, whatever its status.

        Raises:
            Failed: upstream_unavailable, rate_limited, tls_failed, address_refused, answer_too_large.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Changes whenever a file may have: compared, never interpreted. ``mode`` and ``uid`` are for warnings."""

    mtime_ns: int
    inode: int
    size: int
    mode: int = field(default=0, compare=False)
    uid: int = field(default=0, compare=False)

    @property
    def stamp(self) -> tuple[int, int, int]:
        """What is compared, as it goes into an Identity."""
        return (self.mtime_ns, self.inode, self.size)


@dataclass(frozen=True, slots=True)
class Judged:
    """A file that is trusted only if nobody else could have written it: its content, and who could have."""

    content: bytes = field(repr=False)
    exposures: tuple[Exposure, ...]

    def trusted(self, path: str) -> bytes:
        """Give the content. Raises Failed(credential_unreadable): others could have written it, and so chosen the login."""
        for one in self.exposures:
            if one.grave:
                raise unreadable(f"the file {path!r}", f"is not trusted: it {one.problem}", hint=one.remedy)
        return self.content


class Lock(Protocol):
    """A file that only we hold, among all processes, with a few bytes in it. Its methods are called one at a time."""

    @property
    def note(self) -> bytes:
        """What its last holder has left in it."""
        ...

    async def mark(self, note: bytes) -> None:
        """Leave other bytes there; they are on the disk when it returns. Raises Failed(credential_unreadable)."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class Reserved(Protocol):
    """A place beside a file, with the space for another content. Its methods are called one at a time."""

    async def commit(self, content: bytes) -> FileVersion:
        """Put this in the place of the file, in one step; it is on the disk when it returns, and private (0600).

        Who is cancelled meanwhile waits for its end. Raises Failed(credential_unreadable): the file is as it was.
        """
        ...

    async def close(self) -> None:
        """Give the place up, where nothing was committed."""
        ...


class Files(Protocol):
    """Reads small files off the event loop, within 2 s and 1 MiB (C8), and writes those that it is told to."""

    async def version(self, path: str) -> FileVersion | None:
        """None if nothing (or /dev/null) is at the path. Raises Failed(credential_unreadable) otherwise."""
        ...

    async def read(self, path: str) -> bytes | None:
        """The content; None if nothing (or /dev/null) is there. Raises Failed(credential_unreadable)."""
        ...

    async def judged(self, path: str, home: str) -> Judged | None:
        """The content as for ``read``, and what is wrong with the very file that was read, and on the way to it.

        Args:
            path: of the file.
            home: the directories above it are not judged; "" for none.

        Raises:
            Failed(credential_unreadable): as for ``read``, and a link on the way leads nowhere.
        """
        ...

    async def exposures(self, path: str, home: str) -> tuple[Exposure, ...]:
        """What is wrong with a file and on the way to it; nothing if there is no file. Raises Failed(credential_unreadable)."""
        ...

    async def lock(self, path: str) -> Lock | None:
        """Hold a file, which is made where none is, until it is closed or this process ends; None: another holds it.

        Raises:
            Failed(credential_unreadable): it can be neither made nor written.
        """
        ...

    async def reserve(self, path: str) -> Reserved:
        """Take what is needed to replace a file, so that nothing is missing when that has to be done.

        Who calls it holds a lock: there is one such place for a file. Raises Failed(credential_unreadable).
        """
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run once.

    Attributes:
        argv: the program is found by the adapter: an absolute path, or a name on ``path``.
        stdin: written and closed; a program that does not read it is fine (H8).
        timeout: seconds from start to SIGTERM.
        env: added to the minimal environment (T30).
        pass_env: names of variables of the daemon that are added as well, if they are set.
        secure: check owner and mode of the file and its parents at spawn (T29).
        concurrency: how many of this program may run at once; a docker helper is run alone (DC-19).
        missing: the hint if it is not found, from the code that knows what names it; "" for the usual one.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    timeout: float = 30.0
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    secure: bool = True
    concurrency: int = 8
    missing: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended. ``stdout`` is a secret; ``complaint`` is stderr, sanitised, its last 2 KiB (H3)."""

    status: int
    stdout: bytes = field(repr=False)
    complaint: str = field(default="", repr=False)


class Processes(Protocol):
    """Runs programs in a process group of their own, capped, and leaves no survivors."""

    async def run(self, command: Command) -> Completed:
        """Run to its exit.

        Raises:
            Failed: helper_not_runnable (missing, not executable, insecure file), helper_failed (timeout, flood).
        """
        ...

    async def find(self, command: Command) -> None:
        """Check whether the program could be started, without starting it.

        Raises:
            Failed(helper_not_runnable): as ``run``.
        """
        ...


class CloudLibraries(Protocol):
    """The libraries of clouds, in a process of their own, which starts with the first question."""

    def lacks(self, library: Library) -> str:
        """Say what is not installed, and what installs it; "" if it is there. Cheap, and starts nothing."""
        ...

    async def ask(self, question: LibraryQuestion, wanted: type[A], *, limit: float = 30.0) -> A:
        """Ask a library.

        Args:
            question: one of core.ask.worker_messages.
            wanted: the type of its answer.
            limit: seconds for the answer, without those that the process takes to start.

        Raises:
            Failed: what the library said; helper_failed (not in time, or it died), helper_not_runnable.
        """
        ...


class Signer(Protocol):
    """Signs with private keys."""

    async def sign(
        self, key: bytes, claims: Mapping[str, str | int], *, algorithm: str = "RS256", key_id: str | None = None
    ) -> Secret:
        """Give a JWT with these claims.

        Args:
            key: in PEM form.
            claims: numbers and texts.
            algorithm: RS256 or PS256, of an RSA key; ES256 or ES384, of one on the curve secp256r1 or secp384r1.
            key_id: goes into its head, as ``kid``.

        Raises:
            ValueError: the key cannot be used: what is wrong with it, such as "is not a private key in PEM form".
        """
        ...


class AwsSigning(Protocol):
    """Signs requests with access keys: AWS Signature Version 4. It waits for nothing."""

    def sign(
        self,
        keys: AwsKeys,
        *,
        service: str,
        region: str,
        method: Method,
        url: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> tuple[tuple[str, Secret], ...]:
        """Sign one request, as of now.

        Args:
            keys: to sign with.
            service: by Amazon's name for it in signatures, such as ``s3`` or ``ecr``.
            region: likewise, such as ``eu-west-1``.
            method: of the request.
            url: as its server reads it: see ``aws_url.signed_form``.
            headers: that are signed as well, and must then be sent.
            body: of the request.

        Returns:
            The headers to send, those that were given included; without Host.
        """
        ...


class AwsSigner(Protocol):
    """The library that signs."""

    @property
    def lacking(self) -> str:
        """The command that installs it; "" if it is there."""
        ...

    async def ready(self) -> AwsSigning:
        """Load it, which takes a tenth of a second the first time."""
        ...


@dataclass(frozen=True, slots=True)
class KeyringItem:
    """A secret of the keyring, without the secret.

    Attributes:
        place: what the keyring calls it.
        username: the attribute of that name; "" for none.
        changed: rises when it is stored again: POSIX seconds where the keyring tells them.
    """

    place: str
    username: str = ""
    changed: int = 0


@dataclass(frozen=True, slots=True)
class KeyringFound:
    """What a search found.

    Attributes:
        items: that can be read.
        locked: how many there are that cannot, as long as the keyring is locked.
        absent: why there is no keyring to search, as ``no session bus: ...``; "" if there is one.
    """

    items: tuple[KeyringItem, ...] = ()
    locked: int = 0
    absent: str = ""


class Keyring(Protocol):
    """The keyring of the user's session. Never opens a window, and never falls into a file of plain text."""

    async def search(self, service: str, username: str | None, *, anew: bool = False) -> KeyringFound:
        """Look for secrets by their attributes; ``anew``: whatever is remembered.

        Raises:
            Failed(credential_unreadable): it does not answer.
        """
        ...

    async def reveal(self, item: KeyringItem) -> Secret | None:
        """Read one; None if it has gone meanwhile. Raises Failed(credential_unreadable)."""
        ...

    async def rewrite(self, service: str, username: str, *, label: str, secret: Secret) -> None:
        """Put another secret in the place of the one with these attributes; it is kept for good when this returns.

        Raises:
            Failed(credential_unreadable): there is no keyring, it is locked or does not answer, and the old one is still there.
        """
        ...


class Source(Protocol):
    """A place where secrets are stored."""

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the credential without reading a secret or starting a program; None means "not mine, ask the next".

        Cheap: called for every question that is not answered from the front's memory. ``repository`` picks a
        path-scoped entry (DC-8) and is None for a bare host.

        Raises:
            Failed(credential_unreadable): this host would use a source that is broken (DC-4); fatal only for it.
        """
        ...

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the login; None means the entry turned out to hold nothing ("credentials not found").

        Args:
            identity: from ``locate``.
            target: what is asked about.
            anew: an upstream refused what was given last: look it up again, whatever is remembered. A source
                does so at most once in ten seconds for a login.

        Raises:
            Failed: credential_unreadable, helper_failed, helper_not_runnable: fatal, no other source is asked (DC-5).
        """
        ...

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login if it is known without starting a program; for ``explain``.

        None if a program would have to be asked and could be started, or if ``read`` gives None.

        Raises:
            Failed: as ``read``, if that can be seen without starting a program.
        """
        ...

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say where ``locate`` has just looked in vain, a sentence for each place: for people, and never a secret."""
        ...


@runtime_checkable
class Fallible(Protocol):
    """A source, or a provider, that gives None if it cannot look: a file or a store that cannot be read.

    One that raises that instead, or can always look, is not one.
    """

    def trouble(self, target: Target) -> Failure | None:
        """Why ``locate`` or ``plan`` may have given None for a target that it should know. Asked after it, and cheap.

        A rule that names the source then fails with it; without a rule, the answer is ``{}`` and ``explain`` says why.
        """
        ...


@runtime_checkable
class Caches(Protocol):
    """A source that remembers what files and programs gave."""

    def forget(self) -> None:
        """Drop that: the next question looks again (``flush``)."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A source that asks others one after the other: what ``explain`` says about those that were skipped."""

    def passed(self, identity: Identity, target: Target) -> tuple[str, ...]:
        """What was found at each place before the one that has the credential: a sentence each, for people."""
        ...


@runtime_checkable
class Guesses(Protocol):
    """A source that may name a login before it knows whether there is one, because only a program could tell."""

    def guessed(self, identity: Identity) -> bool:
        """Whether ``read`` may give None for this one, and nothing be wrong with that."""
        ...

    def unasked(self, identity: Identity, target: Target) -> str:
        """Say who has to be asked before it is known whether there is a login; "" if it is known. For people."""
        ...


@runtime_checkable
class Narrows(Protocol):
    """A source whose issuer limits a login to a repository or to a folder, so that a build action may have it."""

    def narrow(self, identity: Identity, target: Target, *, opened: str) -> Identity | None:
        """Name the same login limited to reading what a build action may have; None if it cannot be limited to that.

        What ``read`` gives for it is no more than that.

        Args:
            identity: from ``locate``.
            target: what is asked about.
            opened: the first pattern of one of the kind's ``openings`` for it: all that the login may open.
        """
        ...


class Turn(Protocol):
    """A stored login that nobody else uses meanwhile, in this process or another."""

    @property
    def login(self) -> Login | None:
        """As it was stored when the turn began; None if nothing is."""
        ...

    @property
    def doubtful(self) -> bool:
        """Whether it was sent before, and nobody knows what became of that."""
        ...

    async def sent(self) -> None:
        """Put down that it is about to be sent, for the next process if this one ends. Raises as ``Lock.mark``."""
        ...

    async def settled(self) -> None:
        """Put down that it was answered, and stays. Raises as ``Lock.mark``."""
        ...

    async def store(self, secret: Secret) -> None:
        """Put another secret in its place; it is kept for good when this returns.

        Raises:
            Failed(credential_unreadable): it could not be written, and the old one is still there.
        """
        ...


@runtime_checkable
class Rewritable(Protocol):
    """A source whose login changes by being used: of rotated refresh tokens (RFC 9700, section 4.14)."""

    def turn(self, identity: Identity, target: Target, *, until: float) -> AbstractAsyncContextManager[Turn]:
        """Have a login to oneself.

        Args:
            identity: from ``locate``, which goes on to give the same one for what is stored in the turn.
            target: what is asked about.
            until: boot-clock second up to which is waited for others.

        Raises:
            Failed: credential_unreadable, before anything is sent: it cannot be read or could not be written;
                upstream_unavailable: another process has it all the time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How one question will be answered, decided without any exchange.

    Attributes:
        key: the provider's part of the cache key: texts, bytes, numbers, None, tuples and Identity; holds no secret
            (SEC-17).
        subject: what it is about, for messages: ``registry 'ghcr.io'``, ``helper 'corp-helper'``.
        upstream: origin whose flights are counted together, ``https://ghcr.io`` or ``program:/opt/x``.
        run: performs the exchange; called at most once at a time per key.
        narrow: whatever it gives is no more than the question's ``grants``; only such a plan may serve a build action.
        reach: where the registry's API is, for the gateway; None if that is the URI's own authority.
        min_lifetime: seconds; a cached grant with less left is exchanged again first (SC-18).
        timeout: seconds that its flight may take; None for the configured ``flight_timeout``.
        detail: for ``explain``: provider, kind, scopes, credential; never a secret.
        identity: of the stored login that it begins with; None if it begins with none.
        trouble: for ``explain``: why it goes without a login that may exist (``Fallible.trouble``); None if nothing
            is broken, or if it has a login.
        guess: for ``explain``: who has to be asked before it is known whether there is a credential; "" if it is known.
        basis: obtains what the answers to many questions are made from, once for all of them: the key that signs for each
            object of a bucket. Its grant has no headers, and is neither handed out nor kept. None if ``run`` shares nothing.
        make: gives what ``run`` would, without waiting for anything; None until the basis is there. Raises Failed as ``run``.
    """

    key: tuple[Hashable, ...]
    subject: str
    upstream: str
    run: Callable[[Terms], Awaitable[Grant]] = field(compare=False, repr=False)
    narrow: bool = False
    reach: Reach | None = None
    min_lifetime: float = 0.0
    timeout: float | None = None
    detail: Mapping[str, str] = field(default_factory=dict, compare=False)
    identity: Identity | None = field(default=None, compare=False)
    trouble: Failure | None = field(default=None, compare=False)
    guess: str = field(default="", compare=False)
    basis: "Plan | None" = field(default=None, compare=False, repr=False)
    make: Callable[[], Grant | None] | None = field(default=None, compare=False, repr=False)


class Provider(Protocol):
    """One way to obtain a credential."""

    async def plan(self, question: Question) -> Plan | None:
        """Decide; None means this kind of URI gets no credential: the answer is ``{}``, without I/O.

        Raises:
            Failed: there should be an answer but there is none (an unreadable credential, a policy).
        """
        ...

    async def check(self, plan: Plan, target: Target) -> None:
        """Check whether the exchange of its plan could begin, for ``explain``; starts no program and sends nothing.

        Raises:
            Failed: as the plan's ``run`` would before it contacts a server: the stored login cannot be used, or there is no
                such program.
        """
        ...

    def reasons(self, question: Question) -> tuple[str, ...]:
        """Say why ``plan`` has just given None for a question of the helper socket: for people, a sentence each."""
        ...


@runtime_checkable
class HasLogin(Protocol):
    """A provider whose stored login is one that another client could use: for the docker helper protocol."""

    async def stored(self, target: Target) -> Stored | None:
        """The stored login itself, for the docker helper protocol; None means not found."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """What learns something from upstreams: a provider, or what several of them share."""

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Drop what was learned about the authorities that ``wanted`` selects: ``flush``, TX-1."""
        ...


class Permissions(Protocol):
    """What build actions may have: the policy in force, or why there is none."""

    def grants(self, target: Target) -> tuple[Granted, ...]:
        """What a token may be given for. Raises Failed(policy_denied)."""
        ...

    def permit(self, registry: Authority, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Permit a request of the gateway's. Raises Failed(policy_denied)."""
        ...

    def permit_object(self, target: Target, method: str) -> None:
        """Permit a request for an object. Raises Failed(policy_denied)."""
        ...


class Room(Protocol):
    """The memory that one of the gateway's requests takes for bodies that are held whole."""

    async def hold(self, count: int) -> None:
        """Take so many more bytes, before they are read. Raises Failed(overloaded): there are none left."""
        ...


class Forwarder(Protocol):
    """Sends one of the gateway's requests and reads its whole answer: everything but the bodies of blobs."""

    async def forward(
        self, request: Request, body: AsyncIterable[bytes] | bytes | None, *, limit: int, room: Room | None = None
    ) -> Response:
        """Give the response, whatever its status; content codings are left alone, redirects not followed.

        Args:
            request: its own ``body`` is ignored.
            body: what is uploaded; in pieces if it is streamed.
            limit: bytes of the response that are read.
            room: where they are held; None without a share.

        Raises:
            Failed: overloaded, upstream_unavailable, tls_failed, address_refused, answer_too_large.
        """
        ...


class Stopped(Enum):
    """Why bytes stopped flowing.

    DONE: all were moved. UPSTREAM: it broke off, or stalled. SURPLUS: it had more than it announced, and the last piece
    was held back. CLIENT: it left, or stalled. WRONG: it is not what its digest says, and the last piece was held back.
    """

    DONE = "done"
    UPSTREAM = "upstream"
    SURPLUS = "surplus"
    CLIENT = "client"
    WRONG = "wrong"


class Poured(NamedTuple):
    """How many bytes were moved, and why it stopped."""

    moved: int
    stopped: Stopped


class Transfer(Protocol):
    """A response whose body is still to come. Its methods are called one at a time; ``close`` ends it in any case."""

    @property
    def status(self) -> int:
        """Of the response."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of the response, in order, names as sent."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes of body that were announced; None if they were not."""
        ...

    @property
    def whole(self) -> bytes | None:
        """The body, if it is small and has arrived with the head."""
        ...

    @property
    def tail(self) -> bytes:
        """The last bytes that were poured, as many as were kept; empty if this process did not see them."""
        ...

    async def read(self) -> bytes:
        """Give the next piece of a body, empty at its end. Raises Failed(upstream_unavailable) if it broke off."""
        ...

    async def pour(self, client: int, count: int, *, check: Checksum | None = None) -> Poured:
        """Move ``count`` bytes of an announced body to a client's descriptor, which is closed at the end.

        With a checksum the rest of the body is read as well, and the last piece is held back until all of it is right.
        """
        ...

    async def skip(self, count: int, check: Checksum | None = None) -> Poured:
        """Read ``count`` bytes of an announced body, only for the checksum."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Downloads(Protocol):
    """Opens blobs, whose bodies bypass the event loop."""

    async def open(self, request: Request, registry: str) -> Transfer:
        """Send a GET; give the response, whatever its status, as soon as its head is there.

        Args:
            request: for the registry, or for a host that it led to.
            registry: that has half of the slots at most, wherever it redirects.

        Raises:
            Failed: overloaded, upstream_unavailable, tls_failed, address_refused.
        """
        ...


class Sink(Protocol):
    """Where the body of an answer goes: the client's connection."""

    async def write(self, data: bytes) -> None:
        """Pass on a piece. Raises ConnectionError if the client has left."""
        ...

    async def descriptor(self) -> int:
        """Give a descriptor of the connection, once everything written has been sent; the caller closes it.

        Raises:
            ConnectionError: the client has left.
        """
        ...


class Metrics(Protocol):
    """What is counted. Label values come from configuration or closed lists, never from a request."""

    def cache(self, outcome: str) -> None:
        """One look-up: ``fresh``, ``advisory``, ``mandatory``, ``miss``, ``negative``, ``none``."""
        ...

    def exchange(self, upstream: str, outcome: str, *, seconds: float) -> None:
        """One flight ended: outcome ``ok``, ``less`` (than was asked for), ``empty`` or an error code."""
        ...

    def program(self, name: str, outcome: str, *, seconds: float) -> None:
        """One program ended: outcome ``ok`` or an error code."""
        ...

    def reload(self, outcome: str) -> None:
        """The configuration was reloaded: ``ok`` or ``refused``."""
        ...

    def waited(self, seconds: float) -> None:
        """A question waited that long for a flight."""
        ...

    def age(self, seconds: float) -> None:
        """Age of the credential that was handed out from memory."""
        ...


class Audit(Protocol):
    """Logs every hand-out (R28): an answer, even one from memory, a stored login, a request with our credential."""

    @property
    def on(self) -> bool:
        """Whether it writes at all: checked first, so that no record is built in vain."""
        ...

    def handed_out(self, record: Record, caller: Caller, *, pid: int | None, program: str) -> None:
        """Log one; ``pid`` and ``program`` are those of the process that connected, None and "" if unknown."""
        ...


def trouble_of(one: Source | Provider, target: Target) -> Failure | None:
    """Why a source or a provider may have given None for a target that it should know; None if nothing is broken."""
    # For each question without a credential, and before Python 3.12 isinstance takes 20 us for a protocol.
    trouble: Callable[[Target], Failure | None] | None = getattr(one, "trouble", None)
    return None if trouble is None else trouble(target)


def first_trouble(many: Iterable[Source] | Iterable[Provider], target: Target) -> Failure | None:
    """Of the first that has one."""
    troubles = (trouble_of(one, target) for one in many)
    return next((trouble for trouble in troubles if trouble is not None), None)


async def converse(conversation: Generator[Request, Response, T], http: HttpClient, *, terms: Terms) -> T:
    """Drive an exchange: send what it yields, feed back what arrives, return what it returns.

    A Failed from the client is thrown into the conversation, which may fall back or let it pass.
    """
    try:
        request = next(conversation)
        while True:
            try:
                response = await http.send(request, terms)
            except Failed as error:
                request = conversation.throw(error)
            else:
                request = conversation.send(response)
    except StopIteration as stop:
        result: T = stop.value
        return result
