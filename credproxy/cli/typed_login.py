"""A login that is typed, or piped in, and tried with one real request."""

import asyncio
import sys
from typing import Final

import click

from credproxy.cli.login_wish import LoginWish
from credproxy.cli.login_words import LoginError
from credproxy.cli.try_login import try_login
from credproxy.core.ask.credential import Secret, Stored
from credproxy.core.ask.stored import from_text
from credproxy.exchange.login_check import UnprovenError


LONGEST: Final = 64 * 1024
"""Bytes of a password."""


def typed(wish: LoginWish, username: str) -> tuple[str, Secret]:
    """Give user name and secret, once they were tried.

    Args:
        wish: says what was typed already.
        username: of the rule; "" for none.

    Raises:
        LoginError: nobody can be asked; nothing shows whether the login is right.
        Failed: it cannot be one, is refused, or the host cannot be asked.
    """
    username, secret = _asked(wish, username)
    if wish.password_stdin:
        where, hint = "what is on standard input", "pipe it in, with --password-stdin"
        stored = from_text(secret.reveal(), username or None, where=where, hint=hint)
    else:
        stored = from_text(secret.reveal(), username or None, where="what was typed", hint="type it again")
    if not wish.no_check:
        _try(wish, stored)
    return username, secret


def _asked(wish: LoginWish, username: str) -> tuple[str, Secret]:
    """User name and password, as they were given or are typed now.

    Args:
        wish: says what was given.
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
        return username, Secret(piped())
    what = wish.rule.login_asks.capitalize()
    return username, Secret(click.prompt(f"{what} for {username or wish.key}", hide_input=True))


def piped() -> str:
    """Read a secret from standard input. Raises LoginError: it is not text, or too long."""
    content = sys.stdin.buffer.read(LONGEST + 1)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise LoginError("the password is not UTF-8 text") from None
    if len(content) > LONGEST:
        raise LoginError(f"the password has more than {LONGEST} bytes")
    return text.removesuffix("\n").removesuffix("\r")


def _try(wish: LoginWish, stored: Stored) -> None:
    try:
        asyncio.run(try_login(wish.rule, wish.target, stored=stored, page=wish.check_url))
    except UnprovenError as error:
        raise LoginError(
            f"nothing was stored: {wish.key} cannot tell whether the login is right: {error}",
            "name a page that wants it, with --check-url, or store it untried, with --no-check",
        ) from None
