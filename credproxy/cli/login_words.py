"""How ``credproxy login`` and ``logout`` talk: in lines that fit, and never of a secret."""

import os
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from credproxy.cli.command_error import CommandError, look_where
from credproxy.core.ask.stored import UNLOCK
from credproxy.core.errors import Failed


WIDTH: Final = 60
"""Columns of what is said: a phone, or a window beside the editor."""


_TYPED: Final = re.compile(r"(?:chmod|credproxy|df|findmnt|ls|mv) [^,;]+")
"""A hint that is a command and nothing else."""


class LoginError(CommandError):
    """An error whose lines fit."""

    def show(self, file: object = None) -> None:
        """Print both."""
        del file
        say(f"credproxy: {self.message}", err=True)
        if self.hint:
            say(f"hint: {self.hint}", err=True, typed=_TYPED.fullmatch(self.hint) is not None)


def say(text: str, *, err: bool = False, typed: bool = False) -> None:
    """Print in lines that fit; a path is not broken, and a command that is ``typed`` goes on as a shell takes it."""
    lines = textwrap.wrap(
        text, WIDTH - 2 if typed else WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent="  "
    )
    click.echo((" \\\n" if typed else "\n").join(lines), err=err)


@contextmanager
def told() -> Iterator[None]:
    """Turn an error into one whose lines fit: whatever went wrong, nothing is half stored."""
    from credproxy.adapters.secret_service import LockedKeyringError, NoKeyringError  # noqa: PLC0415  it takes longer than --help

    try:
        yield
    except Failed as error:
        raise LoginError(error.failure.message, error.failure.hint) from None
    except CommandError as error:
        raise LoginError(error.message, error.hint) from None
    except (KeyboardInterrupt, click.Abort):
        raise LoginError("ended, and nothing was changed") from None
    except LockedKeyringError:
        raise LoginError("the keyring is locked, and nothing was changed", UNLOCK) from None
    except NoKeyringError as error:
        hint = "log in with --store file, docker or systemd-creds"
        raise LoginError(f"nothing was changed: no keyring: {error}", hint) from None
    except OSError as error:
        said = os.strerror(error.errno or 0).lower()
        hint = look_where(str(error.filename), error.errno or 0) if error.filename else "credproxy doctor"
        raise LoginError(f"nothing was changed: {error.filename or 'a file'}: {said}", hint) from None
