"""The command line: click commands that print error and hint.

What a command needs is imported when it runs: ``--help`` must not wait for aiohttp.
"""

import os
import pwd

import click

from credproxy import __version__
from credproxy.cli import actions, asking, bazelrc, configuring, doctor, ending, explaining, installing, running
from credproxy.cli.errors import CommandError
from credproxy.core.errors import Failed
from credproxy.core.paths import settle


class _Commands(click.Group):
    """Runs every command with an environment in which all parts, and the programs they start, find the same places."""

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


for command in (
    running.serve,
    running.demo,
    ending.stop,
    ending.restart,
    installing.install,
    installing.uninstall,
    asking.get,
    asking.status,
    explaining.explain,
    asking.flush,
    asking.reload,
    actions.actions,
    configuring.config,
    bazelrc.bazelrc,
    doctor.doctor,
):
    main.add_command(command)
