"""The command line: click commands that print error and hint.

A command is imported when it is named, or when all of them are listed; what it needs, when it runs. ``--help`` must not wait
for aiohttp, and the daemon keeps in memory what it was started with: no other command.
"""

import importlib
import os
import pwd

import click

from credproxy import __version__
from credproxy.cli.command_error import CommandError
from credproxy.core.errors import Failed
from credproxy.core.paths import settle


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
"""In which module each command is, by its name there."""


class _Commands(click.Group):
    """Runs every command with an environment in which all parts, and the programs they start, find the same places."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give their names."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one; None for a name that none has."""
        del ctx
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(
            importlib.import_module(f"{__name__}.{_COMMANDS[name]}"), name.replace("-", "_")
        )
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Settle the environment, and print a failure that no command had words of its own for."""
        settled = settle(os.environ, _home())
        for name in os.environ.keys() - settled.keys():
            del os.environ[name]
        os.environ |= settled
        try:
            result: object = super().invoke(ctx)
        except Failed as error:
            raise CommandError(error.failure.message, error.failure.hint) from None
        return result


def _home() -> str | None:
    """What the user database names; None for a user that it does not know."""
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
