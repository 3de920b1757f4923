"""``doctor --network``: each registry is pinged without a credential, as at the beginning of an exchange."""

import asyncio
from collections.abc import Iterable

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.core.ask.docker_hub import api_host
from credproxy.core.ask.uri import is_loopback, parse_uri
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.oci import OciHost
from credproxy.core.policy.routing import is_exact
from credproxy.exchange.discovery import discover
from credproxy.exchange.plan import RegistryRule
from credproxy.ports.http_client import converse
from credproxy.ports.terms import OwnTerms


MOST = 32
_PATIENCE = 10.0


def ping(settings: Settings, authorities: Iterable[str]) -> dict[str, str | Failure]:
    """Ask all registries at once; give what each requires, ``bearer from 'auth.example.com'``, or why that is unknown.

    Args:
        settings: their host rules say how to reach the registries.
        authorities: canonical; at most MOST are asked.
    """
    return asyncio.run(_ping_all(settings, list(dict.fromkeys(authorities))[:MOST]))


async def _ping_all(settings: Settings, authorities: list[str]) -> dict[str, str | Failure]:
    clock = SystemClock()
    async with AiohttpClient(clock) as http:
        answers = await asyncio.gather(*(_ping(settings, authority, http, clock) for authority in authorities))
    return dict(zip(authorities, answers, strict=True))


async def _ping(settings: Settings, authority: str, http: AiohttpClient, clock: SystemClock) -> str | Failure:
    target = parse_uri(f"https://{api_host(authority)}/")
    rule = settings.router().match(target)
    oci = rule if isinstance(rule, OciHost) else OciHost(match="")
    if oci.insecure or is_loopback(target.host):
        target = parse_uri(f"http://{api_host(authority)}/")
    registry = RegistryRule(oci, exact=rule is None or is_exact(rule)).registry(target)
    until = clock.boot() + _PATIENCE
    try:
        async with clock.timeout(_PATIENCE):
            found = await converse(discover(registry, None), http, terms=OwnTerms(until))
    except TimeoutError:
        return Failure(Code.UPSTREAM_UNAVAILABLE, f"{registry.name} has not answered for {_PATIENCE:g} s", "")
    except Failed as error:
        return error.failure
    return f"{found.asks.value} from {found.authority!r}" if found.authority else found.asks.value
