"""``source = "login"``: what ``credproxy login`` and ``docker-credential-credproxy store`` have stored."""

from typing import ClassVar

from credproxy.core.ask.github_urls import HOSTS, is_tenant, login_host
from credproxy.core.formats.login_file import login_name
from credproxy.core.kinds.sources import hf
from credproxy.core.kinds.sources.base import SourceBase


class LoginSource(SourceBase, frozen=True, tag_field="source", tag="login"):
    """The login for the host that ``credproxy login HOST`` stored, wherever ``login_store`` had it put."""

    rewritable: ClassVar[bool] = True


def shared_name(authority: str) -> str:
    """The name under which the login for a host is stored.

    Docker Hub's names share one, and so do the hosts of one GitHub, and the names of Hugging Face's Hub.
    """
    if authority in hf.HOSTS:
        return hf.HOSTS[0]
    shares = authority in HOSTS or is_tenant(authority)
    return login_host(authority) if shares else login_name(authority)
