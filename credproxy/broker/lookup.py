"""What is asked for, by whom, and the key under which the answer is kept: a digest of both.

A digest, because a key of nested tuples weighs as much as the token that it leads to, and every look-up would hash and
compare all of it. Two keys are the same if and only if their parts are: the encoding says where each part begins, how
long it is and of what type, so no two lists of parts share one; and of BLAKE2b with 24 bytes nobody can find two texts
with the same digest (2**96 tries), not even who may choose the URIs. What a key stood for is told by its entry.
"""

from collections.abc import Hashable
from hashlib import blake2b
from typing import NamedTuple, NewType

import msgspec

from credproxy.core.ask.credential import Caller
from credproxy.ports import Plan


_SIZE = 24
"""Bytes; as an object in memory it then takes 64, as it would with 16."""

Key = NewType("Key", bytes)


class Lookup(NamedTuple):
    """What an exchange is for.

    Attributes:
        key: see ``key_of``.
        caller: who asks.
        authority: the host that is asked about.
        rule: the ``match`` of its host rule; "" for none.
        plan: how it is obtained.
        sandbox: which sandbox has to pay for an exchange; None for none.
    """

    key: Key
    caller: Caller
    authority: str
    rule: str
    plan: Plan
    sandbox: str | None = None


_encode = msgspec.msgpack.Encoder().encode


def key_of(caller: Caller, rest: tuple[Hashable, ...]) -> Key:
    """Make a key. It is one within an era: what two configurations gave is not kept in one place.

    Args:
        caller: who asks (SEC-16).
        rest: the provider's part: texts, bytes, numbers, None, tuples and ``Identity``.

    Raises:
        TypeError: a part of another type, such as a Secret: what is kept must not hold one (SEC-17).
    """
    parts = (caller, rest)
    try:
        encoded = _encode(parts)
    except UnicodeEncodeError:  # the path of a file need not be UTF-8
        encoded = ascii(parts).encode()  # begins with "(", which begins no list in msgpack
    return Key(blake2b(encoded, digest_size=_SIZE).digest())
