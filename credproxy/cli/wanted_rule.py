"""The rule for build actions that somebody means by a pattern, as typed after ``credproxy actions allow``."""

import json
import re
import sys
from shlex import quote
from typing import NamedTuple

import click

from credproxy.cli.command_error import CommandError
from credproxy.cli.logins import find_logins
from credproxy.cli.read_config import in_force
from credproxy.core.ask.docker_hub import is_hub
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import canonical_authority, parse_uri
from credproxy.core.config.parse import ConfigError, load
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed
from credproxy.core.policy.operations import EVERYTHING, READ
from credproxy.core.policy.rules import ActionRule, Operation


_EXAMPLE = "credproxy actions allow 'ghcr.io/my-org/**'"

_URL_EXAMPLE = "credproxy actions allow 'https://bucket.s3.eu-west-1.amazonaws.com/prefix/**'"

_ENDPOINT = re.compile(r"/(?:manifests|blobs|tags|referrers)/.*")
"""What follows a repository in the paths of the protocol (end-2 to end-12 of the distribution specification)."""

_REFERENCE = re.compile(r"(?:@[^/@]*|:[A-Za-z0-9_][A-Za-z0-9._-]*)$")
"""A digest or a tag after a repository."""


class WantedRule(NamedTuple):
    """A rule to add: its text, and what it says about repositories, empty if it is for URLs."""

    text: str
    registry: str = ""
    repository: str = ""
    operations: tuple[Operation, ...] = ()


def rule_for_repositories(pattern: str, *, write: bool) -> WantedRule:
    """Make a rule for the repositories of a registry. Raises CommandError: the pattern names none, or a tag or digest of one."""
    registry, repository = _split(pattern)
    operations = EVERYTHING if write else READ
    return WantedRule(
        _rule_text(operations, registry=registry, repository=repository), registry, repository, operations
    )


def rule_for_objects(url: str, *, write: bool) -> WantedRule:
    """Make a rule for URLs. Raises CommandError: it was to allow writing, or the URL is a registry's."""
    if write:
        raise CommandError("build actions may read what a URL names, and never write it", "leave --write out")
    target = _target(url)
    if target is not None and _is_registry(target):
        message = f"{url!r} is at a registry: leave {target.scheme}:// out"
        raise CommandError(message, f"credproxy actions allow {quote(_of_registry(target))}")
    return WantedRule(f'[[actions.rule]]\naction = "allow"\nurl = {json.dumps(url)}\n')


def _of_registry(target: Target) -> str:
    """The registry and the repository that a URL is about: of the protocol's paths their name alone."""
    path = target.path.strip("/")
    if f"{path}/".startswith("v2/"):
        path = _ENDPOINT.sub("", f"/{path[2:].strip('/')}").strip("/")
    return f"{target.authority}/{path or '**'}"


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
        raise CommandError(f"{pattern!r} names no repository", _all_of(pattern) or _EXAMPLE)
    found = _REFERENCE.search(repository)
    if found is not None:
        raise CommandError(
            f"{pattern!r} ends with {found[0]!r}, and rules are for whole repositories",
            f"credproxy actions allow '{pattern.removesuffix(found[0])}'",
        )
    return registry, repository


def _all_of(registry: str) -> str:
    named = canonical_authority(registry) is not None and _looks_like_registry(registry)
    return f"credproxy actions allow '{registry}/**'" if named else ""


def _looks_like_registry(name: str) -> bool:
    """Tell a registry from a repository's name as docker does. Source: distribution/reference, splitDockerDomain."""
    return "." in name or ":" in name or name == "localhost"


def check_registry(settings: Settings, *, registry: str, repository: str) -> None:
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


def parsed_rule(text: str, pattern: str) -> ActionRule:
    """Parse the new rule. Raises CommandError about the pattern as typed: it is not in a file yet."""
    try:
        return load(text, "").actions.rule[0]
    except ConfigError as error:
        lower = pattern.lower()
        example = _URL_EXAMPLE if "://" in pattern else _EXAMPLE
        hint = f"credproxy actions allow {quote(lower)}" if lower != pattern and is_pattern(lower) else example
        raise CommandError(f"nothing was changed: {error.mistakes[0].problem}", hint) from None


def is_pattern(pattern: str) -> bool:
    """Whether a rule could have it: a registry and a repository."""
    registry, _, repository = pattern.partition("/")
    try:
        load(_rule_text(READ, registry=registry, repository=repository), "")
    except ConfigError:
        return False
    return True


def _rule_text(operations: tuple[Operation, ...], *, registry: str, repository: str) -> str:
    return (
        f'[[actions.rule]]\naction = "allow"\nregistry = {json.dumps(registry)}\n'
        f"repository = {json.dumps(repository)}\noperations = {json.dumps(operations)}\n"
    )
