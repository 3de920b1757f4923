"""``source = "gh"``: the login that ``gh``, GitHub's own program, would use for a host. Source: ``gh help environment``."""

from collections.abc import Iterator
from typing import Final

from credproxy.core.formats.checks import Problem
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use, Usual


TOKENS: Final = ("GH_TOKEN", "GITHUB_TOKEN")
"""Variables with a token for github.com, in gh's order; for a tenant of ghe.com only where GH_HOST names it, since gh is told
a host by its user, and a URL may come from anywhere."""

ENTERPRISE_TOKENS: Final = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
"""Variables with a token for GitHub Enterprise Server."""

HOST: Final = "GH_HOST"
CONFIG: Final = Usual(TOKENS, folder="GH_CONFIG_DIR", below="gh", file="hosts.yml")

PUBLIC: Final = "github.com"
HOSTS: Final = (PUBLIC, "api.github.com", "raw.githubusercontent.com", "codeload.github.com", "uploads.github.com")
"""GitHub's own hosts that take a token: all of them the same one."""

_TENANTS = ".ghe.com"
_PARTS = frozenset({"api", "raw", "codeload", "uploads"})


def is_tenant(host: str) -> bool:
    """Whether a host is of GitHub Enterprise Cloud with data residency: ``SUBDOMAIN.ghe.com``, or below that."""
    return host.endswith(_TENANTS)


def login_host(host: str) -> str:
    """Give the name under which gh keeps the login for a host: ``api.acme.ghe.com`` takes that of ``acme.ghe.com``."""
    if host in HOSTS:
        return PUBLIC
    first, _, rest = host.partition(".")
    return rest if first in _PARTS and rest.count(".") > is_tenant(host) else host


class GhSource(SourceBase, frozen=True, tag_field="source", tag="gh"):
    """``GH_TOKEN``, ``GITHUB_TOKEN``, then what ``gh`` has stored; ``username`` picks one of several logins that it has."""

    username: str | None = None

    def problems(self) -> Iterator[Problem]:
        """A name that gh would read as an option."""
        if self.username is not None and (not self.username or self.username.startswith("-")):
            yield ("username",), "wanted the name of a user of GitHub's, as gh auth status shows it"

    def uses(self) -> Iterator[Use]:
        """What need not be there."""
        yield CONFIG
