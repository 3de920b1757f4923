"""``source = "git"``: what git's own credential helpers know of a host. Source: gitcredentials(7)."""

from collections.abc import Iterator, Mapping
from typing import Final

from credproxy.core.formats.checks import Problem, user
from credproxy.core.formats.toml_types import UserName
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import GitHelper, Use
from credproxy.core.paths import config_home


class GitSource(SourceBase, frozen=True, tag_field="source", tag="git"):
    """What ``git credential fill`` gives; ``username`` picks one of several logins that the helpers have."""

    username: UserName | None = None

    def problems(self) -> Iterator[Problem]:
        """The name of the user, which is a line of what git is told."""
        yield from user("username", self.username)
        if self.username is not None and not self.username.isprintable():
            yield ("username",), "wanted a user name of one line"

    def uses(self) -> Iterator[Use]:
        """What may be missing."""
        yield GitHelper()


PASSED: Final = (
    "DBUS_SESSION_BUS_ADDRESS",
    "GCM_CREDENTIAL_STORE",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
)
"""Variables of the daemon that git and its helpers get: where their files and keyrings are, and never a token."""

_SYSTEM: Final = (
    "/etc/gitconfig",
    "/usr/local/etc/gitconfig",
    "/opt/homebrew/etc/gitconfig",
    "/Library/Developer/CommandLineTools/usr/share/git-core/gitconfig",
    "/Applications/Xcode.app/Contents/Developer/usr/share/git-core/gitconfig",
)
"""Where the builds of git look for the machine's configuration: Debian's, and those of Homebrew and Apple."""


def git_config_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the files of git's configuration outside of repositories. Source: git-config(1), "FILES"."""
    alone = environ.get("GIT_CONFIG_NOSYSTEM", "").lower() in {"1", "true", "yes", "on"}
    system = environ.get("GIT_CONFIG_SYSTEM")
    return (*(() if alone else (system,) if system else _SYSTEM), *own_git_config_files(environ))


def own_git_config_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the user."""
    one = environ.get("GIT_CONFIG_GLOBAL")
    if one is not None:
        return (one,) if one else ()
    usual = ((config_home(environ), "git/config"), (environ.get("HOME"), ".gitconfig"))
    return tuple(f"{folder}/{name}" for folder, name in usual if folder)
