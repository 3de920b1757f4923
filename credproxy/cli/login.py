"""``credproxy login`` and ``logout``: a login is tried with one real request, then stored in one step, or not at all."""

import asyncio
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from credproxy.cli.client import NoDaemonError, call_in_turn
from credproxy.cli.command_error import CommandError
from credproxy.cli.read_config import trusted_settings
from credproxy.core.ask.credential import Secret, Stored
from credproxy.core.ask.stored import from_text
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import LoginStore, Settings
from credproxy.core.errors import Failed
from credproxy.core.formats.login_file import login_key
from credproxy.core.kinds import KINDS, HostRule
from credproxy.core.kinds.oci import OciHost
from credproxy.core.paths import login_file


if TYPE_CHECKING:
    from credproxy.adapters.writable_keyring import WritableKeyring

T = TypeVar("T")

WIDTH: Final = 60
"""Columns of the output: fits a phone, or a window beside the editor."""

STORES: Final = ("auto", "keyring", "docker", "systemd-creds", "file")
LONGEST: Final = 64 * 1024
"""Most bytes of a password."""


class LoginError(CommandError):
    """An error whose lines are wrapped."""

    def show(self, file: object = None) -> None:
        """Print message and hint."""
        del file
        say(f"credproxy: {self.message}", err=True)
        if self.hint:
            say(f"hint: {self.hint}", err=True)


class _LoginCommand(click.Command):
    """Its help is wrapped, and has an example for each kind that supports logging in."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples by the provider of the host's rule."""
        del ctx
        with formatter.section("Examples, by the provider of HOST"):
            formatter.write_dl([(kind.tag(), self._example(kind)) for kind in KINDS if kind.login_example])

    def _example(self, kind: type[HostRule]) -> str:
        return kind.login_example if self.name == "login" else f"credproxy logout {kind.login_example.split()[2]}"


@dataclass(frozen=True, slots=True)
class _LoginWish:
    """The command's arguments: the host and its rule, the user, and what to do with the login."""

    settings: Settings
    key: str
    target: Target
    rule: HostRule
    username: str = ""
    password_stdin: bool = False
    check_url: str = ""
    no_check: bool = False


_narrow: Final = {"max_content_width": WIDTH, "terminal_width": WIDTH}


@click.command(
    cls=_LoginCommand, context_settings=_narrow, short_help="Log in to a host: try the login, then store it."
)
@click.argument("host")
@click.option("-u", "--username", default="", help="Whose login it is.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--store", type=click.Choice(STORES), help="Where to; else login_store says.")
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
    check_url: str,
    no_check: bool,
) -> None:
    """Log in to HOST: try the login, then store it.

    HOST is such as ghcr.io, reg.example:5000 or, for one of
    its paths, reg.example/team. The password or token is
    asked for on the terminal.
    """
    settings, key, target, rule = _about(host)
    wish = _LoginWish(settings, key, target, rule, username, password_stdin, check_url, no_check)
    if not rule.login_example:
        hint = rule.setup(target) or f"credproxy explain https://{target.authority}/"
        raise LoginError(f"nobody logs in to a host of provider {rule.tag()!r} here", hint)
    _log_in(wish, store or settings.login_store, keyring=keyring)


@click.command(cls=_LoginCommand, context_settings=_narrow, short_help="Delete the login for a host.")
@click.argument("host")
@click.pass_obj
def logout(keyring: "WritableKeyring | None", host: str) -> None:
    """Delete the login for HOST, wherever login put it."""
    settings, key, _, rule = _about(host)
    _log_out(settings, key, rule=rule, keyring=keyring)


def say(text: str, *, err: bool = False) -> None:
    """Print wrapped lines; a path is not broken."""
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")
    click.echo("\n".join(lines), err=err)


def _about(host: str) -> tuple[Settings, str, Target, HostRule]:
    """The configuration, the login's key and target, and the rule: a host without one counts as a registry."""
    key = login_key(host)
    if key is None:
        raise LoginError(f"{host!r} names no host", "credproxy login ghcr.io -u me")
    scheme, _, rest = host.rpartition("://")
    name = key if key.partition("/")[0] == "docker.io" else rest
    try:
        target = parse_uri(f"{scheme or 'https'}://{name}")
    except Failed as error:
        raise LoginError(error.failure.message, error.failure.hint) from None
    settings = trusted_settings()
    return settings, key, target, settings.router().match(target) or OciHost(match="")


def _log_in(wish: _LoginWish, store: LoginStore, *, keyring: "WritableKeyring | None") -> None:
    from credproxy.cli.login_choice import LoginPlaces  # noqa: PLC0415  its imports take longer than --help

    places = LoginPlaces(wish.settings, wish.rule, key=wish.key, keyring=keyring)
    with told():
        place = places.choose(store)  # before the user types a password
        username, secret = _asked(wish, places.username)
        stored = from_text(secret.reveal(), username or None, where="the password", hint="type it again")
        if not wish.no_check:
            _try(wish, stored)
        with alone():
            places.put(place, username=username, secret=secret)
    forget(wish.target.authority)
    say(f"logged in to {wish.key}" + (f" as {username}" if username else ""))
    say(f"stored in {place.name}")
    if place.warning:
        say(f"warning: {place.warning}", err=True)
        say("to encrypt it: --store keyring, or --store systemd-creds", err=True)


def _log_out(settings: Settings, key: str, *, rule: HostRule, keyring: "WritableKeyring | None") -> None:
    from credproxy.cli.login_choice import LoginPlaces  # noqa: PLC0415  as above

    places = LoginPlaces(settings, rule, key=key, keyring=keyring)
    with told(), alone():
        gone = places.remove()
    forget(key.partition("/")[0])
    for name in gone:
        say(f"deleted from {name}")
    if not gone:
        say(f"no login for {key} was stored from here")


def _asked(wish: _LoginWish, username: str) -> tuple[str, Secret]:
    """User name and password, as given or as typed now.

    Args:
        wish: the arguments that were given.
        username: of the rule; "" for none.
    """
    if not wish.password_stdin and not sys.stdin.isatty():
        raise LoginError("there is no terminal to ask on", "pipe it in, with --password-stdin")
    username = wish.username or username
    if not username and wish.rule.login_asks == "password":
        if wish.password_stdin:
            raise LoginError("whose password is it?", "name the user: -u NAME")
        username = click.prompt(f"User name for {wish.key}")
    if wish.password_stdin:
        return username, Secret(_read())
    what = wish.rule.login_asks.capitalize()
    return username, Secret(click.prompt(f"{what} for {username or wish.key}", hide_input=True))


def _read() -> str:
    content = sys.stdin.buffer.read(LONGEST + 1)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise LoginError("the password is not UTF-8 text") from None
    if len(content) > LONGEST:
        raise LoginError(f"the password has more than {LONGEST} bytes")
    return text.removesuffix("\n").removesuffix("\r")


def _try(wish: _LoginWish, stored: Stored) -> None:
    from credproxy.cli.try_login import try_login  # noqa: PLC0415  aiohttp takes long
    from credproxy.exchange.login_check import UnprovenError  # noqa: PLC0415  as above

    try:
        asyncio.run(try_login(wish.rule, wish.target, stored=stored, page=wish.check_url))
    except UnprovenError as error:
        raise LoginError(
            f"nothing was stored: {wish.key} cannot tell whether the login is right: {error}",
            "name a page that wants it, with --check-url, or store it untried, with --no-check",
        ) from None


def forget(authority: str) -> None:
    """Make a running daemon look at once; otherwise it would within a second."""
    try:
        call_in_turn("POST", "/v1/flush", body={"match": authority})
    except NoDaemonError:
        pass
    except CommandError as error:
        say(f"note: the daemon was not told: {error.message}", err=True)


@contextmanager
def told() -> Iterator[None]:
    """Report what went wrong, in wrapped lines: in any case nothing is half stored."""
    from credproxy.adapters.secret_service import LockedKeyringError, NoKeyringError  # noqa: PLC0415  as above

    try:
        yield
    except Failed as error:
        raise LoginError(error.failure.message, error.failure.hint) from None
    except CommandError as error:
        raise LoginError(error.message, error.hint) from None
    except LockedKeyringError:
        hint = "unlock it: log in to your desktop, or gnome-keyring-daemon --unlock; or log in with --store file"
        raise LoginError("the keyring is locked, and nothing was changed", hint) from None
    except NoKeyringError as error:
        hint = "log in with --store file, docker or systemd-creds"
        raise LoginError(f"nothing was changed: no keyring: {error}", hint) from None
    except OSError as error:
        said = os.strerror(error.errno or 0).lower()
        raise LoginError(f"nothing was changed: {error.filename or 'a file'}: {said}", "credproxy doctor") from None


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock that allows one writer at a time, across all processes."""
    from credproxy.adapters.replaced_file import exclusively  # noqa: PLC0415  as above

    path = login_file(os.environ)
    if path is None:
        raise LoginError("there is no place for a login: HOME is not set", "set HOME")
    with exclusively(Path(path)):
        yield
