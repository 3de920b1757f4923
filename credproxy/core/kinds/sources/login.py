"""``source = "login"``: what ``credproxy login`` and ``docker-credential-credproxy store`` have stored."""

from credproxy.core.kinds.sources.base import SourceBase


class LoginSource(SourceBase, frozen=True, tag_field="source", tag="login"):
    """The login for the host that ``credproxy login HOST`` stored, wherever ``login_store`` had it put."""
