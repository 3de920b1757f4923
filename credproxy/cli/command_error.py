"""How the commands report errors: message, then hint, on stderr; lower case, no final period."""

import errno
import os
import sys
from shlex import quote
from typing import NoReturn

import click

from credproxy.core.redact import mask_text


NO_CREDENTIAL = 3
"""The exit status of ``get --require`` without a credential."""

NOT_WELL = 4
"""The exit status of ``status`` for a daemon that runs and says that something is wrong."""


class CommandError(click.ClickException):
    """A message and the next step. Exit status 1; click's own usage errors have 2.

    Either may quote what somebody typed: a password in a URL is masked.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(mask_text(message))
        self.hint = mask_text(hint)

    def show(self, file: object = None) -> None:
        """Print both lines."""
        del file
        click.echo(f"credproxy: {self.message}", err=True)
        if self.hint:
            click.echo(f"hint: {self.hint}", err=True)


def unreadable(path: str, error: OSError, *, before: str = "") -> CommandError:
    """Say in the system's words, not in Python's, why a file cannot be used; ``before`` is the beginning of the message."""
    said = os.strerror(error.errno or 0).lower()
    return CommandError(f"{before}{path!r} cannot be read: {said}", f"ls -ld {quote(path or '.')}")


def unwritable(path: str, error: OSError, *, before: str = "") -> CommandError:
    """The same for a file that cannot be written; the hint looks at what is in the way: the disk, or the folder."""
    said = os.strerror(error.errno or 0).lower()
    return CommandError(f"{before}{path!r} cannot be written: {said}", look_where(path, error.errno or 0))


def look_where(path: str, number: int) -> str:
    """The command that shows why a file cannot be written, by the system's number of the error."""
    folder = quote(os.path.dirname(path) or ".")  # noqa: PTH120  as it is, whatever is there
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return f"df {folder}"
    return f"findmnt --target {folder}" if number == errno.EROFS else f"ls -ld {folder}"


def stop(status: int) -> NoReturn:
    """Exit with a status."""
    sys.exit(status)
