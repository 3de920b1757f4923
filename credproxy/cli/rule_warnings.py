"""Warnings about rules for build actions, each with its place: those that reach far, and those that decide nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from credproxy.cli.command_error import CommandError
from credproxy.cli.read_config import home, load_policy_file
from credproxy.core.config.parse import Mistake, load, shown
from credproxy.core.config.settings import ActionsSettings
from credproxy.core.formats.toml_lines import Path as TomlPath, locate
from credproxy.core.policy.dead_rules import without_effect
from credproxy.core.policy.rules import ActionRule
from credproxy.core.policy.wide_rules import too_wide


if TYPE_CHECKING:
    from credproxy.core.config.policy_file import PolicyFile


class FileRules(NamedTuple):
    """The rules from a file, and where each of them is."""

    where: str
    rules: tuple[ActionRule, ...] = ()
    paths: tuple[TomlPath, ...] = ()
    lines: tuple[int, ...] = ()

    @property
    def number(self) -> int:
        """How many rules there are; a default of the file does not count."""
        return sum(isinstance(path[-1], int) for path in self.paths)

    def warn(self) -> None:
        """Print the warnings, in the order of the file."""
        dead = without_effect(self.rules, lambda index: shown(self.paths[index]), written=self.number)
        found = [*too_wide(self.rules), *dead]
        for index, problem in sorted(found, key=lambda one: one[0]):
            warning = Mistake(self.where, self.lines[index], shown(self.paths[index]), problem)
            click.echo(f"warning: {warning}", err=True)


def rules_of(files: Sequence[tuple[str, str]]) -> FileRules | None:
    """Give the rules in force with these configuration files, the most important first; None if none says anything of them.

    Raises:
        ConfigError, CommandError: a policy file cannot be used.
    """
    for where, text in files:
        settings = load(text, where, home=home()).actions
        if settings.policy_file is not None:
            return _named_policy(settings.policy_file, where, text)
        if settings != ActionsSettings():
            paths = tuple(("actions", "rule", index) for index in range(len(settings.rule)))
            return FileRules(where, settings.rule, paths, tuple(locate(text, path) for path in paths))
    return None


def _named_policy(path: str, where: str, text: str) -> FileRules:
    try:
        return rules_of_policy(load_policy_file(path))
    except CommandError as error:
        key = ("actions", "policy_file")
        said = Mistake(where, locate(text, key), shown(key), f"the policy file: {error.message}")
        raise CommandError(str(said), error.hint) from None


def rules_of_policy(found: "PolicyFile") -> FileRules:
    """The same for a policy file."""
    return FileRules(found.path, found.rules, found.paths, found.lines)
