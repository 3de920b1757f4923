"""The command line: click commands that print error and hint.

A command is imported when it is named, or when all commands are listed; its libraries are imported when it runs. So
``--help`` does not wait for aiohttp, and the daemon's memory does not hold the other commands.
"""

import importlib
import os
import pwd
from difflib import get_close_matches

import click

from credproxy import __version__
from credproxy.cli.command_error import CommandError
from credproxy.core.errors import Failed
from credproxy.core.paths import settle
from credproxy.core.redact import mask_text


_COMMANDS = {
    "serve": "serve",
    "demo": "serve",
    "stop": "stop",
    "restart": "stop",
    "install": "install",
    "uninstall": "install",
    "get": "daemon_commands",
    "status": "daemon_commands",
    "explain": "explain",
    "flush": "daemon_commands",
    "reload": "daemon_commands",
    "login": "login",
    "logout": "login",
    "docker-credential": "docker_credential",
    "actions": "actions",
    "config": "config",
    "bazelrc": "bazelrc",
    "doctor": "doctor",
}
"""The module of each command, by its name there."""


class _Commands(click.Group):
    """Runs every command in an environment in which all parts, and the programs that they start, find the same paths."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands' names."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        del ctx
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(
            importlib.import_module(f"{__name__}.{_COMMANDS[name]}"), name.replace("-", "_")
        )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a word close to one, say which. Raises click.UsageError."""
        close = [] if args[0] in _COMMANDS else get_close_matches(args[0].lower(), _COMMANDS, 1)
        if close and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Complete the environment, run the command, and print a failure that it did not handle."""
        settled = settle(os.environ, _home())
        for name in os.environ.keys() - settled.keys():
            del os.environ[name]
        os.environ |= settled
        try:
            result: object = super().invoke(ctx)
        except Failed as error:
            raise CommandError(error.failure.message, error.failure.hint) from None
        except click.UsageError as error:
            # It may quote an argument that was one too many.
            raise click.UsageError(mask_text(error.format_message()), error.ctx) from None
        return result


def _home() -> str | None:
    """The home directory from the user database; None for a user that it does not contain."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="credproxy")
def main() -> None:
    """Answer credential helpers from one local daemon.

    Bazel and other tools start `credproxy-helper`; it asks the daemon, which performs every token exchange once and
    answers from memory. Try it: `credproxy demo`. See what to add to .bazelrc: `credproxy bazelrc`.
    """
