"""``credproxy actions allow``: adds a rule for build actions to the user's configuration, and puts it into force."""

import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import click

from credproxy.adapters.replaced_file import replace_file
from credproxy.cli.client import NoDaemonError, call_in_turn
from credproxy.cli.command_error import CommandError, unreadable, unwritable
from credproxy.cli.logins import find_logins
from credproxy.cli.read_config import home, in_force, policy_in_force, read_content, read_policy
from credproxy.core.ask.docker_hub import is_hub
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import canonical_authority, parse_uri
from credproxy.core.config.parse import ConfigError, decode, load
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed
from credproxy.core.ownership import Exposure
from credproxy.core.paths import config_files, config_home
from credproxy.core.policy.objects import object_pattern
from credproxy.core.policy.operations import EVERYTHING, READ
from credproxy.core.policy.policy import Configuration, Policy
from credproxy.core.policy.rules import ActionRule, Operation
from credproxy.core.policy.wide_rules import too_wide


_EXAMPLE = "credproxy actions allow 'ghcr.io/my-org/**'"
_URL_EXAMPLE = "credproxy actions allow 'https://bucket.s3.eu-west-1.amazonaws.com/prefix/**'"
_REFERENCE = re.compile(r"(?:@[^/@]*|:[A-Za-z0-9_][A-Za-z0-9._-]*)$")
"""A digest or a tag after a repository."""


@click.command(short_help="Add a rule for a registry and a repository.")
@click.argument("pattern")
@click.option("--write", is_flag=True, help="Also allow writing.")
@click.option("--no-reload", is_flag=True, help="Leave the running daemon as it is.")
@click.option("--yes", is_flag=True, help="Do not ask whether a name without a dot is a registry.")
def allow(pattern: str, *, write: bool, no_reload: bool, yes: bool) -> None:
    """Add a rule for PATTERN to the user's configuration.

    PATTERN is a registry with a repository, such as 'ghcr.io/org/**', or a URL outside registries, such as
    'https://bucket.s3.eu-west-1.amazonaws.com/prefix/**'. The rule is added after the existing ones: the first that
    matches decides. Everything else in the file stays unchanged. The daemon reads it at once; nothing is added for what
    is already allowed.
    """
    place = _own_place()
    wish = _wish_for_objects(pattern, write=write) if "://" in pattern else _wish_for_images(pattern, write=write)
    rule = _new_rule(wish.text, pattern)
    try:
        text, own = _held(place)
        if not yes and wish.registry:
            _question(in_force(), registry=wish.registry, repository=wish.repository)
        _refuse_policy_file(wish, pattern, write=write)
        known = _known(policy_in_force(in_force()), rule, wish.operations)
        if known.allowed:
            click.echo(f"{known.by} already allows {pattern}; nothing was added")
        else:
            _warn(known, own)
            # A table of an array may be anywhere, so the text need not be parsed or moved.
            whole = f"{text.rstrip()}\n\n{wish.text}" if text.strip() else wish.text
            _write(place, _checked_text(whole, place))
            may = f"build actions may {'read and write' if write else 'read'} {pattern}"
            said = f"the rule is written, and {known.denied} still denies {pattern}" if known.denied else may
            click.echo(f"{place}: {said}")
            _note(wish, rule, pattern)
    except OSError as error:
        raise unreadable(str(place), error, before="nothing was changed: ") from None
    if no_reload:
        click.echo("put it in force: credproxy reload")
    else:
        _put_in_force(place)


def _note(wish: "_WantedRule", rule: ActionRule, pattern: str) -> None:
    """Say what else the new rule may mean, or lets in."""
    for _, problem in too_wide([rule]):
        click.echo(f"warning: the new rule {problem}", err=True)
    scheme, _, rest = pattern.partition("://")
    if not wish.registry and _is_pattern(rest):
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


class _WantedRule(NamedTuple):
    """A rule to add: its text, and what it says about repositories, empty if it is for URLs."""

    text: str
    registry: str = ""
    repository: str = ""
    operations: tuple[Operation, ...] = ()


def _wish_for_images(pattern: str, *, write: bool) -> _WantedRule:
    registry, repository = _split(pattern)
    operations = EVERYTHING if write else READ
    return _WantedRule(
        _rule_text(operations, registry=registry, repository=repository), registry, repository, operations
    )


def _wish_for_objects(url: str, *, write: bool) -> _WantedRule:
    """Make a rule for URLs; None if the pattern means a registry's repositories."""
    if write:
        raise CommandError("build actions may read what a URL names, and never write it", "leave --write out")
    target = _target(url)
    if target is not None and _is_registry(target):
        scheme, _, rest = url.partition("://")
        raise CommandError(f"{url!r} is at a registry: leave {scheme}:// out", f"credproxy actions allow '{rest}'")
    return _WantedRule(f'[[actions.rule]]\naction = "allow"\nurl = {json.dumps(url)}\n')


def _target(url: str) -> Target | None:
    try:
        return parse_uri(url)
    except Failed:
        return None  # its mistakes are reported when the rule is parsed


def _is_registry(target: Target) -> bool:
    """Whether its host is a registry: by its rule, by docker's logins, or because its path belongs to the protocol."""
    rule = in_force().router().match(target)
    logins = (
        set[str]()
        if rule is not None
        else {host for index in find_logins(in_force()).docker.values() for host in index.authorities()}
    )
    return (
        (rule is not None and rule.is_registry)
        or target.authority in logins
        or is_hub(target.authority)
        or target.path.startswith("/v2/")
    )


def _split(pattern: str) -> tuple[str, str]:
    registry, slash, repository = pattern.partition("/")
    if not registry:
        raise CommandError(f"{pattern!r} names no registry", _EXAMPLE)
    if not slash or not repository:
        raise CommandError(
            f"{pattern!r} names no repository", _suggested(registry=pattern, repository="**") or _EXAMPLE
        )
    found = _REFERENCE.search(repository)
    if found is not None:
        raise CommandError(
            f"{pattern!r} ends with {found[0]!r}, and rules are for whole repositories",
            f"credproxy actions allow '{pattern.removesuffix(found[0])}'",
        )
    return registry, repository


def _suggested(*, registry: str, repository: str) -> str:
    named = canonical_authority(registry) is not None and _looks_like_registry(registry)
    return f"credproxy actions allow '{registry}/{repository}'" if named else ""


def _looks_like_registry(name: str) -> bool:
    """Tell a registry from a repository's name as docker does. Source: distribution/reference, splitDockerDomain."""
    return "." in name or ":" in name or name == "localhost"


def _question(settings: Settings, *, registry: str, repository: str) -> None:
    """Ask the user whether a name without a dot is a registry, unless a host rule says so.

    Raises:
        CommandError: there is no user to ask, or the answer is no.
    """
    if _looks_like_registry(registry):
        return
    if canonical_authority(registry) and settings.router().match(parse_uri(registry)) is not None:
        return
    meant = f"{registry}/{repository}"
    problem = f"is {registry!r} a registry? did you mean 'docker.io/{meant}' or 'ghcr.io/{meant}'"
    if sys.stdin.isatty() and click.confirm(f"{problem}? Is it one", default=False):
        return
    raise CommandError(
        f"nothing was changed: {problem}",
        f"credproxy actions allow 'docker.io/{meant}'; if it is one: credproxy actions allow --yes '{meant}'",
    )


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


def _refuse_policy_file(wish: _WantedRule, pattern: str, *, write: bool) -> None:
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
            policy.remedy(registry=wish.registry, repository=wish.repository, write=write)
            if wish.registry
            else policy.remedy_for(pattern)
        )
        raise CommandError(f"nothing was changed: the rules stand in the policy file {policy.path!r}", remedy)


def _new_rule(text: str, pattern: str) -> ActionRule:
    """Parse the new rule. Raises CommandError about the pattern as typed: it is not in a file yet."""
    try:
        return load(text, "").actions.rule[0]
    except ConfigError as error:
        lower = pattern.lower()
        example = _URL_EXAMPLE if "://" in pattern else _EXAMPLE
        hint = f"credproxy actions allow {quote(lower)}" if lower != pattern and _is_pattern(lower) else example
        raise CommandError(f"nothing was changed: {error.mistakes[0].problem}", hint) from None


def _is_pattern(pattern: str) -> bool:
    registry, _, repository = pattern.partition("/")
    try:
        load(_rule_text(READ, registry=registry, repository=repository), "")
    except ConfigError:
        return False
    return True


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
        answer = call_in_turn("POST", "/v1/reload")
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


def _rule_text(operations: tuple[Operation, ...], *, registry: str, repository: str) -> str:
    return (
        f'[[actions.rule]]\naction = "allow"\nregistry = {json.dumps(registry)}\n'
        f"repository = {json.dumps(repository)}\noperations = {json.dumps(operations)}\n"
    )
