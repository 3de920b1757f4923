"""What the daemon and a carrier tell each other: one message per frame, in MessagePack, of these types only.

A carrier is a process that parses what build actions send, so an attacker may control it. Everything it says is
judged as if the caller itself had said it: about a connection that it was given, about a passage that it was given. The daemon
trusts nothing else it says. Each direction has a union of its own, so neither can be made to read the other's messages.
"""

import struct
from typing import Final

import msgspec

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.names import Authority
from credproxy.core.ask.private_message import PrivateMessage
from credproxy.core.ask.way import Way
from credproxy.core.errors import Failure


VERSION: Final = 3
"""Version of these messages. Both ends come from one installation; an upgrade under a running daemon may make them differ."""

ASKED: Final = 128 * 1024
"""Bytes of a carrier's frame: the largest is a question on the JSON API, 64 KiB with its head."""

TOLD: Final = 8 * 1024 * 1024
"""Bytes of the daemon's frame: the largest is a bundle of certificates."""


NURSERY: Final = struct.Struct("!cI")
"""An order to the process that carriers are forked from: what, and the pid that it is about."""

FORK: Final = b"f"
RELAY: Final = b"r"
KILL: Final = b"k"

UNBOUND: Final = "files: no Landlock in this kernel, or a filter of system calls forbids it"
"""How a carrier that can open files begins what it says of itself in Ready."""

SHORT_OF_MEMORY: Final = 71
"""Exit status of a carrier that needs more memory than it may have. Source: EX_OSERR of sysexits.h."""


class PeerInfo(PrivateMessage, frozen=True, array_like=True):
    """Who connected, as the daemon saw it at accept.

    Attributes:
        uid: of the process.
        sandbox: its name; None for a caller outside any.
        port: loopback port that it came in on, where callers have to show a token; 0 for a Unix socket.
        account: that the connection is counted on; None for the user's own processes.
    """

    uid: int
    sandbox: str | None = None
    port: int = 0
    account: str | None = None


class Opened(PrivateMessage, frozen=True, array_like=True, tag=1):
    """A new connection, whose descriptor comes with the frame."""

    number: int
    caller: PeerInfo
    refusal: Failure | None = None


class Spare(PrivateMessage, frozen=True, array_like=True, tag=2):
    """Close the connection of an account that has been silent longest: its slot is needed."""

    number: int
    account: str | None
    port: int


class Refusal(PrivateMessage, frozen=True, array_like=True, tag=3):
    """A question's answer: no."""

    question: int
    failure: Failure


class Done(PrivateMessage, frozen=True, array_like=True, tag=4):
    """A question's answer: yes, or nothing more available."""

    question: int


class PassageGiven(PrivateMessage, frozen=True, array_like=True, tag=5):
    """What a request is sent with, and where to. ``hold`` is for how many seconds it may be reused."""

    question: int
    passage: int
    way: Way
    headers: tuple[tuple[str, str], ...] = ()
    hold: float = 0.0


class JsonAnswer(PrivateMessage, frozen=True, array_like=True, tag=6):
    """An answer of the JSON API."""

    question: int
    body: bytes


class Located(PrivateMessage, frozen=True, array_like=True, tag=7):
    """Addresses of a host: family and address, as ``getaddrinfo`` gives them; none if the name was not found."""

    question: int
    addresses: tuple[tuple[int, str], ...] = ()


class Anchors(PrivateMessage, frozen=True, array_like=True, tag=8):
    """Trusted certificates, as PEM."""

    question: int
    pem: bytes


class Connected(PrivateMessage, frozen=True, array_like=True, tag=12):
    """A question's answer: a connection to the origin, whose descriptor comes with the frame; TLS ends before it."""

    question: int


class Changed(PrivateMessage, frozen=True, array_like=True, tag=9):
    """A new configuration is in force, or everything was flushed: forget what you know."""


class Leave(PrivateMessage, frozen=True, array_like=True, tag=10):
    """Finish what is under way within so many seconds, and end."""

    grace: float


class Alive(PrivateMessage, frozen=True, array_like=True, tag=11):
    """Report that you are alive."""


CarrierAnswer = Refusal | Done | PassageGiven | JsonAnswer | Located | Anchors | Connected
ToCarrier = Opened | Spare | Changed | Leave | Alive | CarrierAnswer


class Ready(PrivateMessage, frozen=True, array_like=True, tag=1):
    """The first message. ``confined`` says what the process gave up."""

    version: int
    confined: str = ""


class Fetch(PrivateMessage, frozen=True, array_like=True, tag=2):
    """May this caller do this, and with what is it sent? ``only`` asks just the first half."""

    question: int
    connection: int
    method: str
    registry: Authority
    path: str
    query: str
    patience: float
    only: bool = False


class Rejected(PrivateMessage, frozen=True, array_like=True, tag=3):
    """A registry refused what was given; is there another?"""

    question: int
    passage: int
    patience: float
    forbidden: bool


class Get(PrivateMessage, frozen=True, array_like=True, tag=4):
    """A question on the JSON API, as it arrived."""

    question: int
    connection: int
    patience: float
    body: bytes


class Shown(PrivateMessage, frozen=True, array_like=True, tag=5):
    """A caller of the port shows this: is it the token?"""

    question: int
    connection: int
    authorization: str


class Locate(PrivateMessage, frozen=True, array_like=True, tag=6):
    """Where is this host? A carrier can open no file, and so not those of the system's resolver."""

    question: int
    host: str


class Trusted(PrivateMessage, frozen=True, array_like=True, tag=7):
    """Which certificates are trusted: the system's, and those of a bundle that a Way named."""

    question: int
    bundle: str | None = None


class Connect(PrivateMessage, frozen=True, array_like=True, tag=12):
    """Give a connection by the name of a relay that a Way named."""

    question: int
    relay: str


class Closed(PrivateMessage, frozen=True, array_like=True, tag=9):
    """A connection has ended."""

    connection: int


class Spared(PrivateMessage, frozen=True, array_like=True, tag=8):
    """Whether there was a silent connection to close; its end is reported by Closed."""

    number: int
    account: str | None
    found: bool


class Said(PrivateMessage, frozen=True, array_like=True, tag=10):
    """A line for the log."""

    level: str
    event: str
    fields: dict[str, str]


class Figures(PrivateMessage, frozen=True, array_like=True, tag=11):
    """The answer to Alive. Uploads are the unfinished ones; memory is in bytes."""

    bytes: int
    downloads: int
    uploads: int
    refused: dict[str, int]
    memory: int = 0


ToDaemon = Ready | Fetch | Rejected | Get | Shown | Locate | Trusted | Connect | Closed | Spared | Said | Figures


class CarrierReport(msgspec.Struct, frozen=True):
    """One carrier, for ``status``: what it moved is as it reports, its memory as the kernel reports if ``/proc`` shows it.

    ``relayed`` counts its connections on which a client certificate was shown.
    """

    pid: int
    sandboxes: int
    connections: int
    downloads: int
    moved_bytes: int
    memory_bytes: int
    confined: str
    relayed: int = 0


def revealed(headers: tuple[tuple[str, Secret], ...]) -> tuple[tuple[str, str], ...]:
    """Headers as they leave the process: to a carrier, which sends them on."""
    return tuple((name, value.reveal()) for name, value in headers)
