"""``credproxy bazelrc``: the lines for .bazelrc. Works on files, without a daemon."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from credproxy.cli.command_error import CommandError
from credproxy.cli.logins import Logins, bazel_names, find_logins, homes, hosts, store_hosts
from credproxy.cli.looking import ThisMachine
from credproxy.cli.own_programs import beside
from credproxy.cli.read_config import in_force, policy_in_force
from credproxy.core.config.settings import Settings
from credproxy.core.formats.bazel_words import quoted
from credproxy.core.formats.docker_config import Index
from credproxy.core.paths import actions_socket, helper_socket, login_file
from credproxy.doctor import sandbox
from credproxy.doctor.bazel import SCOPE


_GOOGLE = re.compile(r"gcr\.io|.+\.(?:gcr\.io|pkg\.dev|google\.com)")
"""Registries for which ``img`` looks for Google credentials. Source: go-containerregistry pkg/v1/google/keychain.go."""

_NAME_THEM = 'for a line, name its registries in the configuration: [[host]] match = "HOST" provider = "oci"'

_DUMMY = {"auth": "bm9uZTpub25l"}
"""``none:none``: it stops ``img`` from looking further, and the gateway drops it."""


@click.command(short_help="Print the lines for .bazelrc.")
@click.option("--actions", "for_actions", is_flag=True, help="Print the lines for build actions instead.")
@click.option("--sandbox", "for_sandbox", is_flag=True, help="Print the lines that hide your logins instead.")
def bazelrc(*, for_actions: bool, for_sandbox: bool) -> None:
    """Print the lines for .bazelrc: one for each configured host, and never one for all hosts.

    With --actions: the lines that route lazy layers of rules_img through the daemon, and hide the helper socket from
    actions. With --sandbox: the lines that hide your logins from sandboxed actions; they belong in ~/.bazelrc, because
    the paths are yours.
    """
    if for_actions and for_sandbox:
        raise click.UsageError("--actions and --sandbox are for different files: leave one of them out")
    settings = in_force()
    logins = find_logins(settings)
    for problem, hint in logins.broken:
        click.echo(f"# not looked at: {problem}{hint and f' ({hint})'}", err=True)
    if for_actions:
        lines = _for_actions(settings, hosts(settings, logins.docker))
    else:
        lines = _for_sandbox(settings, logins.docker) if for_sandbox else _for_hosts(settings, logins)
    for line in lines:
        click.echo(line)


def _for_hosts(settings: Settings, logins: Logins) -> Iterator[str]:
    helper = helper_program()
    listed, silent, missing = store_hosts(settings, logins.docker)
    found = hosts(settings, logins.docker, listed=listed)
    for failure in missing:
        click.echo(f"# not looked at: {failure.message} ({failure.hint})", err=True)
    for program in silent:
        click.echo(f"# {program} lists no registry: {_NAME_THEM}", err=True)
    if not found:
        raise _no_host(logins, silent)
    for host in bazel_names(found):
        if SCOPE.fullmatch(host):
            yield _flag("common", f"--credential_helper={host}={helper}")
        else:
            click.echo(f"# {host}: Bazel cannot name such a host in --credential_helper", err=True)


def _no_host(logins: Logins, silent: Sequence[str]) -> CommandError:
    if silent:
        return CommandError(f"no host is named, and {silent[0]} lists none", _NAME_THEM)
    if logins.machines:
        said = f"no host needs a line: Bazel reads the netrc file {logins.netrc!r} itself, and there is no other login"
        return CommandError(said, _NAME_THEM.replace("registries", "hosts").replace('"oci"', '"basic"'))
    return CommandError("no host is configured and no login was found", "docker login HOST, or write a [[host]] rule")


def _for_sandbox(settings: Settings, docker: Mapping[str, Index]) -> Iterator[str]:
    hidden = str(Path(helper_socket(os.environ, os.geteuid(), is_directory=os.path.isdir)).parent)
    facts = sandbox.Facts(*homes(os.environ), docker, hidden, settings, login_file(os.environ) or "")
    yield "# Keeps sandboxed actions from your logins, and from the socket that has full answers:"
    for place in dict.fromkeys([hidden, *sandbox.to_hide(ThisMachine(), facts)]):
        yield _flag("build", f"--sandbox_block_path={place}")


def _for_actions(settings: Settings, hosts: set[str]) -> Iterator[str]:
    helper, socket = (
        find(os.environ, os.geteuid(), is_directory=os.path.isdir) for find in (helper_socket, actions_socket)
    )
    allowed = policy_in_force(settings).rules.registries()
    if not allowed:
        click.echo("# no rule allows build actions anything yet: credproxy actions allow 'ghcr.io/my-org/**'", err=True)
    yield "# Lazy layers of rules_img come through the daemon; the action holds no credential and needs no network."
    yield "# The path is part of the action key: to share a cache, use one path on all machines (docs/lazy-layers.md)."
    yield _flag("build", f"--@rules_img//img/settings:registry_pull_gateway=unix:{socket}")
    yield "# Keeps sandboxed actions from the socket that has full answers:"
    yield _flag("build", f"--sandbox_block_path={Path(helper).parent}")
    yield "# Only for --experimental_use_hermetic_linux_sandbox and docker, which see no other path:"
    yield _flag("build", f"--sandbox_add_mount_pair={Path(socket).parent}")
    yield from _for_google(sorted(found for found in hosts | allowed if _GOOGLE.fullmatch(found)))
    yield "# With remote execution this keeps the downloads on this machine; their results are still cached remotely:"
    yield "# build --modify_execution_info=DownloadBlob=+no-remote-exec"


def _flag(command: str, flag: str) -> str:
    try:
        return f"{command} {quoted(flag)}"
    except ValueError:
        return f"# a line break stands in {flag!r}, and no .bazelrc can hold one"


def _for_google(hosts: list[str]) -> Iterator[str]:
    wildcards = [host for host in hosts if "*" in host]
    if hosts:
        yield "# img looks for Google credentials before it asks the gateway, 3 to 5 seconds for each layer, and does not"
        yield "# use them. An entry of its own ends the search; it says none:none, is not a secret, and is the same everywhere:"
    if exact := [host for host in hosts if "*" not in host]:
        entries = json.dumps({"auths": dict.fromkeys(exact, _DUMMY)}, separators=(",", ":"))
        yield f"build --action_env='IMG_DOCKER_CONFIG_INLINE={entries}'"
    for wildcard in wildcards:
        yield f'# {wildcard} cannot stand in "auths": each of its hosts needs an entry.'


def helper_program() -> str:
    """The path of credproxy-helper. Raises CommandError if it is not installed."""
    return beside("credproxy-helper")
