"""The token request of OAuth 2.0, for each grant type.

::

    client_credentials                                RFC 6749, section 4.4
    refresh_token          refresh_token              RFC 6749, section 6
    jwt_bearer             assertion                  RFC 7523, section 2.1
    token_exchange         subject_token              RFC 8693, section 2.1
    each with              scope, resource, audience  RFC 8707 for the second; the third is Auth0's, and RFC 8693's

What is spent by being sent is never sent twice (U14): many servers replace a used refresh token by a new one, and
revoke all of them when they see the old one again (RFC 9700, section 4.14).
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import msgspec

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.jwt import claims
from credproxy.core.errors import GATEWAY, Code, failed
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.exchange.oauth_client import Field, OauthClient, post
from credproxy.exchange.oauth_refusals import AskedFor, is_refusal, refusal
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.token_answer import Token, decode_object, parse_token


JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  the name of a grant type

_SENDABLE: Final = frozenset({"bearer", "bearertoken", "n_a"})
"""Token types that can be sent in a header; Apigee writes BearerToken, RFC 8693 N_A for a token that is not an access token."""

TokenExchange = Generator[Request, Response, "OauthToken"]


class _AudienceClaim(msgspec.Struct, frozen=True):
    aud: str | tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OauthToken:
    """A token, and the requested scopes that were not granted."""

    token: Token
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OauthLimits:
    """What a token is limited to.

    Attributes:
        scopes: in the server's own terms.
        audience: logical names of the services that shall accept it.
        resource: URLs of the services that shall accept it.
    """

    scopes: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """All parts, for a key."""
        return self.scopes, self.audience, self.resource

    def told(self) -> dict[str, str]:
        """The parts that are set, for people."""
        named = zip(("scopes", "audience", "resource"), self.parts, strict=True)
        return {name: " ".join(values) for name, values in named if values}

    def form(self) -> tuple[Field, ...]:
        """Its form fields: scopes share one field, other values have one each."""
        scope: tuple[Field, ...] = (("scope", " ".join(self.scopes)),) if self.scopes else ()
        resource: tuple[Field, ...] = tuple(("resource", one) for one in self.resource)
        return (*scope, *resource, *(("audience", one) for one in self.audience))


@dataclass(frozen=True, slots=True)
class Proof:
    """What entitles the client to a token, beside its own secret.

    Attributes:
        grant: its type, as a rule names it.
        form: its form fields.
        name: what it is and where it is stored, for messages; "" for none.
        setup: what the user does when it has expired.
        once: being sent spends it.
        signed: it contains a time of this machine's clock.
    """

    grant: str
    form: tuple[Field, ...]
    name: str = ""
    setup: str = ""
    once: bool = False
    signed: bool = False


OF_CLIENT: Final = Proof("client_credentials", (("grant_type", "client_credentials"),))
"""The client's own secret is enough."""


def of_refresh_token(token: Secret, *, name: str, setup: str) -> Proof:
    """A refresh token, which is spent by use."""
    form = (("grant_type", "refresh_token"), ("refresh_token", token))
    return Proof("refresh_token", form, f"the refresh token from {name}", setup, once=True)


def of_assertion(assertion: Secret, *, name: str, setup: str, signed: bool) -> Proof:
    """A JWT; if it was ``signed`` here, it is accepted only once."""
    form = (("grant_type", JWT_BEARER), ("assertion", assertion))
    return Proof("jwt_bearer", form, f"the assertion from {name}", setup, once=signed, signed=signed)


def of_subject_token(token: Secret, kind: str, *, wanted: str | None, name: str, setup: str) -> Proof:
    """A token of another issuer, to exchange; with its type and the wanted type."""
    form: tuple[Field, ...] = (("grant_type", TOKEN_EXCHANGE), ("subject_token", token), ("subject_token_type", kind))
    of_type: tuple[Field, ...] = () if wanted is None else (("requested_token_type", wanted),)
    return Proof("token_exchange", (*form, *of_type), f"the subject token from {name}", setup)


def of_code(code: Secret, verifier: Secret, *, redirect_uri: str) -> Proof:
    """A code that a browser returned."""
    form = (
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    )
    return Proof("authorization_code", form, "the code that the browser brought", "begin again", once=True)


def obtain(server: OauthServer, client: OauthClient, *, proof: Proof, limits: OauthLimits) -> TokenExchange:
    """Request a token once.

    Raises:
        GrantRefused: bad_credentials, denied, no_challenge, redirect_refused, bad_token, rate_limited.
        Failed: bad_token (a 200 without a usable one), upstream_unavailable, rate_limited.
    """
    response = yield post(server, server.token_url, client=client, form=(*proof.form, *limits.form()), once=proof.once)
    if is_refusal(response):
        raise refusal(asked(server, client, proof=proof, limits=limits), response)
    return issued(server, limits, response=response)


def asked(server: OauthServer, client: OauthClient, *, proof: Proof, limits: OauthLimits) -> AskedFor:
    """The request, for messages."""
    return AskedFor(
        server,
        client,
        proof.grant,
        proof.name,
        signed=proof.signed,
        scopes=limits.scopes,
        targets=(*limits.resource, *limits.audience),
        setup=proof.setup,
    )


def issued(server: OauthServer, limits: OauthLimits, *, response: Response) -> OauthToken:
    """Read a 200. Raises Failed(bad_token): there is no token that can be sent in a header."""
    found = decode_object(response.body) or {}
    kind, scope = found.get("token_type"), found.get("scope")
    if isinstance(kind, str) and kind.lower() not in _SENDABLE:
        message = f"{server.subject} gave a token that wants a proof beside each request"
        raise failed(Code.BAD_TOKEN, message, hint="let the client have Bearer tokens there")
    token = parse_token(response, server.subject, trust_jwt_exp=True)
    # A server that does not say grants what was requested (RFC 6749, section 5.1).
    granted = scope.split() if isinstance(scope, str) else limits.scopes
    return OauthToken(token, tuple(one for one in limits.scopes if one not in granted))


def check_limited(server: OauthServer, limits: OauthLimits, *, token: OauthToken) -> None:
    """Refuse a token that states wider access than was requested; one that states nothing is accepted.

    Raises:
        Failed(use_gateway): build actions may not have it.
    """
    try:
        said = msgspec.json.decode(claims(token.token.value.reveal()), type=_AudienceClaim).aud
    except UNREADABLE:
        return
    named = {said} if isinstance(said, str) else set(said)
    more = sorted(named - {*limits.resource, *limits.audience})
    if more:
        message = f"{server.subject} gave a token for more than {' '.join(limits.resource)!r}"
        raise failed(Code.USE_GATEWAY, f"no build action may have the credential: {message}", hint=GATEWAY)
