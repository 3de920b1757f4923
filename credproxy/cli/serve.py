"""``serve`` and ``demo``."""

import asyncio
import contextlib
import os
import sys
from typing import Literal

import click

from credproxy.adapters.lean_imports import kept_for_good
from credproxy.cli.command_error import CommandError
from credproxy.cli.own_programs import program


@click.command()
@click.option("--config", type=click.Path(dir_okay=False), help="Read this file instead of the usual ones.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="What to log.")
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), help="How to log.")
@click.option("--system", is_flag=True, help="One daemon for all users, started by its sockets.")
@click.option("--gateway-only", is_flag=True, help="Serve the socket for build actions alone.")
def serve(
    config: str | None,
    log_level: str | None,
    *,
    log_format: Literal["auto", "console", "json"] | None,
    system: bool,
    gateway_only: bool,
) -> None:
    """Run the daemon in the foreground.

    It serves the sockets that systemd hands over, or else listens at $CREDPROXY_SOCKET or
    $XDG_RUNTIME_DIR/credproxy/helper.sock. It logs to stderr, reloads its configuration on SIGHUP and stops on SIGTERM.
    If another daemon serves that socket already, it says so and exits.
    """
    with kept_for_good():
        from credproxy.daemon import ServeOptions, run  # noqa: PLC0415  aiohttp takes longer than all of --help

    files = None if config is None else (os.path.abspath(config),)  # noqa: PTH100  abspath keeps links
    words = program(), tuple(sys.argv[1:])
    run(ServeOptions(dict(os.environ), files, log_level, log_format, system, gateway_only, *words))


@click.command()
@click.option("--keep", is_flag=True, help="Leave registry and daemon running until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """Show the main job end to end, on this machine only.

    Starts a private registry and a daemon, makes 200 helper calls, downloads a layer, again from inside a sandbox
    without a network, and reports what it cost.
    """
    from credproxy.demo.stage import DemoError  # noqa: PLC0415  as below
    from credproxy.demo.story import tell  # noqa: PLC0415  aiohttp takes longer than all of --help

    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(tell(click.echo, keep=keep))
        except DemoError as error:
            raise CommandError(str(error), "is everything installed? make setup") from None
