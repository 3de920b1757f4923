"""What is known about GitHub without I/O: its hosts, its headers, which token a path gets."""

import base64
import re
from pathlib import Path

import pytest

from credproxy.core.ask.credential import PlainSecret, RegistryToken, Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed
from credproxy.core.kinds.github import GithubHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.policy.routing import Router
from tests.contract import HOST, ProviderContract


PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "providers" / "github.md").read_text()
BEARER = {"Authorization": "Bearer t0"}
ASSET = {**BEARER, "Accept": "application/octet-stream"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"t0:").decode()}


def dressed(uri: str, stored: Stored = PlainSecret(Secret("t0"))) -> dict[str, str]:  # noqa: B008  frozen
    """What is sent to a URL."""
    rule = GithubHost("x.test")
    headers = rule.dress(stored, "gh:github.com", width=rule.width(parse_uri(uri)))
    return {name: values[0].reveal() for name, values in headers}


@pytest.mark.parametrize(
    ("uri", "headers"),
    [
        ("https://github.com/o/r/archive/refs/tags/v1.tar.gz", BEARER),
        ("https://github.com/o/r/releases/download/v1/a.zip", BEARER),
        ("https://codeload.github.com/o/r/zip/refs/heads/main", BEARER),
        ("https://uploads.github.com/repos/o/r/releases/1/assets?name=a", BEARER),
        ("https://api.github.com/repos/o/r/tarball/v1", BEARER),
        ("https://api.github.com/repos/o/r/releases/assets/12", ASSET),
        ("https://api.acme.ghe.com/repos/o/r/releases/assets/12", ASSET),
        ("https://ghe.corp.test/api/v3/repos/o/r/releases/assets/12", ASSET),
        ("https://api.github.com/api/v3/repos/o/r/releases/assets/12", BEARER),
        ("https://github.com/repos/o/r/releases/assets/12", BEARER),
        ("https://api.github.com/repos/o/r/releases/assets", BEARER),
        ("https://api.github.com/repos/o/r/releases/assets/12/x", BEARER),
        ("https://raw.githubusercontent.com/o/r/main/f", BASIC),
        ("https://raw.ghe.corp.test/o/r/main/f", BASIC),
    ],
)
def test_each_place_gets_the_token_in_its_own_dress(uri: str, headers: dict[str, str]) -> None:
    """The content of an asset needs an ``Accept``; the host of raw files wants Basic."""
    assert dressed(uri) == headers


def test_of_a_login_the_password_is_the_token_and_docker_has_none() -> None:
    """Netrc and git keep a user name beside it, which says nothing."""
    assert dressed("https://github.com/o", UserPassword("x-access-token", Secret("t0"))) == BEARER
    with pytest.raises(Failed) as caught:
        dressed("https://github.com/o", RegistryToken(Secret("canary")))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("https://codeload.github.com/o/r/zip/main?token=AAAA", "the URL carries a token of its own"),
        ("https://raw.githubusercontent.com/o/r/main/f?a=1&token=AAAA", "the URL carries a token of its own"),
        ("https://api.github.com/repos/o/r?access_token=AAAA", "the URL carries a token of its own"),
        ("https://raw.githubusercontent.com/o/r/main/f?jwt=AAAA", "the URL carries a token of its own"),
        ("https://github.com/o/r?X-Amz-Signature=0", "the URL carries its own signature"),
        ("https://containers.acme.ghe.com/v2/o/r/manifests/1", "the container registry"),
        ("https://github.com/o/r?tokens=1", ""),
        ("https://github.com/o/r?a=token", ""),
    ],
)
def test_what_carries_its_authorisation_gets_nothing(uri: str, reason: str) -> None:
    """A second one would be answered with 400, and the reason quotes no query."""
    told = GithubHost("github.com").withheld(parse_uri(uri))
    assert told.startswith(reason)
    assert bool(told) is bool(reason)
    assert "AAAA" not in told


def test_explain_says_what_a_403_may_mean() -> None:
    """A user with a 403 looks there; no answer has been seen yet."""
    rule = GithubHost("github.com")
    told = rule.about(rule.width(parse_uri("https://github.com/o/r/archive/v1.zip")))
    assert "https://github.com/orgs/OWNER/sso, then gh auth refresh" in told["if_403"]


OWNER = ["github.com/my-org"]


@pytest.mark.parametrize(
    ("matches", "uri", "winner"),
    [
        (OWNER, "https://github.com/my-org/r/archive/v1.zip", "github.com/my-org"),
        (OWNER, "https://api.github.com/repos/my-org/r/releases/assets/1", "github.com/my-org"),
        (OWNER, "https://raw.githubusercontent.com/my-org/r/main/f", "github.com/my-org"),
        (OWNER, "https://codeload.github.com/my-org/r/zip/main", "github.com/my-org"),
        (OWNER, "https://uploads.github.com/repos/my-org/r/releases/1/assets", "github.com/my-org"),
        (OWNER, "https://api.github.com/repos/my-organ/r", "api.github.com"),
        (OWNER, "https://github.com/My-Org/r/archive/v1.zip", "github.com/my-org"),
        (OWNER, "https://API.github.com/repos/MY-ORG/r", "github.com/my-org"),
        (OWNER, "https://api.github.com/orgs/my-org/packages", "github.com/my-org"),
        (OWNER, "https://api.github.com/users/My-org/packages", "github.com/my-org"),
        (["github.com/my-org/r"], "https://api.github.com/orgs/my-org/packages", "api.github.com"),
        (OWNER, "https://api.github.com/user", "api.github.com"),
        (OWNER, "https://github.com/other/my-org", "github.com"),
        (OWNER, "https://github.com.evil.test/my-org", None),
        (["GitHub.com/my-org/r/"], "https://api.github.com/repos/my-org/r/tarball", "GitHub.com/my-org/r/"),
        (["GitHub.com/my-org/r/"], "https://api.github.com/repos/my-org/q/tarball", "api.github.com"),
        (["github.com"], "https://api.github.com/user", "github.com"),
        (["github.com", "api.github.com/repos/my-org"], "https://api.github.com/repos/my-org/r", "api.github.com/repos/my-org"),
        (["acme.ghe.com/o"], "https://api.acme.ghe.com/repos/o/r", "acme.ghe.com/o"),
        (["acme.ghe.com/o"], "https://api.other.ghe.com/repos/o/r", "*.ghe.com"),
        (["ghe.corp.test/o"], "https://ghe.corp.test/api/v3/repos/o/r", "ghe.corp.test/o"),
        (["ghe.corp.test/o"], "https://ghe.corp.test/raw/o/r/main/f", "ghe.corp.test/o"),
        (["ghe.corp.test/o"], "https://ghe.corp.test/api/v3/repos/p/r", None),
        (["ghe.corp.test/o"], "https://api.ghe.corp.test/repos/o/r", None),
        (["api.github.com/repos/o"], "https://raw.githubusercontent.com/repos/o", "raw.githubusercontent.com"),
        (["*.corp.test"], "https://corp.test/o", None),
    ],
)  # a table  # fmt: skip
def test_a_rule_for_an_owner_answers_wherever_the_owners_files_are(
    matches: list[str], uri: str, winner: str | None
) -> None:
    """And nowhere else: another owner keeps the token of gh."""
    rule = Router([GithubHost(match) for match in matches], GithubHost.builtin()).match(parse_uri(uri))
    assert (rule and rule.match) == winner


@pytest.mark.parametrize(
    ("uri", "login"),
    [
        ("https://raw.githubusercontent.com/o/r", "gh auth login --hostname github.com"),
        ("https://api.acme.ghe.com/o", "gh auth login --hostname acme.ghe.com"),
        ("https://ghe.corp.test:8443/o", "gh auth login --hostname ghe.corp.test"),
    ],
)
def test_how_a_person_logs_in(uri: str, login: str) -> None:
    """On the host by which gh knows it; if a rule names a source, into that."""
    assert GithubHost("x.test").setup(parse_uri(uri)) == login
    assert "gh auth" not in GithubHost("x.test", credentials=EnvSource("X")).setup(parse_uri(uri))


def test_the_page_has_the_command_and_every_built_in_host() -> None:
    """What ``explain`` says is documented there."""
    assert GithubHost("github.com").setup(parse_uri("github.com")) in PAGE
    for rule in GithubHost.builtin():
        assert f"`{rule.match}`" in PAGE
    assert re.search(r"explain` says so", PAGE)


CONTRACTS = {"github": ProviderContract(GithubHost(HOST), alike=f"https://{HOST}/o/r/archive/v1.zip")}
