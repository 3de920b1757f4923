"""The end of a login at an identity provider: its refresh token is revoked there before it is deleted here (RFC 7009)."""

import asyncio

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.cli.oauth_login import own_provider
from credproxy.cli.oauth_means import in_time
from credproxy.cli.quiet import quiet
from credproxy.cli.try_login import from_now
from credproxy.core.ask.target import Target
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed
from credproxy.core.kinds.oauth2 import OauthHost


def revoke_login(settings: Settings, rule: OauthHost, *, target: Target) -> tuple[str, tuple[str, ...]]:
    """Revoke what is stored for a target.

    Returns:
        The name of the server that did; "" for none, then lines that say why, for a login that is deleted all the same.
    """
    try:
        with quiet():
            return asyncio.run(_revoke(settings, rule, target=target)), ()
    except Failed as error:
        left = "the identity provider may take its refresh token until it ends: end the session there"
        return "", (f"warning: the login was not revoked: {error.failure.message}", left)


async def _revoke(settings: Settings, rule: OauthHost, *, target: Target) -> str:
    clock = SystemClock()
    async with AiohttpClient(clock) as http, own_provider(settings, rule, http=http) as provider:
        return await in_time(clock, provider.revoke(target, from_now(clock)))
