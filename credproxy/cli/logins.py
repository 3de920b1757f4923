"""Hosts that this user has credentials for, and where the logins lie, as the daemon would find them."""

import netrc
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from credproxy.cli.errors import CommandError
from credproxy.core.docker_config import Index, parse_index
from credproxy.core.errors import Failed
from credproxy.core.paths import config_home
from credproxy.core.settings import Settings


def docker_files(settings: Settings) -> dict[str, Index]:
    """Docker's and podman's files that are there, by path. Raises CommandError for one that cannot be used."""
    from credproxy.sources.docker_config import places  # noqa: PLC0415  structlog takes longer than --help

    chosen = settings.docker_config
    files: dict[str, Index] = {}
    for place in places(os.environ, os.geteuid()) if chosen == "auto" else () if chosen == "none" else (chosen,):
        try:
            files[place] = parse_index(Path(place).read_bytes(), place)
        except OSError:
            continue
        except Failed as error:
            raise CommandError(error.failure.message, error.failure.hint) from None
    return files


def netrc_machines(settings: Settings) -> tuple[str, frozenset[str]]:
    """The netrc file, "" for none, and the machines that it names. Raises CommandError for one that cannot be used."""
    home = os.environ.get("HOME")
    usual = os.environ.get("NETRC") or (f"{home}/.netrc" if home else "")
    path = {"auto": usual, "none": ""}.get(settings.netrc, settings.netrc)
    if not path or not Path(path).is_file():
        return "", frozenset()
    try:
        return path, frozenset(name.lower() for name in netrc.netrc(path).hosts if name != "default")
    except netrc.NetrcParseError as error:
        raise CommandError(
            f"the netrc file {path!r} cannot be parsed at line {error.lineno}", f"${{EDITOR:-vi}} {path}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the netrc file {path!r} cannot be read: {type(error).__name__}", f"ls -l {path}") from None


def hosts(settings: Settings, docker: Mapping[str, Index]) -> set[str]:
    """Every host that is configured or logged in to, with its port where it has one."""
    found = {rule.match.partition("/")[0] for rule in settings.host}
    found |= {host for index in docker.values() for host in index.authorities()}
    return found - {"docker.io"} | {"index.docker.io", "registry-1.docker.io"} if "docker.io" in found else found


def bazel_names(found: Iterable[str]) -> list[str]:
    """Hosts as ``--credential_helper`` names them: without a port."""
    return sorted({host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host for host in found})


def homes(environ: Mapping[str, str]) -> tuple[str, str]:
    """The user's home, and where programs keep their configuration."""
    return environ.get("HOME") or "", config_home(environ) or ""
