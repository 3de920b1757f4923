"""What ``doctor`` and ``config check --deep`` check: the configuration, and the files that it names."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path as Place

from msgspec import structs

from credproxy.adapters.clock import SystemClock
from credproxy.cli.client_certificates import unusable_certificates
from credproxy.cli.command_error import CommandError
from credproxy.cli.key_places import key_places
from credproxy.cli.logins import Logins, find_logins
from credproxy.cli.read_config import home, read_files, read_policy
from credproxy.core.ask.credential import PlainSecret, Secret
from credproxy.core.ask.jwt import over
from credproxy.core.config.parse import ConfigError, Mistake, load_files
from credproxy.core.config.settings import Settings
from credproxy.core.kinds.uses import Bundle, LoginFile, Variable
from credproxy.core.paths import config_files
from credproxy.doctor import configured
from credproxy.doctor.finding import nowhere


def gather(files: tuple[str, ...] | None, *, strict: bool = False) -> tuple[configured.Facts, Logins]:
    """Read the configuration and the logins that it leads to; the facts include what is wrong with them.

    Args:
        files: of the configuration; None for the usual places.
        strict: report the line of each key, and what is missing in this environment as an error; also read the docker
            and netrc files of rules.
    """
    found: list[tuple[str, str]] = []
    settings, rules, unreadable, way_out = Settings(), 0, "", ""
    mistakes: tuple[Mistake, ...] = ()
    try:
        found = read_files(files)
        settings = load_files(found, home())
        with suppress(CommandError):  # an unreadable policy file is reported with what the configuration names
            policy = read_policy(settings)
            rules = len(settings.actions.rule if policy is None else policy.rules)
    except CommandError as error:
        unreadable, way_out = error.message, error.hint
    except ConfigError as error:
        mistakes = error.mistakes
    now = SystemClock().wall()
    logins = find_logins(settings)
    for more in _of_rules(settings) if strict else ():
        logins = Logins({**logins.docker, **more.docker}, logins.netrc, logins.machines, [*logins.broken, *more.broken])
    facts = configured.Facts(
        files or config_files(os.environ),
        [name for name, _ in found],
        settings,
        mistakes=mistakes,
        unreadable=unreadable,
        way_out=way_out,
        actions=rules,
        variables={name: bool(value.strip()) for name, value in os.environ.items()},
        bundles=_bundles(settings),
        over=_over(settings, now),
        wall=now,
        place=key_places(found) if strict and found and not unreadable and settings != Settings() else nowhere,
        strict=strict,
    )
    certificates = [(f"{facts.place(key)}{said}", hint) for key, said, hint in unusable_certificates(settings)]
    broken = [*logins.broken, *certificates]
    return replace(facts, logins=logins.files, broken=broken), logins


def _of_rules(settings: Settings) -> Iterator[Logins]:
    """The content of the files that rules name instead of the usual ones."""
    for use in dict.fromkeys(use for _, _, use in settings.uses()):
        match use:
            case LoginFile(path, "docker"):
                yield find_logins(structs.replace(settings, docker_config=path, netrc="none"))
            case LoginFile(path, "netrc"):
                yield find_logins(structs.replace(settings, docker_config="none", netrc=path))
            case _:
                pass


def _over(settings: Settings, wall: float) -> dict[str, str]:
    """What to say of each variable that holds a token which is over by its own words."""
    named = {use.name for _, _, use in settings.uses() if isinstance(use, Variable)}
    said = {name: over(PlainSecret(Secret(os.environ.get(name, ""))), wall) for name in named}
    return {name: words for name, words in said.items() if words}


def _bundles(settings: Settings) -> dict[str, str]:
    """For each ``ca_bundle`` why TLS cannot use it, "" if it can."""
    return {use.path: _problem(use.path) for _, _, use in settings.uses() if isinstance(use, Bundle)}


def _problem(path: str) -> str:
    import ssl  # noqa: PLC0415  every command reads this module, and some must work where ssl cannot be loaded

    if Place(path).exists() and not Place(path).is_file():  # OpenSSL would wait for the writer of a FIFO
        return "is not a regular file"
    try:
        ssl.create_default_context().load_verify_locations(cafile=path)
    except ssl.SSLError:
        return "holds no certificate in PEM form"
    except OSError as error:
        return f"cannot be read: {os.strerror(error.errno or 0).lower()}"
    return ""
