"""What a rule or a source names outside the configuration: code that examines such things handles these, not kinds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from credproxy.core.formats.toml_lines import Path
from credproxy.core.paths import cache_home, config_home


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the daemon's environment, which holds the secret."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds one secret and nothing else.

    Attributes:
        path: of the file.
        username: makes a login of it.
        pem: it is a private key in PEM form, not a line of text.
        json: it is an object of JSON.
    """

    path: str
    username: str | None = None
    pem: bool = False
    json: bool = False


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
    """A file of certificates in PEM form: that are trusted, or the one that is shown with its chain.

    Attributes:
        path: of the file.
        key: the option that names it.
        private: path of the private key of what is shown; None if it is in the same file.
    """

    path: str
    key: str = "ca_bundle"
    private: str | None = None


_BASES: Final[Mapping[str, Callable[[Mapping[str, str]], str | None]]] = {
    "config": config_home,
    "cache": cache_home,
    "home": lambda environ: environ.get("HOME"),
}


@dataclass(frozen=True, slots=True)
class Usual:
    """Where a program of the user's keeps its login, if it has one: it may be missing.

    Attributes:
        variables: of the environment; each may hold a token.
        folder: the variable that names the folder of its configuration.
        below: the same folder if that is not set, relative to ``base``.
        file: in that folder; "" for a login that is in variables alone.
        base: where programs keep their configuration, or what they have cached, or the home directory.
        itself: the variable that names the file, before all of that; "" for none.
    """

    variables: tuple[str, ...]
    folder: str = ""
    below: str = ""
    file: str = ""
    base: Literal["config", "cache", "home"] = "config"
    itself: str = ""

    def path(self, environ: Mapping[str, str]) -> str | None:
        """The file; None for a user without a home directory."""
        if self.itself and (named := environ.get(self.itself)):
            return _expanded(named, environ)
        if not self.file:
            return None
        home = _BASES[self.base](environ)
        folder = environ.get(self.folder) or (f"{home}/{self.below}" if home else None)
        return _expanded(f"{folder}/{self.file}", environ) if folder else None


def _expanded(path: str, environ: Mapping[str, str]) -> str:
    """With the home in the place of ``~``: a unit's environment has it as it is written, and some of the programs expand it."""
    home = environ.get("HOME", "")
    return f"{home}{path[1:]}" if home and path.startswith("~/") else path


@dataclass(frozen=True, slots=True)
class Library:
    """A library that not everybody needs, so that an extra of the package brings it.

    Attributes:
        extra: the name of that.
        modules: what is imported, by system as ``sys.platform`` names it; "" for every other one.
        requirements: what brings that, by system in the same way; as in pyproject.toml.
        environ: variables of the daemon's environment that it reads: the worker gets them, and no others.
    """

    extra: str
    modules: Mapping[str, str] = field(hash=False)
    requirements: Mapping[str, str] = field(hash=False)
    environ: tuple[str, ...] = ()

    def module(self, platform: str) -> str:
        """What is imported on a system."""
        return self.modules.get(platform, self.modules.get("", ""))

    def requirement(self, platform: str) -> str:
        """What pip is asked for on a system."""
        return self.requirements.get(platform, self.requirements.get("", ""))


NOT_INSTALLED: Final = " is not installed: "
"""What stands between a library and the command that installs it, in whatever is said of one that is missing."""


@dataclass(frozen=True, slots=True)
class GitHelper:
    """The credential helpers that the user's configuration of git names, if it names any."""


Use = Variable | SecretFile | LoginFile | Program | Bundle | Usual | Library | GitHelper

Used = tuple[Path, Use]
"""Something that is named, and the key that names it."""
