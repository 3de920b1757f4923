"""Frames between two processes on a pair of sockets; a frame may bring one descriptor with it.

::

    4 bytes  length of what follows, big-endian; its highest bit says that a descriptor comes with this frame
    n bytes  the message

A stream, because a bundle of certificates is larger than a packet may be, and macOS has no such packets. The
kernel keeps a descriptor together with the byte that it was sent with, and never lets one read run past it (unix(7)).

The other end may be hostile. The size of a frame is limited, as are the bytes that it leaves unread, and descriptors
are accepted only from an end that is trusted. Anything else ends the channel.
"""

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple


UNREAD = 16 * 1024 * 1024
"""Bytes that the other end has not read yet; beyond them it counts as hung."""

CROWDED = "too many descriptors are on their way between the processes of this user"
"""Why a message with a descriptor was not delivered, for people."""

_HEAD = struct.Struct("!I")
_DESCRIPTOR = 1 << 31
_AT_ONCE = 64 * 1024
_MOST_DESCRIPTORS = 32

Receive = Callable[[bytes, int], None]
"""Called with a message and its descriptor, -1 if it has none; the descriptor becomes the function's own."""


class _Frame(NamedTuple):
    """What is left of a frame, its descriptor, and who is told that it could not be sent."""

    data: memoryview
    descriptor: int
    undelivered: Callable[[], object]


class Channel:
    """One end of a pair, driven by the event loop. ``close`` may be called again.

    Args:
        sock: this end; it becomes non-blocking and belongs to the channel.
        receive: called for each message.
        lost: called once, when the other end is gone or has broken the rules, with the reason.
        limit: bytes of a message that is received.
        trusted: the other end may send descriptors.
        unread: see UNREAD.
    """

    def __init__(
        self,
        sock: socket.socket,
        receive: Receive,
        *,
        lost: Callable[[str], None],
        limit: int,
        trusted: bool = False,
        unread: int = UNREAD,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._receive = receive
        self._lost = lost
        self._limit = limit
        self._trusted = trusted
        self._most = unread
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()
        self._descriptors: deque[int] = deque()
        self._unsent: deque[_Frame] = deque()
        self.unread = 0
        self.open = True
        self._loop.add_reader(sock, self._readable)

    def send(self, message: bytes, descriptor: int = -1, *, undelivered: Callable[[], object] = lambda: None) -> None:
        """Send a message; with a descriptor, which is duplicated at once and stays the caller's.

        Nothing is sent on a channel that has ended: callers that wait for an answer are told by ``lost``.

        Args:
            message: at most what the other end takes.
            descriptor: -1 for none.
            undelivered: called later if the kernel lets no descriptor pass; the message is then dropped. It counts those
                that are on their way between all processes of a user, and any of these may use that up.

        Raises:
            OSError: no descriptor is left for the duplicate.
        """
        if not self.open:
            return
        head = _HEAD.pack(len(message) | (_DESCRIPTOR if descriptor >= 0 else 0))
        kept = -1 if descriptor < 0 else os.dup(descriptor)
        self._unsent.append(_Frame(memoryview(head + message), kept, undelivered))
        self.unread += len(head) + len(message)
        if len(self._unsent) == 1:
            self._writable()
        if self.unread > self._most:
            self._end("does not read what it is told")
        elif self._unsent:
            self._loop.add_writer(self._sock, self._writable)

    def close(self) -> None:
        """Close the channel; ``lost`` is not called."""
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for descriptor in (*self._descriptors, *(frame.descriptor for frame in self._unsent if frame.descriptor >= 0)):
            os.close(descriptor)
        self._descriptors.clear()
        self._unsent.clear()
        self.unread = 0

    def _end(self, how: str) -> None:
        if self.open:
            self.close()
            self._lost(how)

    def _writable(self) -> None:
        try:
            while self._unsent:
                self._send_first()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end("is gone")
            return
        self._loop.remove_writer(self._sock)

    def _send_first(self) -> None:
        data, descriptor, undelivered = self._unsent[0]
        sent: int | None
        if descriptor < 0:
            sent = self._sock.send(data)
        else:
            sent = self._passed(data, descriptor)
            os.close(descriptor)  # it was sent with the first byte, or never will be
        if sent is None:
            sent = len(data)
            self._loop.call_soon(undelivered)
        self.unread -= sent
        if sent < len(data):
            self._unsent[0] = _Frame(data[sent:], -1, undelivered)
        else:
            self._unsent.popleft()

    def _passed(self, data: memoryview, descriptor: int) -> int | None:
        """Send a frame's beginning with its descriptor; None if too many are on their way between the user's processes."""
        try:
            return socket.send_fds(self._sock, [data], [descriptor])
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            return None

    def _readable(self) -> None:
        try:
            if self._trusted:
                data, descriptors, flags, _ = socket.recv_fds(self._sock, _AT_ONCE, _MOST_DESCRIPTORS)
                self._descriptors.extend(descriptors)
                if flags & socket.MSG_CTRUNC:  # no descriptor was left for one of them
                    self._end("lost a descriptor")
                    return
            else:
                data = self._sock.recv(_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._end("is gone")
            return
        self._read += data
        self._frames()

    def _frames(self) -> None:
        place = 0
        while self.open and len(self._read) - place >= _HEAD.size:
            (head,) = _HEAD.unpack_from(self._read, place)
            length, brings = head & ~_DESCRIPTOR, bool(head & _DESCRIPTOR)
            if length > self._limit or (brings and not self._trusted):
                self._end("broke the rules of the channel")
                return
            start = place + _HEAD.size
            if len(self._read) - start < length:
                break
            if brings and not self._descriptors:
                self._end("broke the rules of the channel")
                return
            message = bytes(memoryview(self._read)[start : start + length])
            place = start + length
            self._receive(message, self._descriptors.popleft() if brings else -1)
        if self.open:
            del self._read[:place]
