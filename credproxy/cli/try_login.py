"""Tries a login with one real request, as the daemon would send it."""

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.core.ask.credential import IdentityToken, Stored, UserPassword
from credproxy.core.ask.docker_hub import api_host
from credproxy.core.ask.http import Dial
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import is_loopback, parse_uri, plain
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.dressed import DressedHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.policy.routing import is_exact
from credproxy.exchange.login_check import LoginCheck, UnprovenError, check_page, check_registry
from credproxy.exchange.plan import RegistryRule
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import converse
from credproxy.ports.terms import OwnTerms


PATIENCE = 30.0
"""Seconds: a person waits, and an identity provider may take eleven."""


def from_now(clock: Clock) -> OwnTerms:
    """The limits of a request that is sent now."""
    return OwnTerms(clock.boot() + PATIENCE)


async def try_login(rule: HostRule, target: Target, *, stored: Stored, page: str) -> None:
    """Send it.

    Args:
        rule: of the host.
        target: the host, with the path if there is one, to log in to.
        stored: the login.
        page: the URL to request; "" for the one that the kind knows.

    Raises:
        Failed: the login is refused, or the host cannot be asked.
        UnprovenError: nothing shows that the login was checked.
    """
    clock = SystemClock()
    async with AiohttpClient(clock) as http:
        for one in _schemes(rule, target):
            try:
                async with clock.timeout(PATIENCE):
                    return await converse(_check(rule, one, stored, page), http, terms=from_now(clock))
            except TimeoutError:
                raise failed(
                    Code.UPSTREAM_UNAVAILABLE,
                    f"{target.authority!r} has not answered for {PATIENCE:g} s",
                    hint="check the network, then try again",
                ) from None
            except Failed as error:
                if one.scheme == "http" or not is_loopback(one.host) or error.failure.code not in _NO_TLS:
                    raise
    return None


_NO_TLS = frozenset({Code.TLS_FAILED, Code.UPSTREAM_UNAVAILABLE})


def _schemes(rule: HostRule, target: Target) -> tuple[Target, ...]:
    """The schemes to try: like docker, allow loopback hosts to have no TLS."""
    if rule.insecure:
        return (plain(target),)
    return (target, plain(target)) if is_loopback(target.host) and target.scheme == "https" else (target,)


def _check(rule: HostRule, target: Target, stored: Stored, page: str) -> LoginCheck:
    if isinstance(rule, OciHost):
        return _of_registry(rule, target, stored)
    assert isinstance(rule, DressedHost)
    url = page or rule.login_page(target)
    if not url:
        raise UnprovenError("it has no page that could be asked")
    asked = parse_uri(url)
    dial = Dial(own=True, rule=rule.match, client_cert=rule.client_cert, client_key=rule.client_key)
    headers = rule.dress(stored, "the login", width=rule.width(asked))
    return check_page(url, headers, dial=dial, refusals=rule.login_refused)


def _of_registry(rule: OciHost, target: Target, stored: Stored) -> LoginCheck:
    assert isinstance(stored, UserPassword | IdentityToken)
    place = parse_uri(f"{target.scheme}://{api_host(target.authority)}/")
    registry = RegistryRule(rule, exact=not rule.match or is_exact(rule)).registry(place)
    return check_registry(registry, stored, repository=target.path.strip("/") or None)
