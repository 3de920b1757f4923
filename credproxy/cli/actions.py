"""``credproxy actions``: what build actions may have. Works on files; no daemon is needed."""

import json
import os
import tempfile
from pathlib import Path

import click

from credproxy.cli.configuring import in_force
from credproxy.cli.errors import CommandError
from credproxy.core.config import ConfigError, load
from credproxy.core.errors import Failed
from credproxy.core.operations import EVERYTHING, READ, read_operation
from credproxy.core.paths import config_files
from credproxy.core.policy import Policy
from credproxy.core.routing import Router
from credproxy.core.settings import Operation
from credproxy.core.uri import check_canonical, parse_uri


@click.group()
def actions() -> None:
    """Say what build actions may have, on the actions socket."""


@actions.command()
@click.argument("uri")
def test(uri: str) -> None:
    """Say what the rules let a build action have for URI, and which rule decides; asks nobody."""
    settings = in_force()
    policy = Policy(settings.actions.rule, Router(settings.host))
    try:
        target = parse_uri(uri)
        check_canonical(uri, target)
        granted = policy.grants(target)
    except Failed as error:
        raise CommandError(error.failure.message, error.failure.hint) from None
    if not granted:
        click.echo("nothing: this kind of URI gets no credential on the actions socket")
    for name, allowed in granted:
        click.echo(f"{','.join(allowed)} of {name!r} at {target.authority!r}:")
        for operation in _deciding(target.path, allowed):
            click.echo(f"  {policy.deciding(target.authority, name, operation)} allows {operation}")


def _deciding(path: str, allowed: tuple[str, ...]) -> tuple[Operation, ...]:
    if "push" in allowed:
        return EVERYTHING
    if path in {"", "/"}:
        return READ
    # A mount's source comes with the upload's path, which reads nothing itself.
    return ("blob:read" if "/blobs/uploads" in path else read_operation(path),)


@actions.command()
@click.argument("pattern")
@click.option("--write", is_flag=True, help="Allow writing, too.")
def allow(pattern: str, *, write: bool) -> None:
    """Add a rule for PATTERN, a registry and a repository such as 'ghcr.io/my-org/**', to the user's configuration.

    The rule goes behind those that are there: the first that matches decides. What else the file holds stays as it is.
    """
    registry, slash, repository = pattern.partition("/")
    if not slash or not repository:
        raise CommandError(f"{pattern!r} names no repository", "credproxy actions allow 'ghcr.io/my-org/**'")
    place = Path(config_files(os.environ)[0])
    try:
        text = place.read_text(encoding="utf-8") if place.exists() else ""
        changed = _with_rule(_checked(text, place), registry, repository, EVERYTHING if write else READ)
        _replace(place, _checked(changed, place))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"nothing was changed: {place}: {type(error).__name__}", f"ls -l {place}") from None
    click.echo(f"{place}: build actions may {'read and write' if write else 'read'} {pattern}")
    click.echo("put it in force: credproxy reload")


def _checked(text: str, place: Path) -> str:
    try:
        load(text, str(place))
    except ConfigError as error:
        raise CommandError(f"nothing was changed: {error.mistakes[0]}", "credproxy config check") from None
    return text


def _with_rule(text: str, registry: str, repository: str, operations: tuple[Operation, ...]) -> str:
    """Append the rule: a table of an array may stand anywhere, so nothing of the text has to be understood or moved."""
    before = f"{text.rstrip()}\n\n" if text.strip() else ""
    return (
        f'{before}[[actions.rule]]\naction = "allow"\nregistry = {json.dumps(registry)}\n'
        f"repository = {json.dumps(repository)}\noperations = {json.dumps(operations)}\n"
    )


def _replace(place: Path, text: str) -> None:
    """Write beside it and rename, so that a daemon that reloads meanwhile reads one of the two, whole."""
    target = place.resolve()  # the file behind a link of somebody's dotfiles, not the link
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).rename(target)
    except BaseException:  # Ctrl-C as well must leave no half-written file beside the configuration
        Path(name).unlink(missing_ok=True)
        raise
