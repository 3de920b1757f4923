"""How the commands talk about what went wrong: message, then hint, on stderr; lower case, no final period."""

import sys
from typing import NoReturn

import click


NO_CREDENTIAL = 3
"""The exit status of ``get --require`` where there is none."""


class CommandError(click.ClickException):
    """A message and the next step. Exit status 1; click's own usage errors have 2."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: object = None) -> None:
        """Print both lines."""
        del file
        click.echo(f"credproxy: {self.message}", err=True)
        if self.hint:
            click.echo(f"hint: {self.hint}", err=True)


def stop(status: int) -> NoReturn:
    """Leave with a status."""
    sys.exit(status)
