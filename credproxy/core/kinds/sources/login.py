"""``source = "login"``: what ``credproxy login`` and ``docker-credential-credproxy store`` have stored."""

import re
from collections.abc import Iterator
from typing import ClassVar, Final
from urllib.parse import unquote

from credproxy.core.ask.docker_hub import login_name
from credproxy.core.ask.github_urls import HOSTS, is_tenant, login_host
from credproxy.core.ask.target import Target
from credproxy.core.ask.urls import leads_elsewhere
from credproxy.core.formats.checks import Problem
from credproxy.core.formats.git_credential import repository_path
from credproxy.core.formats.login_file import login_key
from credproxy.core.formats.toml_types import PublicText
from credproxy.core.kinds.sources import hf
from credproxy.core.kinds.sources.base import SourceBase


_OF_GITLAB: Final = re.compile(r"/api/v4/(?:projects|groups)/([^/]*[^/0-9][^/]*)")
"""A project or a group in GitLab's API, by its path; one that is a number says nothing of its owner."""


class LoginSource(SourceBase, frozen=True, tag_field="source", tag="login"):
    """The login that ``credproxy login HOST`` stored for the host, in whichever place ``login_store`` chose.

    Attributes:
        host: whose login it is, where one login serves several hosts; None for the host that is asked about.
    """

    rewritable: ClassVar[bool] = True

    host: PublicText | None = None

    def problems(self) -> Iterator[Problem]:
        """A name under which no login can be stored."""
        if self.host is not None and login_key(self.host) is None:
            yield ("host",), "wanted a host, host:port, or either with a path"

    @property
    def key(self) -> str | None:
        """The canonical name of that host; None for the host that is asked about."""
        return None if self.host is None else login_key(self.host)


def shared_name(authority: str) -> str:
    """The name under which the login for a host is stored.

    Docker Hub's names share one, and so do the hosts of one GitHub, and the names of Hugging Face's Hub.
    """
    if authority in hf.HOSTS:
        return hf.HOSTS[0]
    return login_host(authority) if _of_github(authority) else login_name(authority)


def shared_path(target: Target) -> str:
    """The path below that name by which a login is found: the owner's, wherever what the owner has is served."""
    if leads_elsewhere(target.path):
        return target.path
    if target.authority in hf.HOSTS:
        return hf.owned(target.path)
    if (named := _OF_GITLAB.match(target.path)) is not None:
        return unquote(named[1])
    return (repository_path(target) if _of_github(target.authority) else "") or target.path


def ignores_case(authority: str) -> bool:
    """Whether a host ignores the case of the paths that its logins are for."""
    return authority in {*hf.HOSTS, "gitlab.com"} or _of_github(authority)


def _of_github(authority: str) -> bool:
    return authority in HOSTS or is_tenant(authority)
