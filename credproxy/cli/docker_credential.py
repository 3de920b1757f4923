"""What ``docker-credential-credproxy`` delegates: storing, erasing and listing by docker's credential helper protocol.

Errors go to standard output, with exit status 1. Source: docker-credential-helpers, credentials/credentials.go.
"""

import json
import os
import sys
from pathlib import Path
from shlex import quote as shell
from typing import TYPE_CHECKING

import click
import msgspec

from credproxy.cli.command_error import CommandError, stop
from credproxy.cli.login import alone, forget, revoked
from credproxy.cli.login_words import told
from credproxy.cli.read_config import in_force
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.stored import from_text
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import Settings
from credproxy.core.formats.docker_config_edit import docker_key
from credproxy.core.formats.docker_keys import canonical_key
from credproxy.core.formats.login_file import EMPTY, parse_logins
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.oci import OciHost
from credproxy.core.paths import login_file
from credproxy.core.unreadable_json import UNREADABLE


if TYPE_CHECKING:
    from credproxy.adapters.writable_keyring import WritableKeyring

_LONGEST = 64 * 1024


class _DockerLogin(msgspec.Struct):
    """The input of ``store``."""

    server: str = msgspec.field(default="", name="ServerURL")
    username: str = msgspec.field(default="", name="Username")
    secret: str = msgspec.field(default="", name="Secret")


@click.command("docker-credential", hidden=True)
@click.argument("verb", type=click.Choice(["store", "erase", "list"]))
@click.pass_obj
def docker_credential(keyring: "WritableKeyring | None", verb: str) -> None:
    """Do what docker-credential-credproxy is asked for."""
    try:
        with told():
            match verb:
                case "store":
                    _store(keyring)
                case "erase":
                    _erase(keyring)
                case _:
                    _list()
    except CommandError as error:
        click.echo("\n".join(filter(None, [error.message, error.hint])))
        stop(1)


def _store(keyring: "WritableKeyring | None") -> None:
    from credproxy.cli.login_choice import LoginPlaces  # noqa: PLC0415  its imports take long

    try:
        given = msgspec.json.decode(_read(), type=_DockerLogin)
    except UNREADABLE:
        raise CommandError("standard input is not the JSON of the docker helper protocol") from None
    key = _key(given.server)
    if not given.username:
        raise CommandError("no credentials username")  # the wording of the protocol
    from_text(given.secret, given.username, where=f"the login for {key!r}")
    settings, rule = _about(key)
    if rule.rotates:
        message = f"{key!r} is a host of provider {rule.tag()!r}, where a person logs in otherwise"
        raise CommandError(message, f"credproxy login {shell(key)}")
    places = LoginPlaces(settings, rule, key=key, keyring=keyring)
    place = places.choose_for_docker(settings.login_store)
    with alone():
        places.put(place, username=given.username, secret=Secret(given.secret))
    forget(key.partition("/")[0])
    if place.warning:
        click.echo(f"warning: {place.warning}", err=True)


def _erase(keyring: "WritableKeyring | None") -> None:
    from credproxy.cli.login_choice import LoginPlaces  # noqa: PLC0415  as above

    key = _key(_read().decode("utf-8", "replace"))
    settings, rule = _about(key)
    _, trouble = revoked(settings, rule, target=parse_uri(f"https://{key}"))  # as credproxy logout does
    places = LoginPlaces(settings, rule, key=key, keyring=keyring)
    with alone():
        gone = places.remove()
    for line in trouble if gone else ():
        click.echo(line, err=True)
    forget(key.partition("/")[0])


def _list() -> None:
    path = Path(login_file(os.environ) or os.devnull)
    logins = parse_logins(path.read_bytes(), f"the file of logins {str(path)!r}") if path.exists() else EMPTY
    click.echo(json.dumps({docker_key(key): one.username for key, one in logins.logins.items() if one.username}))


def _read() -> bytes:
    content = sys.stdin.buffer.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise CommandError(f"more than {_LONGEST} bytes on standard input")
    return content


def _key(server: str) -> str:
    text = server.strip()
    if not text:
        raise CommandError("no credentials server URL")  # the wording of the protocol
    key = canonical_key(text)
    if key is None:
        raise CommandError(f"{text!r} is not a server URL", "give host[:port] or https://host[:port]")
    return key


def _about(key: str) -> tuple[Settings, HostRule]:
    settings = in_force()
    return settings, settings.router().match(parse_uri(f"https://{key}")) or OciHost(match="")
