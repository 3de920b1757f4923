"""What ``doctor`` and ``config check --deep`` look at: the configuration, and the files that it names."""

import os
import ssl
from collections.abc import Iterable
from dataclasses import replace

from credproxy.cli.errors import CommandError
from credproxy.cli.logins import Logins, find_logins
from credproxy.cli.reading import home, read_files, read_policy
from credproxy.core.config import ConfigError, Mistake, load_files
from credproxy.core.paths import config_files
from credproxy.core.settings import OciHost, Settings
from credproxy.doctor import configured


def gather(files: tuple[str, ...] | None) -> tuple[configured.Facts, Logins]:
    """Read the configuration and the logins that it leads to; what is wrong with them is among the facts.

    Args:
        files: of the configuration; None for the usual places.
    """
    found: list[tuple[str, str]] = []
    settings, rules, unreadable = Settings(), 0, ""
    mistakes: tuple[Mistake, ...] = ()
    try:
        found = read_files(files)
        settings = load_files(found, home())
        policy = read_policy(settings)
        rules = len(settings.actions.rule if policy is None else policy.rules)
    except CommandError as error:
        unreadable = error.message
    except ConfigError as error:
        mistakes = error.mistakes
    logins = find_logins(settings)
    facts = configured.Facts(
        files or config_files(os.environ),
        [name for name, _ in found],
        settings,
        mistakes=mistakes,
        unreadable=unreadable,
        actions=rules,
        variables={name: bool(value.strip()) for name, value in os.environ.items()},
        bundles=_bundles(settings),
    )
    return replace(facts, logins=logins.files, broken=logins.broken), logins


def _bundles(settings: Settings) -> dict[str, str]:
    """For each ``ca_bundle`` why TLS cannot use it, "" where it can."""
    named: Iterable[str | None] = (rule.ca_bundle for rule in settings.host if isinstance(rule, OciHost))
    return {path: _problem(path) for path in named if path is not None}


def _problem(path: str) -> str:
    try:
        ssl.create_default_context().load_verify_locations(cafile=path)
    except ssl.SSLError:
        return "holds no certificate in PEM form"
    except OSError as error:
        return f"cannot be read: {type(error).__name__}"
    return ""
