"""``provider = "gitlab"``: packages, archives and files of GitLab, each token in the header where it belongs.

Which path takes which token is read from GitLab's own source, lib/gitlab/auth/auth_finders.rb: everything below ``/api/``
takes all of them; ``/-/archive/`` and the downloads of a release take those of people, but no job or deploy token;
``/-/raw/`` takes none. The registry of containers is a registry: ``provider = "oci"``.
"""

import re
from collections.abc import Mapping
from shlex import quote as shell
from typing import ClassVar, Final, Literal, Self
from urllib.parse import quote

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place, unreadable, usable
from credproxy.core.ask.target import Form, Target
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.git import GitSource
from credproxy.core.kinds.sources.glab import JOB_USER, OAUTH_USER, GlabSource
from credproxy.core.kinds.sources.login import LoginSource


_SERVICE: Final = "gitlab.com"

Header = Literal["PRIVATE-TOKEN", "JOB-TOKEN", "DEPLOY-TOKEN", "Authorization"]

_PREFIXES: Final[Mapping[str, Header]] = {
    "glpat-": "PRIVATE-TOKEN",
    "gldt-": "DEPLOY-TOKEN",
    "glcbt-": "JOB-TOKEN",
}
_OTHERS: Final = {
    "gloas-": "the secret of an OAuth application",
    "glrt-": "a runner's token",
    "glptt-": "a pipeline trigger's token",
    "glft-": "a feed's token",
    "glimt-": "the token of incoming mail",
    "glagent-": "an agent's token",
    "glsoat-": "a SCIM token",
}
_DEPLOY_USERS = ("gitlab+deploy-token-", "gitlab-deploy-token")
_OAUTH_TOKEN = re.compile(r"[0-9a-f]{64}")
_IN_QUERY = ("private_token=", "access_token=", "job_token=", "token=")
_PYPI_USERS: Final[Mapping[Header, str]] = {
    "PRIVATE-TOKEN": "__token__",
    "DEPLOY-TOKEN": "gitlab-deploy-token",
    "JOB-TOKEN": JOB_USER,
}

_API, _PYPI, _WEB = "api", "pypi", "web"


class GitlabHost(DressedHost, frozen=True, tag_field="provider", tag="gitlab"):
    """GitLab: packages, archives, files. ``header`` is for a token whose prefix does not tell its kind."""

    ignores_case: ClassVar[bool] = True
    encoded_below: ClassVar[tuple[str, ...]] = ("/api/v4/projects/", "/api/v4/groups/")
    calls: ClassVar[str] = "token"
    lacks: ClassVar[str] = "token"
    empty: ClassVar[str] = "holds no token"
    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    remedy: ClassVar[str] = "store a token of GitLab's there that has the scope read_api"
    unsent: ClassVar[str] = "GitLab accepts job and deploy tokens at its API, but not at this path"
    login_example: ClassVar[str] = "credproxy login gitlab.com"
    login_refused: ClassVar[frozenset[int]] = frozenset({401})

    credentials: Sources = (LoginSource(), GlabSource(), GitSource())
    header: Header | None = None

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """GitLab's own service; other GitLab hosts cannot be recognised."""
        return (cls(_SERVICE),)

    def matches(self) -> tuple[str, ...]:
        """A group's or a project's API, too, where the rule is for one: GitLab's own service is at no path."""
        host, _, path = self.match.partition("/")
        path = path.strip("/")
        if host.lower() != _SERVICE or not path or path.partition("/")[0] == "api":
            return (self.match,)
        return (self.match, *(f"{host}/api/v4/{kind}/{path}" for kind in ("projects", "groups")))

    def setup(self, target: Target) -> str:
        """Log in with GitLab's own program, unless the rule names another place."""
        if not any(isinstance(source, GlabSource) for _, source in self.secrets()):
            return another_place("credentials")
        return f"glab auth login --hostname {shell(target.authority)}"

    def withheld(self, target: Target) -> str:
        """URLs that carry their own token, and paths that take none."""
        if target.form is not Form.URL:
            return "GitLab takes a token for the URL of a file or a package, not for a bare host"
        query = f"&{target.query.lower()}"
        if any(f"&{name}" in query for name in _IN_QUERY):
            return "the URL carries a token of its own"
        if is_signed(target):
            return REASON
        return "" if self._area(target) else _instead(self._path(target))

    def login_page(self, target: Target) -> str:
        """The page that tells whose token it is. A token without the scope for it gets a 403."""
        return f"{target.origin}{self._prefix}/api/v4/user"

    def width(self, target: Target) -> Width:
        """What sort of path it is."""
        return (self._area(target) or "",)

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """In the header of its type, if the path takes that type."""
        usable(stored, name, hint=self.remedy)
        user, token = _token(stored, name, self.remedy)
        header = self.header or _header(user, token, name)
        if width == (_WEB,) and header in {"JOB-TOKEN", "DEPLOY-TOKEN"}:
            return ()
        if header == "Authorization":
            return ((header, (Secret(f"Bearer {token.reveal()}"),)),)
        if width == (_PYPI,):
            return (("Authorization", (basic(UserPassword(_PYPI_USERS[header], token)),)),)
        return ((header, (token,)),)

    def about(self, width: Width) -> Mapping[str, str]:
        """Which tokens the path takes."""
        return {"takes": "personal, project, group and OAuth tokens" if width == (_WEB,) else "every token"}

    def _path(self, target: Target) -> str:
        """The path below the rule's: GitLab may be served below a path of its host."""
        return target.path.removeprefix(self._prefix)

    @property
    def _prefix(self) -> str:
        host, _, path = self.match.partition("/")
        return "" if host.lower() == _SERVICE else f"/{path}".rstrip("/")

    def _area(self, target: Target) -> str | None:
        path = self._path(target)
        if path.startswith("/api/"):
            return _PYPI if "/packages/pypi/" in path else _API
        released = "/-/releases/" in path and "/downloads/" in path
        return _WEB if released or "/-/archive/" in path else None


def _token(stored: Stored, name: str, remedy: str) -> tuple[str, Secret]:
    match stored:
        case UserPassword(user, token):
            return user, token
        case PlainSecret(token):
            return "", token
        case _:
            raise unreadable(name, "is docker's token for a registry, not one of GitLab's", hint=remedy)


def _header(user: str, token: Secret, name: str) -> Header:
    """Where a token belongs: its prefix decides, then the user name that GitLab gives such tokens."""
    value = token.reveal()
    for prefix, what in _OTHERS.items():
        if value.startswith(prefix):
            raise unreadable(name, f"is {what}, which reads neither packages nor files", hint=GitlabHost.remedy)
    for prefix, header in _PREFIXES.items():
        if value.startswith(prefix):
            return header
    if user == JOB_USER:
        return "JOB-TOKEN"
    if user.startswith(_DEPLOY_USERS):
        return "DEPLOY-TOKEN"
    return "Authorization" if user == OAUTH_USER or _OAUTH_TOKEN.fullmatch(value) else "PRIVATE-TOKEN"


def _instead(path: str) -> str:
    """Why a path gets nothing, and which one gets something."""
    if path.startswith("/v2/"):
        return 'the container registry gets its token by a rule of its own: provider = "oci"'
    project, _, below = path.partition("/-/")
    api = f"/api/v4/projects/{quote(project.strip('/'), safe='%')}"
    if below.startswith("raw/"):
        return f"GitLab takes no token at /-/raw/: ask for {api}/repository/files/FILE/raw?ref=REF"
    if below.startswith("jobs/"):
        return f"GitLab takes no token at /-/jobs/: ask for {api}/jobs/JOB/artifacts"
    return "GitLab takes a token at /api/, at /-/archive/ and for the downloads of a release, and at no other path"
