"""Commands that ask the daemon: ``get``, ``status``, ``flush``, ``reload``."""

import contextlib
import json
import sys
from collections.abc import Mapping

import click

from credproxy.cli.client import as_object, ask, call, call_in_turn
from credproxy.cli.command_error import NO_CREDENTIAL, NOT_WELL, CommandError, stop
from credproxy.core.counted import counted


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.command()
@click.argument("uri")
@click.option("--show-secrets", is_flag=True, help="Print the header values; they are masked otherwise.")
@click.option("--require", is_flag=True, help="Exit with status 3 if there is no credential.")
def get(uri: str, *, show_secrets: bool, require: bool) -> None:
    """Ask for the credential of URI, as a helper would.

    Asks the daemon that runs, and starts none. Prints the answer as JSON, with masked values: a terminal's history is a
    bad place for tokens. Without a credential the answer is {}, and the exit status is still 0, unless --require is
    given.
    """
    answer = ask("POST", "/v1/get", body={"uri": uri})
    if not show_secrets:
        headers = answer.get("headers")
        if isinstance(headers, dict):
            answer["headers"] = {name: [_masked(value) for value in values] for name, values in headers.items()}
    click.echo(json.dumps(answer))
    if require and not answer.get("headers"):
        stop(NO_CREDENTIAL)


@click.command(short_help="Show what the daemon has in memory.")
@click.option("--watch", "watched", is_flag=True, help="Refresh it every second, until Ctrl-C.")
@as_json
def status(*, watched: bool, as_json: bool) -> None:
    """Show how the daemon is and what it has in memory: answers and their time left, exchanges, failures.

    The first line is what systemd shows as its status. The exit status is 4 if something is wrong with it.
    """
    if watched and as_json:
        raise click.UsageError("--watch is for people, --json for scripts: leave one of them out")
    if as_json:
        content = call("GET", "/v1/status")
        click.echo(content.decode())
        _judge(as_object(content))
        return
    from rich.console import Console  # noqa: PLC0415  rich takes longer than the call

    from credproxy.cli.status_view import WIDE, view, watch  # noqa: PLC0415  it imports rich

    # Another program reads it by the line: rich would fold at 80 columns there.
    console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)
    if not watched:
        found = _status()
        console.print(view(found), crop=False)
        _judge(found)
    elif console.is_terminal:
        with contextlib.suppress(KeyboardInterrupt):
            watch(_status, console)
    else:
        raise CommandError("--watch needs a terminal, and this is not one", "credproxy status --json")


def _judge(found: Mapping[str, object]) -> None:
    if found.get("well") is False:
        click.echo("hint: credproxy doctor", err=True)
        stop(NOT_WELL)


def _status() -> dict[str, object]:
    return ask("GET", "/v1/status")


@click.command(short_help="Forget answers and failures.")
@click.argument("match", required=False)
def flush(match: str | None) -> None:
    """Forget answers and failures: of MATCH (a host, host:port or *.suffix), or all of them."""
    answer = call_in_turn("/v1/flush", body={} if match is None else {"match": match})
    click.echo(f"{counted(answer['flushed'], 'entry', more='entries')} forgotten")


@click.command(short_help="Read the configuration again.")
def reload() -> None:
    """Read the configuration again; an invalid one is refused, and the old one stays in force."""
    answer = call_in_turn("/v1/reload")
    click.echo(f"generation {answer['generation']} is in force, with {counted(answer['rules'], 'host rule')}")


def _masked(value: str) -> str:
    scheme, space, _ = value.partition(" ")
    return f"{scheme} ***" if space else "***"
