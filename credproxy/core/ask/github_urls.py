"""What GitHub's URLs say: which login a host takes, whose repository a path is in, and where the API of all that is.

::

    github.com/OWNER/REPOSITORY/...          raw.githubusercontent.com, codeload.github.com: likewise
    api.github.com/repos/OWNER/REPOSITORY    uploads.github.com: likewise
    api.github.com/orgs/OWNER                api.github.com/users/OWNER
    TENANT.ghe.com                           and the same parts below it: api., raw., codeload., uploads.
    HOST/OWNER/REPOSITORY                    GitHub Enterprise Server, and HOST/raw/, HOST/codeload/, HOST/api/v3/repos/

Source: docs.github.com/rest, "Getting started with the REST API"; docs.github.com/enterprise-server, "Subdomain isolation".
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from credproxy.core.ask.http import USER_AGENT
from credproxy.core.ask.target import Form, Target


PUBLIC: Final = "github.com"
HOSTS: Final = (PUBLIC, "api.github.com", "raw.githubusercontent.com", "codeload.github.com", "uploads.github.com")
"""GitHub's own hosts that take a token: all of them the same one."""

PARTS: Final = ("api", "raw", "codeload", "uploads")
"""Of a tenant's domain, and of a server's that isolates subdomains; in the order of ``HOSTS``."""

API_HEADERS: Final = (
    ("Accept", "application/vnd.github+json"),
    ("X-GitHub-Api-Version", "2022-11-28"),
    ("User-Agent", USER_AGENT),
)
"""With every request to the API that is ours. Source: docs.github.com/rest, "Getting started with the REST API"."""

_TENANTS = ".ghe.com"
_PACKAGES = ".pkg.github.com"
"""Of GitHub's registries of packages, for Maven, npm, NuGet and Ruby."""

_DOWNLOAD = re.compile(r"/([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+)/releases/(?:latest/download|download/(.+))/([^/]+)")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_API = ("api", "v3")
_ON_ONE_HOST = frozenset({"raw", "codeload"})
"""What stands before the owner where an Enterprise server has all on one host."""


class GithubName(NamedTuple):
    """Whose something is; ``repository`` is "" if a URL names the owner alone."""

    owner: str
    repository: str = ""

    @property
    def name(self) -> str:
        """Such as ``octo/hello``, or the owner alone."""
        return f"{self.owner}/{self.repository}" if self.repository else self.owner

    def is_named(self, name: str) -> bool:
        """Whether a name is this one: GitHub ignores the case of letters."""
        return name.lower() == self.name.lower()


class ReleaseFile(NamedTuple):
    """An asset, as a browser's URL names it.

    Attributes:
        of: whose release.
        tag: of the release, percent-encoded; "" for the latest one.
        name: of the file.
    """

    of: GithubName
    tag: str
    name: str


def is_tenant(host: str) -> bool:
    """Whether a host is of GitHub Enterprise Cloud with data residency: ``SUBDOMAIN.ghe.com``, or below that."""
    return host.endswith(_TENANTS)


def login_host(host: str) -> str:
    """Give the name under which gh keeps the login for a host: ``api.acme.ghe.com`` takes that of ``acme.ghe.com``."""
    if host in HOSTS or host.endswith(_PACKAGES):
        return PUBLIC
    first, _, rest = host.partition(".")
    return rest if first in PARTS and rest.count(".") > is_tenant(host) else host


def api_of(target: Target) -> str:
    """The root of the API of the GitHub that a target is on, without a slash at its end."""
    host = login_host(target.host)
    if host == PUBLIC or is_tenant(host):
        return f"{target.scheme}://api.{host}"
    port = "" if target.port is None else f":{target.port}"
    return f"{target.scheme}://{host}{port}/api/v3"


def roots_of(target: Target) -> tuple[str, ...]:
    """Before ``OWNER/REPOSITORY``: where what belongs to it is, on the GitHub of a target; the API first."""
    api, host = api_of(target), login_host(target.host)
    if host == PUBLIC:
        others: tuple[str, ...] = (PUBLIC, *HOSTS[2:4])
    elif is_tenant(host):
        others = (host, f"raw.{host}", f"codeload.{host}")
    else:
        name = api.partition("://")[2].removesuffix("/api/v3")
        isolated = () if _is_address(host) else (f"raw.{name}", f"codeload.{name}")
        others = (name, f"{name}/raw", f"{name}/codeload", *isolated)
    return (f"{api}/repos", *(f"{target.scheme}://{other}" for other in others))


def _is_address(host: str) -> bool:
    """Whether there can be no name below a host. Source: url.spec.whatwg.org, "ends in a number"."""
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


def release_file(target: Target) -> ReleaseFile | None:
    """Read a browser's URL; None for any other."""
    found = _DOWNLOAD.fullmatch(target.path)
    if found is None or target.form is not Form.URL or target.host.partition(".")[0] in PARTS:
        return None
    owner, repository, tag, name = found.groups(default="")
    return ReleaseFile(GithubName(owner, repository), tag, unquote(name))


def github_name(target: Target) -> GithubName | None:
    """Whose something is; None for a URL that does not say."""
    if target.form is not Form.URL:
        return None
    segments = target.path.split("/")[1:]
    if _by_api(target, segments):
        root, segments = (segments or [""])[0], segments[1:]
        if root not in {"repos", "orgs", "users"}:
            return None
        segments = segments if root == "repos" else segments[:1]
    elif _of_server(target.host) and segments[0] in _ON_ONE_HOST:
        segments = segments[1:]
    if not segments or not _names(segments[0]):
        return None
    repository = segments[1].removesuffix(".git") if len(segments) > 1 else ""
    return GithubName(segments[0], repository if _names(repository) else "")


def _by_api(target: Target, segments: list[str]) -> bool:
    """Whether the path begins with a word of the API's; what stands before that is taken off."""
    if target.host.startswith(("api.", "uploads.")):
        return True
    if _of_server(target.host) and tuple(segments[:2]) == _API:
        del segments[:2]
        return True
    return False


def _of_server(host: str) -> bool:
    return login_host(host) == host != PUBLIC and not is_tenant(host)


def _names(segment: str) -> bool:
    return _NAME.fullmatch(segment) is not None and segment not in {".", ".."}
