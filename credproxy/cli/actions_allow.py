"""``credproxy actions allow``: adds a rule for build actions to the user's configuration, and puts it into force."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import click

from credproxy.adapters.replaced_file import replace_file
from credproxy.cli.client import NoDaemonError, call_in_turn
from credproxy.cli.command_error import CommandError, unreadable, unwritable
from credproxy.cli.read_config import home, in_force, policy_in_force, read_content, read_policy
from credproxy.cli.wanted_rule import (
    WantedRule,
    check_registry,
    is_pattern,
    parsed_rule,
    rule_for_objects,
    rule_for_repositories,
)
from credproxy.core.config.parse import ConfigError, decode, load
from credproxy.core.config.settings import Settings
from credproxy.core.ownership import Exposure
from credproxy.core.paths import config_files, config_home
from credproxy.core.policy.objects import object_pattern
from credproxy.core.policy.policy import Configuration, Policy
from credproxy.core.policy.rules import ActionRule, Operation
from credproxy.core.policy.wide_rules import too_wide


_ONE_SLASH = re.compile(r"(https?):/?([^/].*)", re.DOTALL)


@click.command(short_help="Add a rule for a registry and a repository.")
@click.argument("pattern")
@click.option("--write", is_flag=True, help="Also allow writing.")
@click.option("--no-reload", is_flag=True, help="Leave the running daemon as it is.")
@click.option("--yes", is_flag=True, help="Do not ask whether a name without a dot is a registry.")
def allow(pattern: str, *, write: bool, no_reload: bool, yes: bool) -> None:
    """Add a rule for PATTERN to the user's configuration.

    PATTERN is a registry with a repository, such as 'ghcr.io/org/**', or a URL outside registries, such as
    'https://files.corp.example/releases/**'. The rule is added after the existing ones: the first that
    matches decides. Everything else in the file stays unchanged. The daemon reads it at once; nothing is added for what
    is already allowed.
    """
    place = _own_place()
    slip = _ONE_SLASH.fullmatch(pattern)
    if slip is not None:
        said = f"{pattern!r} has no '//' after {slip[1] + ':'!r}"
        raise CommandError(said, f"credproxy actions allow {quote(f'{slip[1]}://{slip[2]}')}")
    wanted = rule_for_objects(pattern, write=write) if "://" in pattern else rule_for_repositories(pattern, write=write)
    rule = parsed_rule(wanted.text, pattern)
    try:
        text, own = _held(place)
        if not yes and wanted.registry:
            check_registry(in_force(), registry=wanted.registry, repository=wanted.repository)
        _refuse_policy_file(wanted, pattern, write=write)
        known = _known(policy_in_force(in_force()), rule, wanted.operations)
        if known.allowed:
            click.echo(f"{known.by} already allows {pattern}; nothing was added")
        else:
            _warn(known, own)
            # A table of an array may be anywhere, so the text need not be parsed or moved.
            whole = f"{text.rstrip()}\n\n{wanted.text}" if text.strip() else wanted.text
            _write(place, _checked_text(whole, place))
            may = f"build actions may {'read and write' if write else 'read'} {pattern}"
            said = f"the rule is written, and {known.denied} still denies {pattern}" if known.denied else may
            click.echo(f"{place}: {said}")
            _note(wanted, rule, pattern)
    except OSError as error:
        raise unreadable(str(place), error, before="nothing was changed: ") from None
    if no_reload:
        click.echo("put it in force: credproxy reload")
    else:
        _put_in_force(place)


def _note(wanted: "WantedRule", rule: ActionRule, pattern: str) -> None:
    """Say what else the new rule may mean, or lets in."""
    for _, problem in too_wide([rule]):
        click.echo(f"warning: the new rule {problem}", err=True)
    scheme, _, rest = pattern.partition("://")
    if not wanted.registry and is_pattern(rest):
        click.echo(f"note: for the repositories of a registry leave {scheme}:// out", err=True)


def _write(place: Path, text: str) -> None:
    try:
        replace_file(place, text.encode())
    except OSError as error:
        raise unwritable(str(place), error, before="nothing was changed: ") from None


def _own_place() -> Path:
    """The user's configuration. Raises CommandError: without a home directory there is only the machine's."""
    if config_home(os.environ) is None:
        raise CommandError("there is no place for a configuration of this user: HOME is not set", "set HOME")
    return Path(config_files(os.environ)[0])


class _Already(NamedTuple):
    """What the rules say already: whether all is allowed, and by which rules; and which rule denies it, "" for none."""

    allowed: bool
    by: str
    denied: str


def _known(policy: Policy, rule: ActionRule, operations: tuple[Operation, ...]) -> _Already:
    objects = None if rule.url is None else object_pattern(rule.url)
    decisions = [policy.rules.standing(rule, operation) for operation in operations]
    if objects is not None:
        decisions = [policy.rules.standing_of_objects(objects)]
    name = Configuration().name
    allowing = dict.fromkeys(name(index) for allowed, index in decisions if allowed and index is not None)
    denying = dict.fromkeys(name(index) for allowed, index in decisions if not allowed and index is not None)
    return _Already(all(allowed for allowed, _ in decisions), " and ".join(allowing), " and ".join(denying))


def _warn(known: _Already, own: Settings) -> None:
    if known.denied:
        said = f"{known.denied} denies it, and the first rule that matches decides: the new one has no effect there"
        click.echo(f"warning: {said}; put it before that one", err=True)
    if in_force().actions != own.actions:
        machine = config_files(os.environ)[1]
        click.echo(f"warning: your rules replace those of {machine}, which no longer apply to you", err=True)


def _refuse_policy_file(wanted: WantedRule, pattern: str, *, write: bool) -> None:
    """Refuse to add a rule beside a policy file: it would be an error, or replace the file."""
    try:
        policy = read_policy(in_force())
    except ConfigError as error:
        mistake = error.mistakes[0]
        raise CommandError(
            f"nothing was changed: {mistake}", f"credproxy actions check {quote(mistake.where)}"
        ) from None
    if policy is not None:
        remedy = (
            policy.remedy(registry=wanted.registry, repository=wanted.repository, write=write)
            if wanted.registry
            else policy.remedy_for(pattern)
        )
        raise CommandError(f"nothing was changed: the rules stand in the policy file {policy.path!r}", remedy)


def _held(place: Path) -> tuple[str, Settings]:
    """The user's configuration, as text and parsed; empty without a file."""
    content = read_content(str(place), "nothing was changed: ", judge=_refuse_exposed)
    if content is None and place.exists():  # /dev/null, which must not become a file
        raise CommandError(f"nothing was changed: {str(place)!r} leads to {os.devnull}", f"rm {quote(str(place))}")
    content = content or b""
    return content.decode("utf-8", "replace"), _checked(content, str(place))


def _refuse_exposed(exposures: Iterable[Exposure], where: str) -> None:
    """Refuse a file that others could have written: writing it as the user would make it trusted. Raises CommandError."""
    for one in exposures:
        if one.grave:
            raise CommandError(f"nothing was changed: {where!r} is not trusted: it {one.problem}", one.remedy)


def _checked(content: bytes, where: str) -> Settings:
    try:
        return load(decode(content, where), where, home=home())
    except ConfigError as error:
        raise CommandError(f"nothing was changed: {error.mistakes[0]}", "credproxy config check") from None


def _checked_text(text: str, place: Path) -> str:
    _checked(text.encode(), str(place))
    return text


def _put_in_force(place: Path) -> None:
    try:
        answer = call_in_turn("/v1/reload")
    except NoDaemonError:
        click.echo("no daemon is running; it reads the rule when it starts")
        return
    except CommandError as error:
        raise CommandError(
            f"the rule is written, but the daemon does not use it: {error.message}", error.hint
        ) from None
    files = answer.get("files")
    if isinstance(files, list) and str(place) not in files:
        read = ", ".join(map(str, files)) or "no file"
        raise CommandError(
            f"the rule is written, but the daemon reads {read}", "add the rule there, or start it without --config"
        )
    click.echo("it is in force")
