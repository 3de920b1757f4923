"""What the daemon and a relay process tell each other: one message per frame, in MessagePack, of these types only.

The relay process shows client certificates to the hosts that want one, for carriers, which must not hold a private key. It is
told only by the daemon what to connect to; the carrier is at the other end of a pair of sockets, and nothing that it
says is a message.
"""

from typing import Final

import msgspec

from credproxy.core.ask.private_message import PrivateMessage
from credproxy.core.ask.way import Way
from credproxy.core.errors import Failure


RELAYED: Final = 64 * 1024
"""Bytes of a frame of the relay process: the largest is a failure."""


class TakeIdentity(PrivateMessage, frozen=True, array_like=True, tag=1):
    """The certificate, the key and the trust for connections under this number.

    Attributes:
        anchors: the certificates that are trusted, as PEM.
        certificate, key: that is shown, and its private key, as PEM; both empty for none.
        paths: of these two files, for messages.
        tls_verify: False for a registry with that setting.
    """

    number: int
    anchors: bytes
    certificate: bytes
    key: bytes
    paths: tuple[str, str]
    tls_verify: bool = True


class DropIdentity(PrivateMessage, frozen=True, array_like=True, tag=2):
    """No more connections are made under this number: forget the key."""

    number: int


class Begin(PrivateMessage, frozen=True, array_like=True, tag=3):
    """Connect, and move bytes between that connection and the descriptor that comes with the frame.

    Attributes:
        number: of the relay.
        identity: number of what it is made with.
        way: where to, and what the dial guard allows there.
        addresses: of that host, or of the proxy on the way: family and address, as ``getaddrinfo`` gives them.
        subject: its name in messages.
    """

    number: int
    identity: int
    way: Way
    addresses: tuple[tuple[int, str], ...]
    subject: str


class AreYouThere(PrivateMessage, frozen=True, array_like=True, tag=4):
    """Report that you are alive."""


ToRelay = TakeIdentity | DropIdentity | Begin | AreYouThere


class RelayReady(PrivateMessage, frozen=True, array_like=True, tag=1):
    """The first message. ``confined`` says what the process gave up."""

    version: int
    confined: str = ""


class RelayBegun(PrivateMessage, frozen=True, array_like=True, tag=2):
    """The connection is made."""

    number: int


class Over(PrivateMessage, frozen=True, array_like=True, tag=3):
    """A relay has ended, or did not begin, for this reason."""

    number: int
    failure: Failure | None = None


class HereIAm(PrivateMessage, frozen=True, array_like=True, tag=4):
    """The answer to AreYouThere. Memory is in bytes."""

    memory: int = 0


FromRelay = RelayReady | RelayBegun | Over | HereIAm


class RelayReport(msgspec.Struct, frozen=True):
    """The relay process, for ``status``: its memory is as the kernel reports if ``/proc`` shows it, else as itself does."""

    pid: int
    relays: int
    memory_bytes: int
    confined: str
