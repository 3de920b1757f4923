"""What a question is about: a validated URI, in canonical form."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from credproxy.core.ask.credential import Caller
from credproxy.core.ask.names import Authority, Origin, RepositoryName


class Form(Enum):
    """How the URI named its authority.

    URL: a full URL. HOST: a bare ``host[:port]`` or a URL with an empty path (SC-3, SC-16).
    LITERAL: matched literally against host rules and never contacted (SC-6a: ``*.``, ``%2F``, grpc, grpcs).
    """

    URL = "url"
    HOST = "host"
    LITERAL = "literal"


@dataclass(frozen=True, slots=True)
class Target:
    """A validated, canonical URI (SC-1 to SC-6a).

    Attributes:
        scheme: lower case; ``https`` for a bare host.
        host: lower case, no trailing dot, no port; IPv6 compressed in brackets.
        port: explicit and not the scheme's default, else None.
        path: raw, still percent-encoded; "" for Form.HOST.
        query: raw, without ``?``; it may be a presigned secret: never logged, never in an error (SC-14).
        form: see Form.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    query: str
    form: Form

    @property
    def authority(self) -> Authority:
        """``host`` or ``host:port``: the registry's name in keys, messages and requests."""
        return Authority(self.host if self.port is None else f"{self.host}:{self.port}")

    @property
    def origin(self) -> Origin:
        """``scheme://authority``."""
        return Origin(f"{self.scheme}://{self.authority}")

    def __repr__(self) -> str:
        return f"Target({self.origin}{self.path})"


class Repository(NamedTuple):
    """A repository and what may be done with it, such as ``("org/app", ("pull",))``."""

    name: RepositoryName
    actions: tuple[str, ...]


class Object(NamedTuple):
    """What a URL names outside a registry's API, and the methods with which it may be requested."""

    url: str
    methods: tuple[str, ...]


Granted = Repository | Object
"""What a build action may be given a credential for, or have sent for it by the gateway."""


@dataclass(frozen=True, slots=True)
class Question:
    """A target and its caller.

    Attributes:
        target: what is asked about.
        caller: that asks.
        grants: all that a build action's token may grant, decided by policy; None on the helper socket, where the
            URI and the host's rule decide. With grants only a credential that was narrowed to them may be answered.
        sandbox: the name of the sandbox that asks, so that it has a budget of its own; None for a caller in none. It is
            not part of a key: what was fetched for one sandbox serves the others.
        for_gateway: the gateway sends the request itself, so the credential stays inside and need not be narrow.
    """

    target: Target
    caller: Caller
    grants: tuple[Granted, ...] | None = None
    for_gateway: bool = False
    sandbox: str | None = None
