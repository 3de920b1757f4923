"""Reads the configuration and what it names for commands, as the daemon would read it, without a daemon."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from shlex import quote
from typing import TYPE_CHECKING, NoReturn

import click

from credproxy.cli.command_error import CommandError, stop
from credproxy.core.config.parse import ConfigError, decode, load_files
from credproxy.core.config.settings import Settings
from credproxy.core.config.trusted_files import trusted_files
from credproxy.core.errors import Failed
from credproxy.core.formats.toml_lines import Path as TomlPath
from credproxy.core.kinds.uses import Library
from credproxy.core.ownership import Exposure
from credproxy.core.paths import config_files
from credproxy.core.policy.policy import Policy


if TYPE_CHECKING:
    from credproxy.core.config.policy_file import PolicyFile


def in_force() -> Settings:
    """The configuration that a daemon would load now. Raises CommandError with its first mistake."""
    try:
        return load_files(read_files(None), home())
    except ConfigError as error:
        raise CommandError(str(error.mistakes[0]), "credproxy config check") from None


def trusted_settings() -> Settings:
    """The same, and a check of the files: says who else could write them, and exits if the daemon would not trust them."""
    settings = in_force()
    distrust([("the configuration", name) for name, _ in read_files(None)], settings)
    return settings


def policy_in_force(settings: Settings) -> Policy:
    """A configuration's rules for build actions. Raises CommandError with the first mistake of a policy file."""
    try:
        found = read_policy(settings)
    except ConfigError as error:
        raise CommandError(
            str(error.mistakes[0]), f"credproxy actions check {quote(error.mistakes[0].where)}"
        ) from None
    rules = settings.actions.rule if found is None else found.rules
    return Policy(rules, settings.router(), place=found)


def read_policy(settings: Settings) -> "PolicyFile | None":
    """The policy file that a configuration names, if it does. Raises ConfigError, or CommandError without a file."""
    path = settings.actions.policy_file
    return None if path is None else load_policy_file(path)


def load_policy_file(path: str) -> "PolicyFile":
    """Read a policy file. Raises ConfigError with every mistake, or CommandError without a file."""
    from credproxy.core.config.policy_file import load_policy  # noqa: PLC0415  YAML takes 15 ms to import

    content = read_content(path)
    if content is None:
        raise CommandError(f"{path!r} is not there", f"ls -l {quote(path)}")
    return load_policy(content, path)


def lacking(settings: Settings) -> Iterator[tuple[TomlPath, str, str]]:
    """Give the key of each rule that needs a library that is not installed, what it needs, and the command that installs it."""
    from credproxy.adapters.libraries import is_installed  # noqa: PLC0415  asyncio takes longer than --help
    from credproxy.adapters.own_metadata import installing  # noqa: PLC0415  as above

    for key, owner, use in settings.uses():
        if isinstance(use, Library) and not is_installed(module := use.module(sys.platform)):
            yield key[:2], f"the rule for {owner} needs {module!r}, which is not installed", installing(use)


def distrust(files: list[tuple[str, str]], settings: Settings) -> None:
    """For each file, say who else could write it; exit with status 1 if the daemon would refuse the file."""
    from credproxy.adapters.file_exposure import exposures  # noqa: PLC0415  the adapters are not for --help

    policy = settings.actions.policy_file
    named = [*files, *([] if policy is None else [("the policy file", policy)]), *trusted_files(settings)]
    refused = False
    for subject, name in named:
        try:
            found = exposures(name, home())
        except OSError:
            continue  # the code that needs the file reports that it is missing
        for one in found:
            refused = refused or one.grave
            begin, verdict = ("credproxy", "is not trusted: it ") if one.grave else ("warning", "")
            click.echo(f"{begin}: {subject} {name!r} {verdict}{one.problem}\nhint: {one.remedy}", err=True)
    if refused:
        stop(1)


def home() -> str:
    """What ``~/`` stands for in a configuration; "" if there is none."""
    return os.environ.get("HOME", "")


def tell(error: ConfigError) -> NoReturn:
    """Print every mistake, and exit with status 1."""
    for mistake in error.mistakes:
        click.echo(str(mistake), err=True)
    stop(1)


def read_files(files: tuple[str, ...] | None) -> list[tuple[str, str]]:
    """Give name and text of configuration files, or of those that exist. Raises CommandError, or ConfigError."""
    found = []
    for place in files or config_files(os.environ):
        content = read_content(place)
        if content is not None:
            found.append((place, decode(content, place)))
        elif files:
            raise CommandError(f"{place!r} is not there", "credproxy config path")
    return found


def read_content(
    path: str, before: str = "", *, judge: Callable[[Iterable[Exposure], str], None] | None = None
) -> bytes | None:
    """Read a file as the daemon reads it, so that it never blocks, and never reads without a limit.

    Args:
        path: of a file that the user wrote.
        before: the beginning of an error message.
        judge: called with who else could have written the very file that was read.

    Returns:
        The content; None if nothing, or /dev/null, is at the path.

    Raises:
        CommandError: not a regular file, larger than 1 MiB, or it cannot be opened.
    """
    from credproxy.adapters.files import read_judged  # noqa: PLC0415  asyncio takes longer than --help

    try:
        found = read_judged(path, home())
    except Failed as error:
        raise CommandError(f"{before}{error.failure.message}", error.failure.hint) from None
    if found is None:
        return None
    if judge is not None:
        judge(found.exposures, path)
    return found.content
