"""A login at an identity provider: a person confirms it in a browser, here or on another device; the refresh token is tried.

It is tried as the daemon will use it, by one renewal, which the server may not allow this client. If the server replaces the
token, the new one is stored. A client's own secret is typed, and tried by one request for a token.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator

import click

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.jwt_signing import JwtSigner
from credproxy.adapters.keyrings import keyring_of
from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.adapters.processes import SystemProcesses
from credproxy.cli.browser_login import in_browser
from credproxy.cli.device_login import on_another_device
from credproxy.cli.held_login import HeldLogin
from credproxy.cli.login_wish import LoginWish
from credproxy.cli.login_words import LoginError, say
from credproxy.cli.oauth_means import OauthMeans, in_time
from credproxy.cli.quiet import quiet
from credproxy.cli.try_login import from_now
from credproxy.cli.typed_login import piped
from credproxy.core.ask.credential import Caller, Secret
from credproxy.core.ask.http import Dial
from credproxy.core.ask.stored import from_text
from credproxy.core.ask.target import Question
from credproxy.core.config.settings import Settings
from credproxy.core.kinds.oauth2 import Flow, OauthHost
from credproxy.daemon.build import KEY_BYTES, World, provider_tools
from credproxy.exchange.login_check import UnprovenError, check_page
from credproxy.exchange.oauth_token import OauthToken
from credproxy.ports.http_client import converse
from credproxy.ports.source import Source
from credproxy.providers.learned import Learned
from credproxy.providers.oauth2 import LoginMeans, OauthProvider
from credproxy.providers.oauth_secrets import OauthSecrets


def refresh_token(wish: LoginWish, rule: OauthHost) -> Secret:
    """Give a refresh token, once it was tried.

    Raises:
        LoginError: nobody can be asked; the server gives none.
        Failed: it is refused, or the server cannot be asked.
    """
    if wish.username:
        raise LoginError("-u means nothing here", "the identity provider asks who you are")
    given = Secret(piped()) if wish.password_stdin else None
    if given is not None:
        from_text(given.reveal(), None, where="the refresh token")
    elif wish.flow is None and not (sys.stdout.isatty() or sys.stderr.isatty()):
        raise LoginError(
            "there is no terminal to show a code on",
            "name the way, with --flow, or pipe a token in, with --password-stdin",
        )
    with quiet():
        return asyncio.run(_refresh_token(wish, rule, given))


def client_secret(wish: LoginWish, rule: OauthHost) -> Secret:
    """Give the secret of the rule's client, once it was tried.

    Raises:
        LoginError: nobody can be asked.
        Failed: it is refused, or the server cannot be asked.
    """
    for option, given in (("-u", wish.username), ("--flow", wish.flow)):
        if given:
            raise LoginError(f"{option} means nothing here: the client's secret is asked for", "leave it out")
    if wish.password_stdin:
        secret = Secret(piped())
    elif sys.stdin.isatty():
        secret = Secret(click.prompt(f"Secret of the client {rule.client_id!r}", hide_input=True))
    else:
        raise LoginError("there is no terminal to ask on", "pipe it in, with --password-stdin")
    from_text(secret.reveal(), None, where="the client's secret", hint="type it again")
    if not wish.no_check:
        with quiet():
            asyncio.run(_tried(wish, rule, secret))
    return secret


async def _tried(wish: LoginWish, rule: OauthHost, secret: Secret) -> None:
    clock = SystemClock()
    held = HeldLogin(clock, secret)
    async with AiohttpClient(clock) as http, own_provider(wish.settings, rule, http=http, held=held) as provider:
        await in_time(clock, _try(wish, rule, provider, http))


async def _refresh_token(wish: LoginWish, rule: OauthHost, given: Secret | None) -> Secret:
    clock = SystemClock()
    held = HeldLogin(clock, given)
    async with AiohttpClient(clock) as http, own_provider(wish.settings, rule, http=http, held=held) as provider:

        async def had() -> LoginMeans:
            return await provider.begin(wish.target, from_now(clock))

        if given is None:
            means = OauthMeans(wish.target.authority, had, clock, http, rule.redirect_uri)
            token = await confirmed(means, wish.flow or rule.flow)
            held.secret = token.token.refresh_token
        if held.secret is None:
            raise LoginError(
                "the identity provider gave no refresh token, and nothing was stored",
                'ask for one: offline_access in the scope of the [[host]], and the grant "refresh_token" for the client',
            )
        if not wish.no_check:
            await in_time(clock, _try(wish, rule, provider, http))
        return held.secret


async def confirmed(means: OauthMeans, flow: Flow) -> OauthToken:
    """Have a person confirm a login, in the way that the server has where no other is wanted.

    Raises:
        GrantRefused, Failed: as ``on_another_device`` and ``in_browser``.
    """
    if flow == "auto":
        server = (await means.begin()).server
        flow = "browser" if server.authorize_url and not server.device_url else "device"
    return await (on_another_device(means) if flow == "device" else in_browser(means))


async def _try(wish: LoginWish, rule: OauthHost, provider: OauthProvider, http: AiohttpClient) -> None:
    """Renew it, and ask for a page with what that gives."""
    terms = from_now(SystemClock())
    plan = await provider.plan(Question(wish.target, Caller("helper", os.geteuid())))
    assert plan is not None  # no URL that is signed: it is the host
    grant = await plan.run(terms)
    if grant.note:
        say(f"note: the token {grant.note}")
    if not wish.check_url:
        return
    try:
        dial = Dial(own=True, rule=rule.match)
        await converse(check_page(wish.check_url, grant.headers, dial=dial), http, terms=terms)
    except UnprovenError as error:
        hint = "name another page that wants it, with --check-url"
        raise LoginError(f"nothing was stored: nothing shows that the login is right: {error}", hint) from None


@contextlib.asynccontextmanager
async def own_provider(
    settings: Settings, rule: OauthHost, *, http: AiohttpClient, held: HeldLogin | None = None
) -> AsyncIterator[OauthProvider]:
    """The daemon's own provider; with a ``held`` login in place of the one that is stored, or not stored yet."""
    clock, files = SystemClock(), SystemFiles()
    processes = SystemProcesses(os.environ, clock=clock, metrics=PrometheusMetrics())
    processes.search(settings.helper_path)
    learned = Learned(secrets.token_bytes(KEY_BYTES))
    keyring = keyring_of(os.environ, clock=clock, uid=os.geteuid(), processes=processes)
    world = World(os.environ, os.geteuid(), clock, http, processes, files, JwtSigner(), learned, keyring)
    tools = provider_tools(settings, world)
    places: dict[str, Source] = {key: tools.source(place) for key, place in rule.places.items()}
    if held is not None:
        places[rule.login_key] = held
    try:
        yield OauthProvider(
            rule, secrets=OauthSecrets(rule, sources=places, keys=tools.keys, clock=clock), http=http, clock=clock
        )
    finally:
        processes.close()
        files.close()
