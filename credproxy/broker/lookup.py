"""What is asked for, by which caller, and the key under which the answer is cached: a digest of both.

A digest, because a key of nested tuples weighs as much as the token that it leads to, and every look-up would hash and
compare all of it. Two keys are the same if and only if their parts are: the encoding says where each part begins, how
long it is and of what type, so no two lists of parts share one; and for BLAKE2b with 24 bytes nobody can find two texts
with the same digest (2**96 tries), not even a caller that chooses the URIs. What a key stands for is in its entry.
"""

from collections.abc import Hashable
from hashlib import blake2b
from typing import NamedTuple, NewType

import msgspec

from credproxy.core.ask.credential import Caller
from credproxy.ports.provider import Plan


_SIZE = 24
"""Bytes; as an object in memory it then takes 64, as it would with 16."""

Key = NewType("Key", bytes)


class Lookup(NamedTuple):
    """What an exchange is for.

    Attributes:
        key: see ``key_of``.
        caller: that asks.
        authority: the host that is asked about.
        rule: the ``match`` of its host rule; "" for none.
        plan: how it is obtained.
        sandbox: whose budget pays for an exchange; None for none.
    """

    key: Key
    caller: Caller
    authority: str
    rule: str
    plan: Plan
    sandbox: str | None = None


_encode = msgspec.msgpack.Encoder().encode


def key_of(caller: Caller, rest: tuple[Hashable, ...]) -> Key:
    """Make a key, unique within an era: grants of two configurations are never kept together.

    Args:
        caller: that asks (SEC-16).
        rest: the provider's part: texts, bytes, numbers, None, tuples and ``Identity``.

    Raises:
        TypeError: a part of another type, such as a Secret: a key must not hold one (SEC-17).
    """
    parts = (caller, rest)
    try:
        encoded = _encode(parts)
    except UnicodeEncodeError:  # the path of a file need not be UTF-8
        encoded = ascii(parts).encode()  # starts with "(", which starts no list in msgpack
    return Key(blake2b(encoded, digest_size=_SIZE).digest())
