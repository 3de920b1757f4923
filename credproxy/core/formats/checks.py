"""Checks of single values that occur in several tables: each gives the key and what was wanted, or nothing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from credproxy.core.ask.message import header_problem, is_header_name
from credproxy.core.formats.toml_lines import Path


Problem = tuple[Path, str]
"""Where in a table, what is wrong there, and what was wanted."""

LONGEST_TIMEOUT = 300.0
_YEAR = 366 * 86400.0
_SECONDS = "wanted seconds, 0 or more, and at most a year (31622400)"

_ABSOLUTE = "wanted an absolute path, or one that begins with ~/"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def absolute(key: str, path: str | None) -> Iterator[Problem]:
    """A file's path: anything else would depend on where the daemon happens to be started."""
    if path is not None and not path.startswith("/"):
        yield (key,), _ABSOLUTE


def certificate(client_cert: str | None, client_key: str | None) -> Iterator[Problem]:
    """The files of a client certificate, under the keys ``client_cert`` and ``client_key``."""
    yield from absolute("client_cert", client_cert)
    yield from absolute("client_key", client_key)
    if client_key is not None and client_cert is None:
        yield ("client_cert",), "client_key alone is of no use; name its certificate as well"


def program(key: str, argv: tuple[str, ...]) -> Iterator[Problem]:
    """A command line."""
    if not argv or not argv[0].startswith("/"):
        yield (key,), "wanted the absolute path of a program, and its arguments"


def timeout(key: str, seconds: float) -> Iterator[Problem]:
    """Seconds after which something is given up."""
    if not 1 <= seconds <= LONGEST_TIMEOUT:
        yield (key,), "wanted seconds from 1 to 300"


def duration(key: str, seconds: float) -> Iterator[Problem]:
    """Seconds that a clock can wait and a date can be written for: TOML also has ``nan``, ``inf`` and ``1e308``."""
    if not 0 <= seconds <= _YEAR:
        yield (key,), _SECONDS


def variable(key: str, name: str) -> Iterator[Problem]:
    """The name of an environment variable."""
    if _VARIABLE.fullmatch(name) is None:
        yield (key,), "wanted the name of an environment variable"


def environment(env: Mapping[str, str], pass_env: tuple[str, ...]) -> Iterator[Problem]:
    """What a program gets in addition to the few variables of every program: ``env`` as it is, ``pass_env`` from the daemon."""
    for key, names in (("env", env), ("pass_env", pass_env)):
        for name in names:
            if _VARIABLE.fullmatch(name) is None:
                yield (key,), f"{name!r} is not the name of an environment variable"


def user(key: str, name: str | None) -> Iterator[Problem]:
    """A user name that Basic can carry (RFC 7617), or docker's ``<token>``."""
    if name is not None and name != "<token>" and (not name or ":" in name):
        yield (key,), "wanted a user name without ':'"


def header(key: str, name: str) -> Iterator[Problem]:
    """The name of a header (RFC 9110, section 5.1) that is not one of the connection's own."""
    if not is_header_name(name):
        yield (key,), "wanted the name of a header"
    elif (problem := header_problem(name, ())) is not None:
        yield (key,), problem


def networks(key: str, names: Sequence[str]) -> Iterator[Problem]:
    """Ranges of addresses."""
    for name in names:
        try:
            ip_network(name)
        except ValueError:
            yield (key,), f'{name!r} is not a network; wanted one like "10.0.0.0/8"'


def within(key: Path, found: Iterator[Problem]) -> Iterator[Problem]:
    """The problems of a table that is nested in another one."""
    for path, problem in found:
        yield (*key, *path), problem
