"""Secrets, stored credentials, and what an exchange grants.

Everything here may appear in a log or a traceback: only ``Secret.reveal`` gives a value away.
"""

import hmac
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from msgspec import Struct


class Secret:
    """A string that shows itself only when asked to (SEC-11, PY17)."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the value; call it only where the value leaves the process."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Not every value is UTF-8: see core/formats/netrc.py.
        ours, theirs = (secret._value.encode(errors="surrogateescape") for secret in (self, other))  # noqa: SLF001  its own
        return hmac.compare_digest(ours, theirs)

    __hash__ = None  # type: ignore[assignment]  # a secret as a cache key would outlive its use (SEC-17)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialised")


def reveal(value: "str | Secret") -> str:
    """The text of a header's value; call it only where the value leaves the process."""
    return value.reveal() if isinstance(value, Secret) else value


@dataclass(frozen=True, slots=True)
class UserPassword:
    """A login for Basic or for the token endpoint."""

    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """An OAuth 2.0 refresh token as docker stores it (``identitytoken``, or helper user ``<token>``).

    ``username`` and ``password`` are set when the entry has them too: TX-9 may then fall back to GET.
    """

    token: Secret
    username: str = ""
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class RegistryToken:
    """A finished Bearer token (``registrytoken``): sent as it is."""

    token: Secret


@dataclass(frozen=True, slots=True)
class PlainSecret:
    """One value without a user name: an API key from a file, the environment or a program."""

    value: Secret


Stored = UserPassword | IdentityToken | RegistryToken | PlainSecret


def secret_of(stored: Stored) -> Secret:
    """The one secret of a stored credential: its password or token, without the user name."""
    match stored:
        case PlainSecret(value):
            return value
        case UserPassword(_, password):
            return password
        case IdentityToken(token) | RegistryToken(token):
            return token


@dataclass(frozen=True, slots=True)
class Identity:
    """Which stored credential, without its value: part of every cache key (P-1).

    Attributes:
        source: such as ``docker-config`` or ``env``.
        entry: the key inside the source, such as ``https://index.docker.io/v1/`` or a variable's name.
        version: changes when the credential may have changed: ``(mtime_ns, inode, size)`` of its file, or a counter.
            Of numbers, texts and tuples, like the rest of a key.
    """

    source: str
    entry: str
    version: Hashable = ()

    def __str__(self) -> str:
        return f"{self.source}:{self.entry}"


class Lifetime(Struct, frozen=True, gc=False):
    """How long a grant is good, on the clock that runs through suspend.

    Attributes:
        since: boot-clock seconds, the moment *before* the request was sent (TX-15).
        until: boot-clock seconds of the hard expiry; None if the issuer does not say.
        keep: seconds that an answer without ``until`` may be served from memory; required if there is no end.
        wall_until: POSIX seconds, for sources that state an absolute time: then both clocks must agree (docs/design/faults.md#renewal).
    """

    since: float
    until: float | None = None
    keep: float = 0.0
    wall_until: float | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a provider obtained: the headers to hand out and how long they are good.

    Attributes:
        headers: ``(name, values)``; empty means "no credential": the answer is ``{}``.
        lifetime: see Lifetime.
        note: why it is empty, or what is unusual about it: shown by ``explain`` and logged, never a secret.
        less: whether it says that it grants less than was asked for (TX-12).
        direct: its headers hold the login itself, or what another helper gave: no exchange can improve on them, only a new look-up
            where they come from.
    """

    headers: tuple[tuple[str, tuple[Secret, ...]], ...]
    lifetime: Lifetime
    note: str = ""
    less: bool = False
    direct: bool = False

    @property
    def empty(self) -> bool:
        """True for "no credential"."""
        return not self.headers


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: part of every cache key, so that two sockets or two users never share an answer (SEC-16, T10)."""

    socket: str = "helper"
    uid: int = 0

    @property
    def for_actions(self) -> bool:
        """Whether it is a build action: on any socket but the user's own."""
        return self.socket != "helper"


@dataclass(frozen=True, slots=True)
class Handout:
    """What is sent through a socket.

    Attributes:
        headers: as in Grant.
        expires: POSIX seconds (whole, floored, margin already taken off) or None to leave it out.
        detail: of its Plan: provider, scopes, credential; never a secret.
    """

    headers: tuple[tuple[str, tuple[Secret, ...]], ...]
    expires: int | None
    detail: Mapping[str, str] = field(default_factory=dict, compare=False)
