"""What GitHub says about a token that is not authorised for an organisation's single sign-on."""

import pytest

from credproxy.core.ask.single_sign_on import SingleSignOn, single_sign_on
from credproxy.core.ask.uri import parse_uri


ASSET = "https://api.github.com/repos/octo-org/hello/releases/assets/1"
QUERY = "?authorization_request=canary"
PAGE = "https://github.com/orgs/octo-org/sso"


@pytest.mark.parametrize(
    ("url", "told", "found"),
    [
        (ASSET, f"required; url={PAGE}{QUERY}", SingleSignOn("octo-org", PAGE)),
        (ASSET, f"required;url={PAGE}", SingleSignOn("octo-org", PAGE)),
        (
            "https://raw.githubusercontent.com/octo-org/hello/main/f",
            "required; url=https://github.com/enterprises/octo/sso",
            SingleSignOn("octo", "https://github.com/enterprises/octo/sso"),
        ),
        (
            "https://api.acme.ghe.com/repos/o/r",
            "required; url=https://acme.ghe.com/orgs/o/sso",
            SingleSignOn("o", "https://acme.ghe.com/orgs/o/sso"),
        ),
        (ASSET, "partial-results; organizations=21955855,20582480", None),
        (ASSET, "required; url=https://github.com.evil.test/orgs/octo-org/sso", None),
        (ASSET, "required; url=https://evil.ghe.com/orgs/octo-org/sso", None),
        (ASSET, f"required; url=https://github.com/login?to={PAGE}", None),
        (ASSET, f"required; url={PAGE}\x1b[1m", None),
        (ASSET, "", None),
        ("https://files.test/a", f"required; url={PAGE}", None),
    ],
)
def test_which_organisation_requires_it_and_where_to_authorise(url: str, told: str, found: SingleSignOn | None) -> None:
    """Never with the query, and never a page on another host."""
    assert single_sign_on(parse_uri(url), 403, headers=(("X-GitHub-SSO", told),)) == found


def test_any_other_status_is_something_else() -> None:
    """A 200 has the header if results are partial."""
    assert single_sign_on(parse_uri(ASSET), 401, headers=(("x-github-sso", f"required; url={PAGE}"),)) is None
    assert single_sign_on(parse_uri(ASSET), 403, headers=()) is None
