"""How a client authenticates to an authorization server, and the form that it posts.

Source: RFC 6749, section 2.3.1 (a secret in Basic is form-encoded first, or in the form); RFC 7521, section 4.2, and
RFC 7523, section 2.2 (a signed assertion); RFC 6749, section 3.2.1 (a client without a secret names itself).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import Secret, UserPassword, reveal
from credproxy.core.ask.http import USER_AGENT, Request
from credproxy.core.kinds.oauth2 import ClientAuth
from credproxy.exchange.oauth_server import OauthServer


ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFE: Final = 60
"""Seconds that an assertion is valid: it is sent at once, and some servers refuse a long-lived one."""

BACK: Final = 10
"""Seconds by which its ``iat`` is in the past, for a server whose clock is behind."""

Field = tuple[str, str | Secret]


@dataclass(frozen=True, slots=True)
class OauthClient:
    """A client, and how it authenticates.

    Attributes:
        id: its ``client_id``.
        method: see RFC 7591, section 2.
        secret: the client's secret, or the signed assertion for private_key_jwt.
        proof: where the secret is stored, for messages.
    """

    id: str
    method: ClientAuth = "none"
    secret: Secret | None = None
    proof: str = ""

    @property
    def once(self) -> bool:
        """Whether what it sends is accepted only once: a server may remember the ``jti`` of an assertion."""
        return self.method == "private_key_jwt"


def claims(issuer: str, subject: str, *, audience: str, wall: float, nonce: str) -> dict[str, str | int]:
    """The claims to sign. Source: RFC 7523, section 3.

    Args:
        issuer: who signs.
        subject: the client itself, or the user that a token is wanted for.
        audience: the issuer or the token endpoint of the server.
        wall: POSIX seconds, now.
        nonce: a unique value.
    """
    now = int(wall)
    return {"iss": issuer, "sub": subject, "aud": audience, "iat": now - BACK, "exp": now + LIFE, "jti": nonce}


def post(server: OauthServer, url: str, *, client: OauthClient, form: Sequence[Field], once: bool = False) -> Request:
    """Give the request that posts a form.

    Args:
        server: whose endpoint it is.
        url: of the endpoint.
        client: that makes the request.
        form: its fields, in order; a name may occur again.
        once: it spends something, and must not be sent again (U14).
    """
    headers: list[tuple[str, str | Secret]] = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "application/json"),
        ("User-Agent", USER_AGENT),
    ]
    if client.method == "client_secret_basic" and client.secret is not None:
        encoded = UserPassword(quote_plus(client.id), Secret(quote_plus(client.secret.reveal())))
        headers.insert(0, ("Authorization", basic(encoded)))
    return Request(
        "POST",
        url,
        headers=tuple(headers),
        body=Secret("&".join(f"{name}={quote_plus(reveal(value))}" for name, value in (*form, *_named(client)))),
        repeatable=not (once or client.once),
        dial=server.dial,
        subject=server.subject,
    )


def _named(client: OauthClient) -> Iterator[Field]:
    """What the form says about the client itself: nothing if Basic does, because some servers want only one of both."""
    if client.method != "client_secret_basic":
        yield "client_id", client.id
    if client.method == "client_secret_post" and client.secret is not None:
        yield "client_secret", client.secret
    if client.method == "private_key_jwt" and client.secret is not None:
        yield "client_assertion_type", ASSERTION_TYPE
        yield "client_assertion", client.secret
