"""``credproxy actions``: what build actions may have. Works on files, without a daemon."""

from collections.abc import Sequence
from shlex import quote

import click

from credproxy.cli.actions_allow import allow
from credproxy.cli.client_certificates import shown_certificate
from credproxy.cli.command_error import CommandError
from credproxy.cli.read_config import in_force, load_policy_file, policy_in_force, read_files, tell
from credproxy.cli.rule_warnings import FileRules, rules_of, rules_of_policy
from credproxy.core.ask.target import Form, Object, Target
from credproxy.core.ask.uri import check_canonical, parse_uri
from credproxy.core.config.parse import ConfigError
from credproxy.core.config.settings import Settings
from credproxy.core.counted import counted
from credproxy.core.errors import Failed
from credproxy.core.policy.objects import is_object
from credproxy.core.policy.operations import EVERYTHING, READ, read_operation
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.rules import Operation


@click.group()
def actions() -> None:
    """Say what build actions may have, on the actions socket."""


@actions.command(short_help="Check the rules in FILE.")
@click.argument("file", type=click.Path(readable=False))
def check(file: str) -> None:
    """Say what is wrong with the rules in FILE, and which of them reach far.

    A file whose name ends with .toml is a configuration, any other a policy file of rules_img, in JSON or YAML.
    """
    try:
        found = _rules_of(file)
    except ConfigError as error:
        tell(error)
    found.warn()
    click.echo(f"{found.where}: fine, {counted(found.number, 'rule')}")


def _rules_of(file: str) -> FileRules:
    if not file.endswith(".toml"):
        return rules_of_policy(load_policy_file(file))
    found = rules_of(read_files((file,)))
    return FileRules(file) if found is None else found


@actions.command(short_help="Show what the rules allow a build action to have.")
@click.argument("uri")
def test(uri: str) -> None:
    """Say what the rules let a build action have for URI, and which rule decides; sends nothing."""
    settings = in_force()
    policy = policy_in_force(settings)
    try:
        target = parse_uri(uri)
        check_canonical(uri, target)
        granted = policy.grants(target)
    except Failed as error:
        raise CommandError(error.failure.message, error.failure.hint) from None
    if not granted:
        _refuse_object(policy, target)
        click.echo("nothing: this kind of URI gets no credential on the actions socket")
    objects = [one for one in granted if isinstance(one, Object)]
    if objects:
        _tell_object(policy, target, objects)
    for name, allowed in (one for one in granted if not isinstance(one, Object)):
        click.echo(f"{','.join(allowed)} of {name!r} at {target.authority!r}:")
        for operation in _deciding(target.path, allowed):
            click.echo(f"  {policy.deciding(target.authority, name, operation=operation)} allows {operation}")
    if granted:
        _tell_certificate(settings, target, registry=not objects)


def _refuse_object(policy: Policy, target: Target) -> None:
    """Refuse what a rule for URLs could allow and none does, as the gateway would. Raises CommandError."""
    if target.form is not Form.URL or target.path in {"/", "/v2/"}:
        return
    if not is_object(target):
        said = f"the path {target.path!r} is ambiguous: a server may read it as another one"
        raise CommandError(said, "write it without empty segments, dots alone and encoded slashes")
    if target.path.startswith("/v2/") or policy.at_registry(target):
        return
    try:
        policy.permit_object(target, "GET")
    except Failed as error:
        raise CommandError(error.failure.message, error.failure.hint) from None


def _tell_object(policy: Policy, target: Target, objects: Sequence[Object]) -> None:
    """Print the URL and, if the header would be valid for more, what it gives access to."""
    granted, *wider = objects
    click.echo(f"{', '.join(granted.methods)} of {granted.url!r}:")
    for method in granted.methods:
        click.echo(f"  {policy.name(policy.rules.decide_object(target, method))} allows {method}")
    click.echo("  the gateway fetches it: GET /v1/fetch?url=... on the actions socket")
    if wider:
        click.echo(f"  or a header is given, whose token reads all of {wider[0].url!r}: the rules allow that, too")
        return
    opened = policy.opened(target)
    if opened:
        click.echo(f"  a header is given where the rules allow all that its token reads, {opened!r}:")
        click.echo(f"  credproxy actions allow {quote(opened)}")
    else:
        given, why = policy.why_header(target)
        click.echo(f"  {'or a' if given else 'no'} header is given: {why}")


def _tell_certificate(settings: Settings, target: Target, *, registry: bool) -> None:
    """Print which client certificate the gateway shows there: an action that sends only a header would not be let in."""
    try:
        shown = shown_certificate(settings, target, registry=registry)
    except Failed as error:
        click.echo(f"  the gateway cannot connect: {error.failure.message}; {error.failure.hint}")
        return
    if shown is not None:
        click.echo(f"  the gateway shows the client certificate {shown!r} where the host asks for one;")
        click.echo("  a header is of no use there to an action, which has no certificate")


def _deciding(path: str, allowed: tuple[str, ...]) -> tuple[Operation, ...]:
    if "push" in allowed:
        return EVERYTHING
    if path in {"", "/"}:
        return READ
    # A mount's source comes with the upload's path, which reads nothing by itself.
    return ("blob:read" if "/blobs/uploads" in path else read_operation(path),)


actions.add_command(allow)
