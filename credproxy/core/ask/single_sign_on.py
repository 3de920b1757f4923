"""GitHub's answer to a token that is good but not authorised for the single sign-on of its organisation.

::

    403
    X-GitHub-SSO: required; url=https://github.com/orgs/octo-org/sso?authorization_request=AZSCKtL4...

The query is for the token's owner only, so it is left out: the page asks for the rest itself. Source:
docs.github.com/rest, "Troubleshooting the REST API"; drogers0/gh-image issue 17, mcanouil/quarto-wizard pull 323.
"""

import re
from http import HTTPStatus
from typing import Final, NamedTuple

from credproxy.core.ask.github_urls import HOSTS, PUBLIC, is_tenant, login_host
from credproxy.core.ask.target import Target


REMEDY: Final = "gh auth refresh; for a personal access token: Configure SSO at https://github.com/settings/tokens"
"""What follows when the page has been opened."""

_REQUIRED = re.compile(
    r"required; *url=https://([a-z0-9.-]+)/((?:orgs|enterprises)/([A-Za-z0-9_-]{1,100})/sso)(?:\?.*)?"
)


class SingleSignOn(NamedTuple):
    """Who wants it, and the page that begins it."""

    name: str
    page: str


def single_sign_on(target: Target, status: int, *, headers: tuple[tuple[str, str], ...]) -> SingleSignOn | None:
    """Read an answer; None for every other one, and for one that leads elsewhere than to the GitHub that was asked."""
    if status != HTTPStatus.FORBIDDEN or not (target.host in HOSTS or is_tenant(target.host)):
        return None
    told = next((value for name, value in headers if name.lower() == "x-github-sso"), "")
    found = _REQUIRED.fullmatch(told)
    if found is None or found[1] not in {PUBLIC, login_host(target.host)}:
        return None
    return SingleSignOn(found[3], f"https://{found[1]}/{found[2]}")
