"""``source = "gh"``: the login that ``gh``, GitHub's own program, would use for a host. Source: ``gh help environment``."""

from collections.abc import Iterator
from typing import Final

from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import UserName
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use, Usual


TOKENS: Final = ("GH_TOKEN", "GITHUB_TOKEN")
"""Variables with a token for github.com, in gh's order; for a tenant of ghe.com only where GH_HOST names it, since gh is told
a host by its user, and a URL may come from anywhere."""

ENTERPRISE_TOKENS: Final = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
"""Variables with a token for GitHub Enterprise Server."""

HOST: Final = "GH_HOST"
CONFIG: Final = Usual(TOKENS, folder="GH_CONFIG_DIR", below="gh", file="hosts.yml")


class GhSource(SourceBase, frozen=True, tag_field="source", tag="gh"):
    """``GH_TOKEN``, ``GITHUB_TOKEN``, then what ``gh`` has stored; ``username`` picks one of several logins that it has."""

    username: UserName | None = None

    def problems(self) -> Iterator[Problem]:
        """A name that gh would read as an option."""
        if self.username is not None and (not self.username or self.username.startswith("-")):
            yield ("username",), "wanted the name of a GitHub user, as gh auth status shows it"

    def uses(self) -> Iterator[Use]:
        """What may be missing."""
        yield CONFIG
