"""``install`` and ``uninstall``: the service that starts by itself."""

import os
import sys
from pathlib import Path

import click

from credproxy.adapters.own_metadata import own_copy
from credproxy.cli import units
from credproxy.cli.command_error import CommandError
from credproxy.cli.installation import Installation, for_launchd, for_system, for_user, refuse_hidden
from credproxy.cli.installer import Installer, runner
from credproxy.cli.own_programs import beside
from credproxy.cli.stop import end_self_started


_scope = click.option("--user/--system", "user", default=True, help="For yourself (the default), or for all users.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
_force = click.option("--force", is_flag=True, help="Also replace or remove files that were changed by hand.")


@click.command(short_help="Install the service.")
@_scope
@_dry_run
@_force
@click.option("--jit-helpers", is_flag=True, help="Let credential programs in Node or Java write machine code.")
@click.option("--gateway-only", is_flag=True, help="Only the socket for build actions.")
@click.option(
    "--print-actions-link", is_flag=True, help="Only print the tmpfiles.d snippet for one path on all machines."
)
def install(
    *, user: bool, dry_run: bool, force: bool, jit_helpers: bool, gateway_only: bool, print_actions_link: bool
) -> None:
    """Install the service: systemd or launchd starts the daemon at the first call.

    Prints every file that is written and every command that is run; run it again after an upgrade.
    """
    if print_actions_link:
        click.echo(units.actions_link(os.getuid()), nl=False)
        return
    if not user and (jit_helpers or gateway_only):
        raise click.UsageError("--jit-helpers and --gateway-only are for --user")
    if not user:
        need_root("install", os.geteuid())
    wanted = _wanted(user=user, gateway_only=gateway_only, jit_helpers=jit_helpers)
    _installer(dry_run=dry_run, force=force).install(wanted)


@click.command(short_help="Stop the service and remove its files.")
@_scope
@_dry_run
@_force
def uninstall(*, user: bool, dry_run: bool, force: bool) -> None:
    """Stop the service, or the daemon that credproxy-helper started, and remove its files.

    Configuration, logs and logins stay.
    """
    if not user:
        need_root("uninstall", os.geteuid())
    _installer(dry_run=dry_run, force=force).uninstall(whole(sys.platform, command="uninstall", user=user))
    if user:
        end_self_started(click.echo, dry_run=dry_run)


def _wanted(*, user: bool, gateway_only: bool, jit_helpers: bool) -> Installation:
    """What to install. Raises CommandError: there is no such thing on this system, or nobody could run it."""
    if sys.platform == "darwin" and (gateway_only or jit_helpers):
        raise CommandError(_ONE_AGENT, "credproxy install")
    wanted = whole(sys.platform, command="install", user=user, gateway_only=gateway_only, jit_helpers=jit_helpers)
    if not user:
        program = str(Path(beside("credproxy")).resolve())
        refuse_hidden(program=program, prefixes=(sys.prefix, sys.base_prefix), copy=own_copy())
    return wanted


_ONE_AGENT = "on macOS there is only the agent of your own session, without variants"


def whole(
    platform: str, *, command: str, user: bool, gateway_only: bool = False, jit_helpers: bool = True
) -> Installation:
    """Everything that may be installed, unless told otherwise; whether its program could run does not matter.

    Args:
        platform: as ``sys.platform`` has it.
        command: that asks.
        user: for one user, not for all.
        gateway_only: only the socket for build actions.
        jit_helpers: the drop-in for programs that write machine code as well.

    Raises:
        CommandError: there is no service for all users on macOS.
    """
    program, home = beside("credproxy"), Path(_home())
    if platform == "darwin":
        if not user:
            raise CommandError(_ONE_AGENT, "credproxy uninstall" if command == "uninstall" else "credproxy install")
        return for_launchd(program=program, home=home, uid=os.getuid())
    if user:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        return for_user(
            program=program, config=config, runtime=_runtime(), gateway_only=gateway_only, jit_helpers=jit_helpers
        )
    return for_system(program=str(Path(program).resolve()))


def need_root(command: str, uid: int) -> None:
    """Raise CommandError for anybody but root, with the command to run instead."""
    if uid != 0:
        raise CommandError(f"only root can {command} a service for all users", f"sudo credproxy {command} --system")


def _home() -> str:
    home = os.environ.get("HOME")  # already completed: an absolute path
    if home is None:
        raise CommandError(
            f"HOME is not set, and /etc/passwd has no entry for uid {os.geteuid()}",
            "set HOME to the directory in which the service's files belong",
        )
    return home


def _runtime() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")


def _installer(*, dry_run: bool, force: bool) -> Installer:
    # systemctl finds the user's manager there; a shell from `su` or cron does not have the variable.
    environ = os.environ | ({"XDG_RUNTIME_DIR": str(_runtime())} if _runtime().is_dir() else {})
    return Installer(click.echo, runner(environ), dry_run=dry_run, force=force)
