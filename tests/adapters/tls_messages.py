"""Messages of TLS 1.3 that a server may send in any number; OpenSSL's own sends none but what it was told to.

Source: RFC 8446, sections 4.6.1 (tickets), 4.6.3 (key updates), 5.3 and 7.3.
"""

import itertools
import socket
import ssl
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def talkative(context: ssl.SSLContext, keys: Path) -> ssl.SSLContext:
    """Make a server's context write its secrets to a file, and send no ticket by itself."""
    context.keylog_filename, context.num_tickets = str(keys), 0
    return context


def secret(keys: Path) -> bytes:
    """What the only server that wrote to this file encrypts with."""
    line = next(one for one in keys.read_text().splitlines() if one.startswith("SERVER_TRAFFIC_SECRET_0"))
    return bytes.fromhex(line.split()[2])


class Records:
    """A server that writes its records itself.

    Args:
        server: after its handshake; of what it sends itself, nothing is understood afterwards.
        key: see ``secret``.
        sent: records that it has sent with that key.
    """

    def __init__(self, server: ssl.SSLSocket, key: bytes, *, sent: int = 0) -> None:
        self._server = server
        self._secret = key
        self._begin(sent)

    def tickets(self) -> None:
        """Send one record full of them."""
        content = struct.pack(">IIBH", 7200, 0, 0, 1) + b"x" + b"\0\0"
        ticket = b"\x04" + len(content).to_bytes(3, "big") + content
        self._send(self._record(ticket * (16384 // len(ticket)) + b"\x16"))

    def key_updates(self, count: int) -> None:
        """Send new keys, each time with the request for one of the other side."""
        found = b""
        for _ in range(count):
            found += self._record(b"\x18\0\0\1\1\x16")
            self._secret = self._expanded(b"traffic upd", len(self._secret))
            self._begin(0)
        self._send(found)

    def _begin(self, sent: int) -> None:
        self._numbers = itertools.count(sent)
        self._cipher = AESGCM(self._expanded(b"key", 32 if len(self._secret) == SHA384.digest_size else 16))
        self._iv = int.from_bytes(self._expanded(b"iv", 12), "big")

    def _expanded(self, label: bytes, size: int) -> bytes:
        which: SHA256 | SHA384 = SHA384() if len(self._secret) == SHA384.digest_size else SHA256()
        about = struct.pack(">HB", size, len(label) + 6) + b"tls13 " + label + b"\0"
        return HKDFExpand(which, size, about).derive(self._secret)

    def _record(self, plain: bytes) -> bytes:
        head = b"\x17\x03\x03" + struct.pack(">H", len(plain) + 16)
        once = (self._iv ^ next(self._numbers)).to_bytes(12, "big")
        return head + self._cipher.encrypt(once, plain, head)

    def _send(self, data: bytes) -> None:
        socket.socket.sendall(self._server, data)  # not encrypted once more
