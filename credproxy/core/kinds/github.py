"""``provider = "github"``: releases, archives and files of GitHub, and its API.

One token serves all hosts of a GitHub, in three dresses: Bearer, Basic at the host of raw files, and with an ``Accept`` of its
own for the content of a release asset. Source: docs.github.com/rest, "Authenticating to the REST API" and "Get a release asset".
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Self
from urllib.parse import parse_qsl

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.github_urls import (
    HOSTS,
    PARTS,
    PUBLIC,
    api_of,
    github_name,
    is_tenant,
    login_host,
    release_file,
    roots_of,
)
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.single_sign_on import REMEDY
from credproxy.core.ask.stored import another_place, unreadable, usable
from credproxy.core.ask.target import Target
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.gh import GhSource
from credproxy.core.kinds.sources.git import GitSource
from credproxy.core.kinds.sources.login import LoginSource


_ASSET = re.compile(r"(/api/v3)?/repos/[^/]+/[^/]+/releases/assets/[0-9]+")
_OWNER = 2
"""Segments of a path that say whose something is: the owner, and the repository."""

_TOKENS = frozenset({"token", "access_token", "jwt"})
"""Parameters with which a URL of GitHub's opens what it names by itself."""

_RAW = "raw"
_ASSET_DRESS = "asset"
_DOWNLOAD_DRESS = "download"


class GithubHost(DressedHost, frozen=True, tag_field="provider", tag="github"):
    """GitHub: releases, archives, files and its API. A rule for an owner answers wherever the owner's files are served."""

    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    ignores_case: ClassVar[bool] = True
    calls: ClassVar[str] = "token"
    lacks: ClassVar[str] = "token"
    empty: ClassVar[str] = "holds no token"
    remedy: ClassVar[str] = "log in again with gh auth login, or store a token of GitHub's there"
    login_example: ClassVar[str] = "credproxy login github.com"
    login_refused: ClassVar[frozenset[int]] = frozenset({401})

    credentials: Sources = (LoginSource(), GhSource(), GitSource())

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """GitHub's own hosts, and those of tenants with a domain of their own; a rule answers only if there is a login."""
        return tuple(cls(host) for host in (*HOSTS, "*.ghe.com"))

    def matches(self) -> tuple[str, ...]:
        """Where the same owner's files are, too."""
        return (self.match, *self._elsewhere())

    def setup(self, target: Target) -> str:
        """Log in with GitHub's own program, unless the rule names another place."""
        if not any(isinstance(source, GhSource) for _, source in self.secrets()):
            return another_place("credentials")
        return f"gh auth login --hostname {login_host(target.host)}"

    def withheld(self, target: Target) -> str:
        """Why a signed URL and a tenant's registry get nothing."""
        if is_signed(target):
            return REASON
        if any(name in _TOKENS for name, _ in parse_qsl(target.query, keep_blank_values=True)):
            return "the URL carries a token of its own"
        if is_tenant(target.host) and target.host.startswith("containers."):
            return 'the container registry gets its token by a rule of its own: provider = "oci"'
        return ""

    def opens(self, target: Target) -> tuple[str, ...]:
        """All of a repository, if a source limits tokens to one: GitHub has nothing narrower.

        Nothing at the host of raw files, because a build action is never given Basic.
        """
        place, narrows = github_name(target), any(source.narrows for _, source in self.secrets())
        if place is None or not place.repository or not narrows or self.width(target) == (_RAW,):
            return ()
        return tuple(f"{root}/{place.name}/**" for root in roots_of(target))

    def release_api(self, target: Target) -> str:
        """GitHub takes no token at a browser's URL of an asset; its API takes one."""
        return "" if target.query or release_file(target) is None else api_of(target)

    def login_page(self, target: Target) -> str:
        """The page that tells whose token it is. An installation token of an App is nobody's, and gets a 403 there."""
        host = login_host(target.host)
        if target.port is None and (host == PUBLIC or is_tenant(host)):
            return f"https://api.{host}/user"
        return f"{target.origin}/api/v3/user"

    def width(self, target: Target) -> Width:
        """Which dress."""
        if target.host.startswith("raw."):
            return (_RAW,)
        asset = _ASSET.fullmatch(target.path)
        if asset is not None and bool(asset[1]) is not target.host.startswith("api."):
            return (_ASSET_DRESS,)
        return (_DOWNLOAD_DRESS,) if release_file(target) is not None else ("",)

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """A token, whatever name is stored with it."""
        usable(stored, name, hint=self.remedy)
        if not isinstance(stored, PlainSecret | UserPassword):
            raise unreadable(name, "is docker's token for a registry, and not one of GitHub's", hint=self.remedy)
        token = stored.value if isinstance(stored, PlainSecret) else stored.password
        if width == (_RAW,):
            return (("Authorization", (basic(UserPassword(token.reveal(), Secret(""))),)),)
        bearer = ("Authorization", (Secret(f"Bearer {token.reveal()}"),))
        return (bearer, ("Accept", (Secret("application/octet-stream"),))) if width == (_ASSET_DRESS,) else (bearer,)

    def about(self, width: Width) -> Mapping[str, str]:
        """What a 403 may mean, and what to write instead where a private repository's file cannot be had."""
        if width != (_DOWNLOAD_DRESS,):
            page = "https://github.com/orgs/OWNER/sso"
            return {"if_403": f"an organisation with single sign-on may not know the token: open {page}, then {REMEDY}"}
        instead = "https://api.github.com/repos/OWNER/REPOSITORY/releases/assets/ID"
        return {
            "private": f"GitHub takes no token at this URL; for a private repository write {instead}, "
            "which the gateway does for build actions"
        }

    def _elsewhere(self) -> Iterator[str]:
        host, _, path = self.match.partition("/")
        host, path = host.lower(), path.rstrip("/")
        if host.startswith("*") or path.count("/") >= _OWNER or login_host(host) != host:
            return
        if host != PUBLIC and not is_tenant(host):
            if path:  # an Enterprise server has all on one host, unless it isolates subdomains
                parts = ("api/v3/repos", "raw", "codeload", *(() if "/" in path else ("api/v3/orgs", "api/v3/users")))
                yield from (f"{host}/{part}/{path}" for part in parts)
            return
        api, raw, codeload, uploads = HOSTS[1:] if host == PUBLIC else (f"{part}.{host}" for part in PARTS)
        for other, below in ((api, "/repos"), (raw, ""), (codeload, ""), (uploads, "/repos")):
            yield f"{other}{below}/{path}" if path else other
        if path and "/" not in path:
            yield from (f"{api}/{below}/{path}" for below in ("orgs", "users"))
