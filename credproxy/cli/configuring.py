"""Commands that work on files: ``config`` and ``bazelrc``. They need no daemon."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import click

from credproxy.cli.asking import as_json
from credproxy.cli.errors import CommandError, stop
from credproxy.core.config import ConfigError, load_files, schema
from credproxy.core.paths import actions_socket, config_files, helper_socket
from credproxy.core.settings import Settings


_BAZEL_SCOPE = re.compile(r"(\*|[-a-z0-9]+)(\.[-a-z0-9]+)+")
"""What Bazel takes as a scope: no port, no path, no single label (clients.md 1.2)."""


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False))
def check(file: str | None) -> None:
    """Say what is wrong with FILE, or with the files that the daemon would read, with the line of each mistake."""
    files = _read(None if file is None else (file,))
    try:
        settings = load_files(files)
    except ConfigError as error:
        for mistake in error.mistakes:
            click.echo(str(mistake), err=True)
        stop(1)
    if not files:
        click.echo("no configuration file; what works without one is in force")
        return
    click.echo(f"{', '.join(name for name, _ in files)}: fine, {len(settings.host)} host rules")


@config.command()
@as_json
def show(*, as_json: bool) -> None:
    """Show what is in force once these files are loaded, defaults included."""
    import msgspec  # noqa: PLC0415

    from credproxy.exchange.realm import PAIRS  # noqa: PLC0415

    settings = in_force()
    plain = {name: msgspec.to_builtins(getattr(settings, name)) for name in settings.__struct_fields__}
    plain["builtin_realms"] = [f"{registry} -> {realm}" for registry, realm in sorted(PAIRS)]
    if as_json:
        click.echo(json.dumps(plain, indent=2))
        return
    for name, value in plain.items():
        click.echo(f"{name} = {json.dumps(value)}")


@config.command("schema")
def print_schema() -> None:
    """Print the JSON schema of a configuration file, for editors."""
    click.echo(json.dumps(schema(), indent=2))


@config.command()
def path() -> None:
    """Print where the daemon looks for its configuration, the most important first."""
    for place in config_files(os.environ):
        click.echo(f"{place}{'' if Path(place).exists() else '  (not there)'}")


@click.command()
@click.option("--actions", "for_actions", is_flag=True, help="Print the lines for sandboxed build actions instead.")
def bazelrc(*, for_actions: bool) -> None:
    """Print the lines for .bazelrc: one for each host that is configured, none for all hosts at once."""
    if for_actions:
        _bazelrc_for_actions()
        return
    helper = _helper()
    hosts = sorted({rule.match.partition("/")[0] for rule in in_force().host} | _docker_hosts())
    lines = {host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host for host in hosts}
    if not lines:
        raise CommandError(
            "no host is configured and no login was found", "docker login HOST, or write a [[host]] rule"
        )
    for host in sorted(lines):
        if _BAZEL_SCOPE.fullmatch(host):
            click.echo(f"common --credential_helper={host}={helper}")
        else:
            click.echo(f"# {host}: Bazel cannot name such a host in --credential_helper", err=True)


def _bazelrc_for_actions() -> None:
    places = [find(os.environ, os.geteuid(), os.path.isdir) for find in (helper_socket, actions_socket)]
    hidden, shared = (str(Path(place).parent) for place in places)
    click.echo("# Keeps sandboxed actions from the socket that has full answers:")
    click.echo(f"build --sandbox_block_path={hidden}")
    click.echo("# Only for --experimental_use_hermetic_linux_sandbox and docker, which see no other path:")
    click.echo(f"build --sandbox_add_mount_pair={shared}")


def in_force() -> Settings:
    """The configuration that a daemon would load now. Raises CommandError with its first mistake."""
    try:
        return load_files(_read(None))
    except ConfigError as error:
        raise CommandError(str(error.mistakes[0]), "credproxy config check") from None


def _read(files: tuple[str, ...] | None) -> list[tuple[str, str]]:
    found = []
    for place in files or config_files(os.environ):
        try:
            found.append((place, Path(place).read_text(encoding="utf-8")))
        except FileNotFoundError:
            if files:
                raise CommandError(f"{place!r} is not there", "credproxy config path") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{place!r} cannot be read: {type(error).__name__}", f"ls -l {place}") from None
    return found


def _helper() -> str:
    places = [Path(program).absolute().parent / "credproxy-helper" for program in (sys.argv[0], sys.executable)]
    found = next((str(place) for place in places if place.exists()), shutil.which("credproxy-helper"))
    if found is None:
        raise CommandError("credproxy-helper is not installed beside credproxy nor on PATH", "pipx install .")
    return found


def _docker_hosts() -> set[str]:
    """Registries that docker and podman are logged in to, as the daemon would find them."""
    from credproxy.core.docker_config import parse_index  # noqa: PLC0415
    from credproxy.core.errors import Failed  # noqa: PLC0415
    from credproxy.sources.docker_config import places  # noqa: PLC0415

    hosts: set[str] = set()
    for place in places(os.environ, os.geteuid()):
        try:
            hosts |= set(parse_index(Path(place).read_bytes(), place).authorities())
        except OSError:
            continue
        except Failed as error:
            raise CommandError(error.failure.message, error.failure.hint) from None
    if "docker.io" in hosts:
        hosts = hosts - {"docker.io"} | {"index.docker.io", "registry-1.docker.io"}
    return hosts
