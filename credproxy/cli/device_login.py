"""A login on another device: shows a code, and asks until somebody has confirmed it. See exchange/oauth_device.py."""

import secrets
from dataclasses import replace

import click

from credproxy.cli.login_words import WIDTH, say
from credproxy.cli.oauth_means import OauthMeans
from credproxy.cli.qr_code import qr_code
from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange import oauth_device
from credproxy.exchange.oauth_device import DeviceLogin
from credproxy.exchange.oauth_refusals import GrantRefused
from credproxy.exchange.oauth_token import OauthToken
from credproxy.providers.oauth2 import LoginMeans


_SLOWEST = 60.0
"""Seconds between two questions where answers are lost."""

_MINUTE = 60


async def on_another_device(means: OauthMeans) -> OauthToken:
    """Log in.

    Raises:
        GrantRefused: somebody said no, or the server does not let this client log in so.
        Failed: nobody confirmed the code while it was good; what cannot be asked.
    """
    begun = await means.begin()
    server, client, limits = begun
    verifier = Secret(secrets.token_urlsafe(32))
    login = await means.converse(oauth_device.begin(server, client, limits=limits, verifier=verifier))
    _show(login, left=login.until - means.clock.boot())
    while True:
        left = login.until - means.clock.boot()
        if left <= 0:
            hint = f"begin again: credproxy login {means.host}"
            raise failed(Code.DENIED, "nobody has confirmed the code while it was good", hint=hint)
        await means.clock.sleep(min(login.interval, left))
        answer = await _asked(means, await means.again(begun), login=login)
        if isinstance(answer, OauthToken):
            return answer
        login = answer


async def _asked(means: OauthMeans, begun: LoginMeans, *, login: DeviceLogin) -> OauthToken | DeviceLogin:
    """Ask once; what may pass is waited for, at longer and longer intervals (RFC 8628, section 3.5)."""
    server, client, limits = begun
    try:
        return await means.converse(oauth_device.ask(server, client, login=login, limits=limits))
    except GrantRefused:
        raise
    except Failed as error:
        if not error.failure.may_pass:
            raise
        return replace(login, interval=min(login.interval * 2, _SLOWEST))


def _show(login: DeviceLogin, *, left: float) -> None:
    say("open this page, on any device:")
    click.echo(f"\n  {login.url}\n")
    say(f"and type this code: {click.style(login.user_code, bold=True)}")
    code = qr_code(login.complete_url or login.url, columns=WIDTH)
    if code:
        click.echo(f"\n{code}\n")
    minutes = max(1, round(left / _MINUTE))
    say(f"it is good for {minutes} min; Ctrl-C ends this without a login")
