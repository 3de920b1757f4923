"""``credproxy config``. Works on files, without a daemon."""

import json
import os
from pathlib import Path

import click

from credproxy.cli.command_error import stop
from credproxy.cli.daemon_commands import as_json
from credproxy.cli.key_places import key_places
from credproxy.cli.read_config import distrust, home, in_force, lacking, read_files, tell
from credproxy.cli.rule_warnings import rules_of
from credproxy.core.config.parse import ConfigError, load_files, schema
from credproxy.core.config.settings import Settings
from credproxy.core.config.shown_settings import shown_settings
from credproxy.core.counted import counted
from credproxy.core.paths import config_files
from credproxy.doctor.finding import Severity, by_severity, nowhere


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command(short_help="Check a configuration.")
@click.argument("file", required=False, type=click.Path(readable=False))
@click.option("--deep", is_flag=True, help="Also look at the files, programs and variables that it names.")
def check(file: str | None, *, deep: bool) -> None:
    """Say what is wrong with FILE, or with the files that the daemon would read, with the line of each mistake.

    With --deep it also looks at what the configuration names, as this user and in this environment: whether files
    exist, can be read and used, programs can be run, variables are set. It runs no program and sends no request.
    """
    chosen = None if file is None else (file,)
    try:
        files = read_files(chosen)
        settings = load_files(files, home())
        if not deep:  # which reports mistakes of a policy file as well
            rules_of(files)
    except ConfigError as error:
        tell(error)
    works = _has_libraries(files, settings)
    if deep:
        works = _look(chosen) and works
    else:
        distrust([("the configuration", name) for name, _ in files], settings)
    if not works:
        stop(1)
    _conclude(files, settings)


def _has_libraries(files: list[tuple[str, str]], settings: Settings) -> bool:
    """Print each library that is missing, once for a rule that needs it twice; tell whether none is."""
    missing = {(said, remedy): key for key, said, remedy in reversed([*lacking(settings)])}
    place = key_places(files) if missing else nowhere
    for (said, remedy), key in reversed(missing.items()):
        click.echo(f"{place(key)}{said}\nhint: {remedy}", err=True)
    return not missing


def _conclude(files: list[tuple[str, str]], settings: Settings) -> None:
    """Print the warnings about rules for build actions, and that all is fine."""
    rules = rules_of(files)
    if rules is not None:
        rules.warn()
    if not files:
        click.echo("no configuration file; the built-in defaults are in force")
        return
    found = counted(len(settings.host), "host rule")
    if rules is not None and rules.number:
        found += f", {counted(rules.number, 'rule')} for build actions"
    click.echo(f"{', '.join(name for name, _ in files)}: fine, {found}")


def _look(files: tuple[str, ...] | None) -> bool:
    """Print what is wrong with what the configuration names; tell whether all of it works."""
    from credproxy.cli.gathering import gather  # noqa: PLC0415  ssl takes longer than --help
    from credproxy.cli.looking import ThisMachine  # noqa: PLC0415  as above
    from credproxy.cli.tables import show_findings  # noqa: PLC0415  rich takes longer than the check
    from credproxy.doctor import configured, programs  # noqa: PLC0415  as above

    machine = ThisMachine()
    facts, logins = gather(files, strict=True)
    findings = by_severity(
        [
            *configured.check(machine, facts),
            *programs.check_commands(machine, facts.settings, place=facts.place),
            *programs.check_docker(machine, logins.docker, path=facts.settings.helper_path),
        ]
    )
    show_findings(findings, verbose=False)
    return all(finding.severity is not Severity.ERROR for finding in findings)


@config.command(short_help="Show what is in force, defaults included.")
@as_json
def show(*, as_json: bool) -> None:
    """Show what is in force once these files are loaded, defaults included; what may be a secret is masked."""
    from credproxy.exchange.realm import PAIRS  # noqa: PLC0415

    settings = in_force()
    plain = shown_settings(settings)
    builtin = settings.rules()[len(settings.host) :]
    plain["builtin_hosts"] = [f"{rule.match} -> {rule.tag()}" for rule in builtin]
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


@config.command(short_help="Print where the configuration is looked for.")
def path() -> None:
    """Print where the daemon looks for its configuration, in order of precedence."""
    for place in config_files(os.environ):
        broken = "  (a link that leads nowhere)" if Path(place).is_symlink() else "  (not there)"
        click.echo(f"{place}{'' if Path(place).exists() else broken}")
