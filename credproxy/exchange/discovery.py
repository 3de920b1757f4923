"""What a registry asks for: one ping without credentials, and a choice among its challenges.

Source: TX-1 to TX-3, CH-13 to CH-17, SEC-R; distribution docs/content/spec/api.md.
"""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from credproxy.core.ask.http import REDIRECTS, USER_AGENT, Dial, Request, Response
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import canonical_uri, parse_uri, shown
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.hints import in_host
from credproxy.exchange.challenge import Challenge, parse_challenges
from credproxy.exchange.realm import check_realm
from credproxy.exchange.statuses import transient


_ANYWHERE_GLOBAL = Dial()

_REDIRECTS = 3
"""Redirects that are followed: one to add a slash, one to change the host name, and one to spare."""


class Asks(Enum):
    """What a registry requires."""

    NOTHING = "nothing"
    BASIC = "basic"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class AskedRegistry:
    """A registry to ask, and what the configuration says about it.

    Attributes:
        target: scheme and authority.
        prefix: path in front of ``/v2/``, or "".
        dial: where it may be reached.
        realm: a static realm, or None to take the challenge's (CH-17); the operator's own setting needs no pair.
        service: likewise.
        realm_hosts: canonical authorities that may be its token server.
    """

    target: Target
    prefix: str = ""
    dial: Dial = _ANYWHERE_GLOBAL
    realm: str | None = None
    service: str | None = None
    realm_hosts: Collection[str] = ()

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"registry {self.target.authority!r}"

    @property
    def rule(self) -> str:
        """The ``match`` of the ``[[host]]`` that hints point to."""
        return self.dial.rule or self.target.authority


@dataclass(frozen=True, slots=True)
class Found:
    """What a registry asks for.

    Attributes:
        asks: see Asks.
        realm: canonical URL of the token endpoint; "" unless Bearer.
        authority: the token endpoint's host, canonical; "" unless Bearer.
        service: "" if the challenge names none: it is never invented (CH-13).
        dial: where the token endpoint may be reached.
    """

    asks: Asks
    realm: str = ""
    authority: str = ""
    service: str = ""
    dial: Dial = _ANYWHERE_GLOBAL


def discover(registry: AskedRegistry, second_look: str | None) -> Generator[Request, Response, Found]:
    """Ping, and choose.

    Args:
        registry: to ask.
        second_look: a repository whose tags are requested if the ping says 200, because Artifactory's anonymous ping
            hides that it wants a login (TX-3); None if there is no credential anyway.

    Raises:
        Failed: no_challenge, unsupported_scheme, poisoned_challenge, realm_refused, downgrade, redirect_refused,
            rate_limited, upstream_unavailable.
    """
    response = yield from _answered(registry, "/v2/")
    if response.status == HTTPStatus.OK and second_look is not None:
        response = yield from _answered(registry, f"/v2/{second_look}/tags/list?n=1")
        if response.status == HTTPStatus.NOT_FOUND:  # open, and this repository does not exist yet
            return Found(Asks.NOTHING)
    if response.status == HTTPStatus.OK:
        return Found(Asks.NOTHING)
    if response.status == HTTPStatus.UNAUTHORIZED:
        return choose(registry, parse_challenges(response.all("WWW-Authenticate")), peer=response.peer)
    raise _odd(registry, response)


def choose(registry: AskedRegistry, challenges: Sequence[Challenge], *, peer: str = "") -> Found:
    """Prefer Bearer with a trusted realm; take Basic only if no Bearer was offered at all (CH-16, P-4).

    ``peer`` is the address at which the registry was reached; its token server may be there, too (SEC-4).
    """
    bearers = [challenge for challenge in challenges if challenge.scheme == "bearer"]
    usable = [challenge for challenge in bearers if not challenge.poisoned and "realm" in challenge.parameters]
    if registry.realm is not None:
        service = next((challenge.parameters.get("service", "") for challenge in usable), "")
        return _bearer(registry, registry.realm, service, peer, configured=True)
    refusals: list[Failure] = []
    for challenge in sorted(usable, key=lambda challenge: challenge.malformed):
        try:
            return _bearer(registry, challenge.parameters["realm"], challenge.parameters.get("service", ""), peer)
        except Failed as error:
            refusals.append(error.failure)
    if refusals:
        raise Failed(refusals[0])
    if any(challenge.poisoned for challenge in bearers):
        raise failed(
            Code.POISONED_CHALLENGE,
            f"{registry.name} sent a challenge that names a parameter twice or holds control characters",
            hint="nothing was sent to it; somebody may be between you and the registry",
        )
    return _without_bearer(registry, challenges)


def _without_bearer(registry: AskedRegistry, challenges: Sequence[Challenge]) -> Found:
    schemes = [challenge.scheme for challenge in challenges if not challenge.poisoned]
    if "basic" in schemes and "bearer" not in schemes:
        return Found(Asks.BASIC)
    if "bearer" in schemes or not schemes:
        raise failed(
            Code.NO_CHALLENGE,
            f"{registry.name} wants a login but does not name its token server",
            hint="name its token server " + in_host(registry.rule, 'realm = "https://HOST/PATH"'),
        )
    raise failed(
        Code.UNSUPPORTED_SCHEME,
        f"{registry.name} asks for {', '.join(sorted(set(schemes)))}; credproxy knows Bearer and Basic",
        hint="use another login method of this registry",
    )


def _bearer(registry: AskedRegistry, realm: str, service: str, peer: str, *, configured: bool = False) -> Found:
    found = check_realm(realm, registry.target, allowed=registry.realm_hosts, configured=configured, rule=registry.rule)
    dial = registry.dial
    if found.origin != registry.target.origin:
        dial = replace(
            dial,
            own=dial.own and found.host == registry.target.host,
            addresses=(peer,) if peer else (),
            tls_verify=True,  # the mark is only for the registry, and never for a realm (SEC-R)
            # It says who somebody is, and a registry may name any host here.
            identified=not dial.may_have_certificate
            or configured
            or found.host == registry.target.host
            or found.authority in registry.realm_hosts,
        )
    # The canonical spelling: with its dot, ``reg.test.`` would be a different name for TLS.
    return Found(Asks.BEARER, canonical_uri(found), found.authority, registry.service or service, dial)


def _answered(registry: AskedRegistry, path: str) -> Generator[Request, Response, Response]:
    """Ask without a login; if the registry redirects to the same thing on its own origin, ask there.

    Raises:
        Failed: redirect_refused (another origin, no location, too often), no_challenge (it ends at an open page).
    """
    url = f"{registry.target.origin}{registry.prefix}{path}"
    asked = urlsplit(url).path
    for _ in range(_REDIRECTS + 1):
        response = yield _ask(registry, url)
        if response.status not in REDIRECTS:
            if response.status == HTTPStatus.OK and not _alike(urlsplit(url).path, asked):  # as in RFC 9110
                message = f"{registry.name} redirects its API to {shown(url)}, a page without a challenge"
                raise failed(Code.NO_CHALLENGE, message, hint="check that the host is a registry, and its path_prefix")
            return response
        url = _place(registry, url, response)
    raise failed(
        Code.REDIRECT_REFUSED,
        f"{registry.name} redirects its API more than {_REDIRECTS} times, the last time to {shown(url)}",
        hint="ask its administrator",
    )


def _place(registry: AskedRegistry, url: str, response: Response) -> str:
    """Where a redirect leads, if that is on the registry's own origin, however it is spelled."""
    location = next(iter(response.all("Location")), "").strip()
    try:
        place = urljoin(url, location) if location and "@" not in urlsplit(location).netloc else ""
        target = parse_uri(place.partition("#")[0])
    except (ValueError, Failed):
        raise failed(
            Code.REDIRECT_REFUSED,
            f"{registry.name} redirects its API to something that is not a URL",
            hint="ask its administrator",
        ) from None
    if target.origin == registry.target.origin:
        return canonical_uri(target) if target.path else f"{target.origin}/"
    raise _elsewhere(registry, target, shown(place))


def _elsewhere(registry: AskedRegistry, target: Target, place: str) -> Failed:
    before = registry.target
    if (before.scheme, target.scheme) == ("https", "http"):
        return failed(
            Code.DOWNGRADE,
            f"{registry.name} redirects its API from https to plain http, at {place}",
            hint="ask its administrator to name an https address",
        )
    if (before.scheme, target.scheme, target.host) == ("http", "https", before.host):
        hint = f'it speaks https: take insecure = true out of the [[host]] with match = "{registry.rule}"'
    else:
        hint = f"name {target.authority!r} in your build instead"
    message = f"{registry.name} redirects its API to {place}, and logins are not sent to another origin"
    return failed(Code.REDIRECT_REFUSED, message, hint=hint)


def _alike(path: str, asked: str) -> bool:
    """Whether a path is the requested one, with any prefix, and with or without its last slash."""
    return path.rstrip("/").endswith(asked.rstrip("/"))


def _ask(registry: AskedRegistry, url: str) -> Request:
    # No Authorization: Harbor answers any request that has one with Basic, nvcr.io with another realm (P-2).
    return Request("GET", url, headers=(("User-Agent", USER_AGENT),), dial=registry.dial, subject=registry.name)


def _odd(registry: AskedRegistry, response: Response) -> Failed:
    passing = transient(response, registry.name)
    if passing is not None:
        return passing
    if response.status == HTTPStatus.BAD_REQUEST and b"SSL certificate" in response.body:  # as nginx says it
        return failed(
            Code.DENIED,
            f"{registry.name} wants another client certificate, or one at all",
            hint="name one that it knows " + in_host(registry.rule, 'client_cert = "/PATH/client.pem"'),
        )
    return failed(
        Code.NO_CHALLENGE,
        f"{registry.name} answered {response.status} where a registry says what login it wants",
        hint="check that the host is a registry",
    )
