"""Which token server a rule means: named by the rule, or found in the document that its issuer publishes.

::

    issuer https://id.test/team
      GET https://id.test/.well-known/oauth-authorization-server/team     RFC 8414, section 3
      GET https://id.test/team/.well-known/openid-configuration           OpenID Connect Discovery, section 4

A document is accepted if it names the very issuer that was asked about. A secret goes only to an endpoint that is https
and on the issuer's own origin, or that the rule names: the operator configured the origin, and otherwise a changed
document could have secrets sent anywhere. Redirects are not followed.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from credproxy.core.ask.http import USER_AGENT, Dial, Request, Response
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri, shown
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.hints import in_rule
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import decode_object


_AS_PUBLISHED: Final = 'issuer = "https://...", exactly as its own document has it'


@dataclass(frozen=True, slots=True)
class OauthServer:
    """An authorization server.

    Attributes:
        dial: where its endpoints may be reached.
        issuer: "" if the rule only names endpoints.
        token_url, device_url, authorize_url, revocation_url: its endpoints; "" if there is none, or if it is not known yet.
    """

    dial: Dial
    issuer: str = ""
    token_url: str = ""
    device_url: str = ""
    authorize_url: str = ""
    revocation_url: str = ""

    @property
    def subject(self) -> str:
        """Its name in messages."""
        return f"token server {urlsplit(self.token_url or self.issuer).netloc!r}"

    @property
    def complete(self) -> bool:
        """Whether the issuer need not be asked."""
        return not self.issuer or bool(self.token_url and self.device_url and self.authorize_url)

    def setting(self, text: str) -> str:
        """The rule that a helpful setting goes into, for hints."""
        return in_rule(self.dial.rule, self.dial.kind, setting=text)


def find(named: OauthServer) -> Generator[Request, Response, OauthServer]:
    """Complete a rule's endpoints with those that its issuer publishes.

    Args:
        named: has an issuer; the endpoints that it names are kept.

    Raises:
        Failed: no_challenge (no such document), realm_refused, downgrade, redirect_refused, rate_limited,
            upstream_unavailable.
    """
    for url in _places(named.issuer):
        response = yield Request(
            "GET",
            url,
            headers=(("Accept", "application/json"), ("User-Agent", USER_AGENT)),
            dial=named.dial,
            subject=_issuer(named),
        )
        found = decode_object(response.body) if response.status == HTTPStatus.OK else None
        if found is not None:
            return _completed(named, found)
        _check_status(named, response)
    raise _unpublished(named, "no document that says where its token endpoint is")


def _places(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def _check_status(named: OauthServer, response: Response) -> None:
    passing = transient(response, _issuer(named))
    if passing is not None:
        raise passing
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        message = f"{_issuer(named)} redirects, and logins do not follow redirects"
        raise failed(Code.REDIRECT_REFUSED, message, hint="write " + named.setting(_AS_PUBLISHED))


def _completed(named: OauthServer, found: dict[str, object]) -> OauthServer:
    said = found.get("issuer")
    if said != named.issuer:
        whose = f", {shown(said)}" if isinstance(said, str) and said else ""
        message = f"{_issuer(named)} publishes the document of another one{whose}"
        raise failed(Code.REALM_REFUSED, message, hint="write " + named.setting(_AS_PUBLISHED))
    device, authorize = _parsed(found, "device_authorization_endpoint"), _parsed(found, "authorization_endpoint")
    # Only a browser opens the second one, without a secret of ours.
    seen = authorize is not None and (authorize[1].scheme == "https" or _is_own(named, authorize[1]))
    revocation = _parsed(found, "revocation_endpoint")
    return replace(
        named,
        token_url=named.token_url or _token_url(named, found),
        device_url=named.device_url or (device[0] if device and _is_own(named, device[1]) else ""),
        authorize_url=named.authorize_url or (authorize[0] if authorize and seen else ""),
        revocation_url=revocation[0] if revocation and _may_have_token(named, revocation[1]) else "",
    )


def _token_url(named: OauthServer, found: dict[str, object]) -> str:
    """The endpoint that gets secrets. Raises Failed: it is not on the issuer's origin."""
    parsed = _parsed(found, "token_endpoint")
    if parsed is None:
        raise _unpublished(named, "no token endpoint")
    url, target = parsed
    if _is_own(named, target):
        return url
    hint = "if that is right, say so " + named.setting(f'token_url = "{url}"')
    if target.scheme == "http":
        hint = "ask its administrator to name an https address"
        raise failed(Code.DOWNGRADE, f"{_issuer(named)} sends logins to plain http, at {shown(url)}", hint=hint)
    raise failed(Code.REALM_REFUSED, f"{_issuer(named)} sends logins to another origin, at {shown(url)}", hint=hint)


def _may_have_token(named: OauthServer, target: Target) -> bool:
    """Whether a refresh token may be sent there to be revoked: where it comes from, which the operator has named."""
    own = {parse_uri(url).origin for url in (named.issuer, named.token_url) if url}
    return target.origin in own


def _is_own(named: OauthServer, target: Target) -> bool:
    return target.origin == parse_uri(named.issuer).origin


def _parsed(found: dict[str, object], member: str) -> tuple[str, Target] | None:
    """A URL of a document as written, and parsed; None if there is none."""
    url = found.get(member)
    if not isinstance(url, str) or "://" not in url or '"' in url or "#" in url:
        return None
    try:
        return url, parse_uri(url)
    except Failed:
        return None


def _unpublished(named: OauthServer, what: str) -> Failed:
    return failed(
        Code.NO_CHALLENGE,
        f"{_issuer(named)} publishes {what}",
        hint="name it " + named.setting('token_url = "https://HOST/PATH"'),
    )


def _issuer(named: OauthServer) -> str:
    return f"issuer {named.issuer!r}"
