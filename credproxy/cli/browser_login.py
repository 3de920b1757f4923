"""A login in the browser of this machine, or in one that can reach a port of it. See exchange/oauth_code.py."""

import asyncio
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable, Mapping
from shlex import quote
from typing import Final
from urllib.parse import urlsplit

import click

from credproxy.adapters.loopback_page import LoopbackPage
from credproxy.cli.login_words import say
from credproxy.cli.oauth_means import OauthMeans
from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Code, failed
from credproxy.exchange import oauth_code
from credproxy.exchange.oauth_code import BrowserLogin
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import OauthToken


PATIENCE: Final = 300.0
"""Seconds that a person has for it."""


Browsers = Callable[[], webbrowser.BaseBrowser]
"""Gives this machine's browser. Raises webbrowser.Error: it has none."""


async def in_browser(means: OauthMeans, *, browsers: Browsers = webbrowser.get) -> OauthToken:
    """Log in.

    Args:
        means: of the command.
        browsers: finds the browser.

    Raises:
        GrantRefused: the server does not take the code.
        Failed: nobody came back in time, or somebody said no; what cannot be asked.
    """
    begun = await means.begin()
    server, client, limits = begun
    state, verifier = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))
    login = BrowserLogin(state, verifier, "")
    async with _page(means, lambda query: oauth_code.is_answer(login, query)) as page:
        login = BrowserLogin(state, verifier, page.address)
        url = oauth_code.authorize_url(server, client, limits=limits, login=login)
        await _open(means, server, browser=browser_here(os.environ, browsers), url=url, port=page.port)
        try:
            async with means.clock.timeout(PATIENCE):
                query = await page.query()
        except TimeoutError:
            raise failed(
                Code.DENIED,
                f"no browser has come back within {PATIENCE:g} s",
                hint=f"begin again: credproxy login {means.host}",
            ) from None
    code = oauth_code.code_of(server, login, query=query)
    server, client, limits = await means.again(begun)
    return await means.converse(oauth_code.redeem(server, client, limits=limits, login=login, code=code))


def _page(means: OauthMeans, wanted: Callable[[str], bool]) -> LoopbackPage:
    try:
        return LoopbackPage(wanted, uid=os.geteuid(), address=means.redirect_uri)
    except OSError as error:
        port = urlsplit(means.redirect_uri).port
        said = os.strerror(error.errno or 0).lower()
        hint = f"see which program has it: ss -tlnp sport = :{port}; or log in with --flow device"
        raise failed(Code.DENIED, f"the browser cannot come back to port {port}: {said}", hint=hint) from None


async def _open(
    means: OauthMeans, server: OauthServer, *, browser: webbrowser.BaseBrowser | None, url: str, port: int
) -> None:
    """Send the browser there, or say how a person does it."""
    name = urlsplit(server.authorize_url).netloc
    if browser is not None and await asyncio.to_thread(browser.open, url):
        say(f"the browser shows a page of {name}; if it does not, open:")
        click.echo(f"\n  {url}\n")
        say("Ctrl-C ends this without a login")
        return
    say("there is no browser here; open this page where there is one:")
    click.echo(f"\n  {url}\n")
    say(f"it comes back to port {port} of this machine. If the browser is on another one, connect them there first:")
    click.echo(f"\n  ssh -L {port}:127.0.0.1:{port} {quote(socket.gethostname())}\n")
    if server.device_url:
        say("or end this with Ctrl-C, and log in without a port:")
        click.echo(f"\n  credproxy login {means.host} --flow device\n")


def browser_here(environ: Mapping[str, str], browsers: Browsers) -> webbrowser.BaseBrowser | None:
    """A browser with a window on this machine; None for one of text, and where somebody is connected through SSH."""
    if any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")):
        return None
    if sys.platform == "linux" and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return None
    try:
        found = browsers()
    except webbrowser.Error:
        return None
    return None if type(found) is webbrowser.GenericBrowser else found
