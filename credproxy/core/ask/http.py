"""HTTP requests and responses as values, so that exchanges stay pure."""

import re
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import msgspec

from credproxy import __version__
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.names import Origin


USER_AGENT: Final = f"credproxy/{__version__}"
"""What we call ourselves in requests of ours; GitHub refuses one that says nothing."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses that name another place for what was asked. Source: RFC 9110, section 15.4."""

VALUES: Final = re.compile(r"[\t -~\x80-\xff]*")
"""The values of header fields, one or several as one text: no character that would end a line, and so begin another field.

Source: RFC 9110, section 5.5.
"""

BODY_LIMIT = 128 * 1024
"""Bytes of a token response that are read: distribution's tokens stay below 64 KiB, oras-go allows 128 (TX-7)."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Where a request may connect to, and how TLS is judged there (SEC-4, SEC-R).

    Attributes:
        networks: CIDR ranges that are allowed although they are not global (``allow_private``).
        own: the host was named exactly, so its own non-global addresses are allowed; never link-local or metadata.
        addresses: single addresses that are allowed because the registry itself was reached there.
        ca_bundle: path of extra trust anchors, or None for the system's.
        tls_verify: False only for a registry with that setting, never for a realm.
        client_cert: path of the certificate that is shown to a server that asks for one, with its chain, or None.
        client_key: path of its private key; None if that is in the same file.
        certs_d: the registry whose folder in docker's or podman's ``certs.d`` counts, as they do; "" for none.
        identified: whether a client certificate may be shown: only to a server that the operator named.
        rule: ``match`` of the ``[[host]]`` that a setting for this connection goes into, for hints; "" if the host that
            is asked is the one to name.
        kind: of that rule.
        proxy: ``http://[user:password@]host:port`` or None; never from the environment. Not shown: it may hold a secret.
        metadata: the machine's cloud is asked who the machine is, which only the libraries in the worker do.
        relay: in a carrier, the name of the relay that connects to the origin and shows a client certificate there; "" if
            the carrier connects itself.
    """

    networks: tuple[str, ...] = ()
    own: bool = False
    addresses: tuple[str, ...] = ()
    ca_bundle: str | None = None
    tls_verify: bool = True
    proxy: str | None = field(default=None, repr=False)
    rule: str = field(default="", compare=False)
    kind: str = field(default="oci", compare=False)
    metadata: bool = False
    client_cert: str | None = None
    client_key: str | None = None
    certs_d: str = ""
    identified: bool = True
    relay: str = ""

    def elsewhere(self) -> "Dial":
        """The Dial for a host that a registry's answer names: it was not named by a rule, and its certificate is always checked."""
        return replace(
            self,
            own=False,
            addresses=(),
            tls_verify=True,
            metadata=False,
            identified=not self.may_have_certificate,
            relay="",
        )

    @property
    def may_have_certificate(self) -> bool:
        """Whether there may be a client certificate: without one, policies that are alike share their connections."""
        return self.client_cert is not None or self.certs_d != ""

    @property
    def has_files(self) -> bool:
        """Whether files decide about TLS that are not the system's, and may change."""
        return self.ca_bundle is not None or self.client_cert is not None or self.certs_d != ""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a registry's API is, and how to connect to it: for the gateway, which sends requests itself.

    Attributes:
        origin: ``scheme://authority``.
        dial: for connections to that origin; its ``Dial.elsewhere`` is for redirects.
        prefix: what comes before ``/v2/`` there, or "" (``path_prefix``).
        release_api: root of the API that has what this URL takes no credential for, or "".
    """

    origin: Origin
    dial: Dial
    prefix: str = ""
    release_api: str = ""


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Request(msgspec.Struct, frozen=True):
    """One request of a conversation, or of the gateway's.

    Attributes:
        url: absolute, already encoded; never holds a secret.
        headers: name and value; a Secret is revealed only by the adapter.
        body: an ``application/x-www-form-urlencoded`` text, or None.
        repeatable: False for a POST that spends a refresh token: never sent twice (U14).
        subject: its name in messages, such as ``token server 'auth.example.com'``.
    """

    method: Method
    url: str
    headers: tuple[tuple[str, str | Secret], ...] = ()
    body: Secret | None = None
    repeatable: bool = True
    dial: Dial = Dial()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. A redirect is a response like any other and is not followed (P-6).

    Attributes:
        headers: all field lines in order; names as sent.
        body: at most BODY_LIMIT bytes; a longer one is a Failed(answer_too_large).
        sent: boot-clock seconds before the request was sent (t0 of TX-15).
        wall: POSIX seconds at the same moment, to compare with ``issued_at`` and a JWT's ``exp``.
        peer: the address that was connected to, "" if unknown.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    sent: float
    wall: float
    peer: str = ""

    def all(self, name: str) -> tuple[str, ...]:
        """Every field line of that name, in order; the name in any case."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)

    def __repr__(self) -> str:
        # The body of a token response is a secret, and so may headers be (SEC-6).
        return f"Response(status={self.status}, {len(self.body)} bytes)"
