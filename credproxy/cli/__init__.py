"""The command line: click commands that print error and hint.

What a command needs is imported when it runs: ``--help`` must not wait for aiohttp.
"""

import click

from credproxy import __version__
from credproxy.cli import actions, asking, bazelrc, configuring, doctor, installing, running


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="credproxy")
def main() -> None:
    """Answer credential helpers from one local daemon.

    Bazel and other tools start `credproxy-helper`; it asks the daemon, which performs every token exchange once and
    answers from memory. Try it: `credproxy demo`. See what to add to .bazelrc: `credproxy bazelrc`.
    """


for command in (
    running.serve,
    running.demo,
    installing.install,
    installing.uninstall,
    asking.get,
    asking.status,
    asking.explain,
    asking.flush,
    asking.reload,
    actions.actions,
    configuring.config,
    bazelrc.bazelrc,
    doctor.doctor,
):
    main.add_command(command)
