"""``credproxy login`` and ``logout``: a login is tried with one real request, then stored in one step, or not at all."""

import os
import re
import signal
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click

from credproxy.cli.client import NoDaemonError, call_in_turn
from credproxy.cli.command_error import CommandError
from credproxy.cli.login_wish import LoginWish, check_wish
from credproxy.cli.login_words import WIDTH, LoginError, say, told
from credproxy.cli.read_config import trusted_settings
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import LoginStore, Settings
from credproxy.core.errors import Failed
from credproxy.core.formats.login_file import login_key
from credproxy.core.kinds import KINDS, HostRule
from credproxy.core.kinds.oauth2 import Flow, OauthHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.paths import login_file


if TYPE_CHECKING:
    from credproxy.adapters.writable_keyring import WritableKeyring


_USER_INFO = re.compile(r"\A((?:[A-Za-z]+://)?)[^/]*@")
_BELOW = re.compile(r"\A((?:[A-Za-z]+://)?[^/]*)/.*", re.DOTALL)


class _LoginCommand(click.Command):
    """Its help is wrapped, and has an example for each kind that supports logging in."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples by the provider of the host's rule."""
        del ctx
        with formatter.section("Examples, by the provider of HOST"):
            for kind in KINDS:
                if kind.login_example:
                    formatter.write(_lines(kind.tag(), self._example(kind)))

    def _example(self, kind: type[HostRule]) -> str:
        return kind.login_example if self.name == "login" else f"credproxy logout {kind.login_example.split()[2]}"


def _lines(tag: str, example: str) -> str:
    """An example after the name of its provider; one that is too long continues on the next line, as in a shell."""
    parts = textwrap.wrap(example, WIDTH - _TAG - 2, break_on_hyphens=False, break_long_words=False)
    return f"  {tag:<{_TAG - 2}}" + f" \\\n{'':{_TAG + 2}}".join(parts) + "\n"


_TAG: Final = 15
"""Columns of a provider's name."""

_narrow: Final = {"max_content_width": WIDTH, "terminal_width": WIDTH}


@click.command(
    cls=_LoginCommand, context_settings=_narrow, short_help="Log in to a host: try the login, then store it."
)
@click.argument("host")
@click.option("-u", "--username", default="", help="Whose login it is.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--store", type=click.Choice(get_args(LoginStore)), help="Where to; else login_store says.")
@click.option("--flow", type=click.Choice(get_args(Flow)), help="How an identity provider is asked.")
@click.option("--check-url", default="", metavar="URL", help="Try it at this page, which wants it.")
@click.option("--no-check", is_flag=True, help="Store it without trying it.")
@click.pass_obj
def login(
    keyring: "WritableKeyring | None",
    host: str,
    *,
    username: str,
    password_stdin: bool,
    store: LoginStore | None,
    flow: Flow | None,
    check_url: str,
    no_check: bool,
) -> None:
    """Log in to HOST: try the login, then store it.

    HOST is, for example, ghcr.io, reg.example:5000 or, for one of
    its paths, reg.example/team. The password or token is
    asked for on the terminal. An identity provider
    (oauth2) is asked in a browser, on this machine or on
    another one.
    """
    settings, key, target, rule = _about(host, "credproxy login {} -u me")
    wish = LoginWish(settings, key, target, rule, username, password_stdin, check_url, no_check, flow)
    if not rule.login_example or not rule.login_key:
        hint = rule.setup(target) or f"credproxy explain https://{target.authority}/"
        raise LoginError(f"nobody logs in to a host of provider {rule.tag()!r} here", hint)
    check_wish(wish)
    _log_in(wish, store or settings.login_store, keyring=keyring)


@click.command(cls=_LoginCommand, context_settings=_narrow, short_help="Delete the login for a host.")
@click.argument("host")
@click.pass_obj
def logout(keyring: "WritableKeyring | None", host: str) -> None:
    """Delete the login for HOST, wherever login put it.

    A refresh token is revoked at its identity provider first,
    if that offers it; what fails there is a warning.
    """
    settings, key, target, rule = _about(host, "credproxy logout {}")
    server, trouble = revoked(settings, rule, target=target)
    if server:
        say(f"revoked at {server}")
    gone = _log_out(settings, key, rule=rule, keyring=keyring)
    for line in trouble if gone else ():
        say(line, err=True)
    forget(target.authority)


def _about(host: str, command: str) -> tuple[Settings, str, Target, HostRule]:
    """The configuration, the login's key and target, and the rule: a host without one counts as a registry."""
    key = login_key(host)
    if key is None:
        bare, above = login_key(_USER_INFO.sub(r"\1", host)), login_key(_BELOW.sub(r"\1", host))
        said = "has a user name in it" if bare else "has a path that no login is for" if above else "names no host"
        raise LoginError(f"{host!r} {said}", command.format(bare or above or "ghcr.io"))
    scheme, _, rest = host.rpartition("://")
    name = key if key.partition("/")[0] == "docker.io" else rest
    try:
        target = parse_uri(f"{scheme or 'https'}://{name}")
    except Failed as error:
        raise LoginError(error.failure.message, error.failure.hint) from None
    settings = trusted_settings()
    # A login that serves several hosts may have a name that is not one of them.
    named = (rule for rule in settings.rules() if rule.login_host == key)
    rule = settings.router().match(target) or next(named, OciHost(match=""))
    return settings, rule.login_host or key, target, rule


def _log_in(wish: LoginWish, store: LoginStore, *, keyring: "WritableKeyring | None") -> None:
    from credproxy.cli.login_choice import LoginPlaces  # noqa: PLC0415  its imports take longer than --help

    places = LoginPlaces(wish.settings, wish.rule, key=wish.key, keyring=keyring)
    with told():
        place = places.choose(store)  # before the user types a password or confirms a code
        username, secret = _had(wish, places.username)
        with alone(), undisturbed():
            places.put(place, username=username, secret=secret)
    forget(wish.target.authority)
    say(f"logged in to {wish.key}" + (f" as {username}" if username else ""))
    say(f"stored in {place.name}")
    if place.warning:
        say(f"warning: {place.warning}", err=True)
        say("to encrypt it: --store keyring, or --store systemd-creds", err=True)


def _had(wish: LoginWish, username: str) -> tuple[str, Secret]:
    """User name and secret, tried. Raises LoginError, Failed."""
    if isinstance(wish.rule, OauthHost):
        from credproxy.cli.oauth_login import client_secret, refresh_token  # noqa: PLC0415  aiohttp takes long

        return "", (refresh_token if wish.rule.rotates else client_secret)(wish, wish.rule)
    if wish.flow is not None:
        raise LoginError(f"--flow means nothing for a host of provider {wish.rule.tag()!r}", "leave it out")
    from credproxy.cli.typed_login import typed  # noqa: PLC0415  as above

    return typed(wish, username)


def revoked(settings: Settings, rule: HostRule, *, target: Target) -> tuple[str, tuple[str, ...]]:
    """At which identity provider a login was revoked; "" for none, with the lines that say why not."""
    if not isinstance(rule, OauthHost) or not rule.rotates:
        return "", ()
    from credproxy.cli.oauth_logout import revoke_login  # noqa: PLC0415  aiohttp takes long

    with told():
        return revoke_login(settings, rule, target=target)


def _log_out(settings: Settings, key: str, *, rule: HostRule, keyring: "WritableKeyring | None") -> list[str]:
    """Delete a login; give the names of the places that had it."""
    from credproxy.cli.login_choice import LoginPlaces  # noqa: PLC0415  as above

    places = LoginPlaces(settings, rule, key=key, keyring=keyring)
    with told(), alone(), undisturbed():
        gone = places.remove()
    for name in gone:
        say(f"deleted from {name}")
    if not gone:
        say(f"no login for {key} was stored from here")
    return gone


def forget(authority: str) -> None:
    """Make a running daemon look at once; otherwise it would within a second."""
    try:
        call_in_turn("/v1/flush", body={"match": authority})
    except NoDaemonError:
        pass
    except CommandError as error:
        say(f"note: the daemon was not told: {error.message}", err=True)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock that allows one writer at a time, across all processes."""
    from credproxy.adapters.replaced_file import exclusively  # noqa: PLC0415  as above

    path = login_file(os.environ)
    if path is None:
        raise LoginError("there is no place for a login: HOME is not set", "set HOME")
    with exclusively(Path(path)):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore signals that would end the command while something is stored, which takes moments."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _later) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _later(*_: object) -> None:
    """Ignore a signal; programs that are started do not inherit that, as they would ``SIG_IGN``."""
