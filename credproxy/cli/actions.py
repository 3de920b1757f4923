"""``credproxy actions``: what build actions may have. Works on files; no daemon is needed."""

import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import click

from credproxy.cli.configuring import home, in_force, load_policy_file, policy_in_force, read_files, read_policy, tell
from credproxy.cli.errors import CommandError
from credproxy.core.breadth import too_wide
from credproxy.core.config import ConfigError, Mistake, load, shown
from credproxy.core.errors import Failed
from credproxy.core.operations import EVERYTHING, READ, read_operation
from credproxy.core.paths import config_files
from credproxy.core.settings import ActionRule, Operation
from credproxy.core.toml_lines import Path as TomlPath, locate
from credproxy.core.uri import check_canonical, parse_uri


@click.group()
def actions() -> None:
    """Say what build actions may have, on the actions socket."""


@actions.command()
@click.argument("file", type=click.Path(dir_okay=False))
def check(file: str) -> None:
    """Say what is wrong with the rules in FILE, and which of them reach far.

    A name that ends with .toml is a configuration, any other a policy file of rules_img, in JSON or YAML.
    """
    try:
        found = _rules_of(file)
    except ConfigError as error:
        tell(error)
    for index, problem in too_wide(found.rules):
        path = found.paths[index]
        warning = Mistake(found.where, found.lines[index], shown(path), problem)
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{found.where}: fine, {sum(isinstance(path[-1], int) for path in found.paths)} rules")


class _Rules(NamedTuple):
    """The rules that a file leads to, and where each of them stands."""

    where: str
    rules: tuple[ActionRule, ...]
    paths: tuple[TomlPath, ...]
    lines: tuple[int, ...]


def _rules_of(file: str) -> _Rules:
    if not file.endswith(".toml"):
        return _rules_of_policy(file)
    ((_, text),) = read_files((file,))
    settings = load(text, file, home()).actions
    if settings.policy_file is not None:
        return _rules_of_policy(settings.policy_file)
    paths = tuple(("actions", "rule", index) for index in range(len(settings.rule)))
    return _Rules(file, settings.rule, paths, tuple(locate(text, path) for path in paths))


def _rules_of_policy(file: str) -> _Rules:
    found = load_policy_file(file)
    return _Rules(file, found.rules, found.paths, found.lines)


@actions.command()
@click.argument("uri")
def test(uri: str) -> None:
    """Say what the rules let a build action have for URI, and which rule decides; asks nobody."""
    policy = policy_in_force(in_force())
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
    rule = _checked(_rule(registry, repository, EVERYTHING if write else READ), "the new rule")
    try:
        text = _checked(place.read_text(encoding="utf-8") if place.exists() else "", str(place))
        _refuse_policy_file(registry, repository, write=write)
        # A table of an array may stand anywhere, so nothing of the text has to be understood or moved.
        _replace(place, _checked(f"{text.rstrip()}\n\n{rule}" if text.strip() else rule, str(place)))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"nothing was changed: {place}: {type(error).__name__}", f"ls -l {place}") from None
    click.echo(f"{place}: build actions may {'read and write' if write else 'read'} {pattern}")
    click.echo("put it in force: credproxy reload")


def _refuse_policy_file(registry: str, repository: str, *, write: bool) -> None:
    """Rules beside a policy file would be an error, or take its place."""
    try:
        policy = read_policy(in_force())
    except ConfigError as error:
        mistake = error.mistakes[0]
        raise CommandError(f"nothing was changed: {mistake}", f"credproxy actions check {mistake.where}") from None
    if policy is not None:
        remedy = policy.remedy(registry, repository, write=write)
        raise CommandError(f"nothing was changed: the rules stand in the policy file {policy.path!r}", remedy)


def _checked(text: str, where: str) -> str:
    try:
        load(text, where, home())
    except ConfigError as error:
        raise CommandError(f"nothing was changed: {error.mistakes[0]}", "credproxy config check") from None
    return text


def _rule(registry: str, repository: str, operations: tuple[Operation, ...]) -> str:
    return (
        f'[[actions.rule]]\naction = "allow"\nregistry = {json.dumps(registry)}\n'
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
