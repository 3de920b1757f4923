"""What a rule or a source names outside of the configuration: whoever looks at such things asks for these, not for kinds."""

from dataclasses import dataclass
from typing import Literal

from credproxy.core.toml_lines import Path


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the daemon's environment, which holds the secret."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds one secret and nothing else; ``username`` makes a login of it."""

    path: str
    username: str | None = None


@dataclass(frozen=True, slots=True)
class LoginFile:
    """A file with the logins of many hosts, which other programs write; ``form`` is whose."""

    path: str
    form: Literal["docker", "netrc"]


@dataclass(frozen=True, slots=True)
class Program:
    """A program that sees secrets, by its absolute path."""

    path: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A file of certificates that are trusted, in PEM form."""

    path: str


Use = Variable | SecretFile | LoginFile | Program | Bundle

Used = tuple[Path, Use]
"""A thing that is named, and the key that names it."""
