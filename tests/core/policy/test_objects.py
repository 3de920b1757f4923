"""Patterns for URLs outside of a registry's API."""

from typing import Literal

import pytest

from credproxy.core.ask.endpoint import classify
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Object, Repository
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.parse import ConfigError, load
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.github import GithubHost
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.github_app import GithubAppSource
from credproxy.core.policy.objects import is_object, object_pattern
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.routing import Router
from credproxy.core.policy.rules import ActionRule


BUCKET = "https://bucket.s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("pattern", "url", "covered"),
    [
        ("/p/**", "/p/a/b", True),
        ("/p/**", "/p", True),
        ("/p/**", "/pq", False),
        ("/p/*", "/p/a", True),
        ("/p/*", "/p/a/b", False),
        ("/p/*.tar", "/p/a.tar", True),
        ("/p/a%20b", "/p/a%20b", True),
        ("/p/a", "/p/%61", True),
        ("/p/%61", "/p/a", True),
        ("/p/a%2Ab", "/p/a*b", True),
        ("/p/a%2Ab", "/p/a%2ab", True),
        ("/p/a%2Ab", "/p/axb", False),
        ("/p/a%3Fb", "/p/a%3fb", True),
        ("/p/a*b", "/p/a%2Ab", True),
        ("/p/a", "/p/%25%36%31", False),
        ("/p/a", "/p/A", False),
        ("/p/**", "/p/a?acl", False),
        ("/p/**?*", "/p/a?versionId=1", True),
        ("/p/**?*", "/p/a", True),
        ("/p/**", "/p/../q", False),
        ("/p/**", "/p/%2e%2e/q", False),
        ("/p/**", "/p/a%2Fb", False),
        ("/p/**", "/p//a", False),
        ("/p/**", "/p/a;x/../../q", False),
        ("/**", "/", False),
    ],
)
def test_what_a_pattern_covers(pattern: str, url: str, covered: bool) -> None:  # noqa: FBT001  parametrized
    """Whole segments; a query only if the rule says so; anything ambiguous never."""
    found = object_pattern(BUCKET + pattern)
    assert found is not None
    assert found.covers(parse_uri(BUCKET + url)) is covered


@pytest.mark.parametrize(
    "url", ["http://bucket.s3.eu-west-1.amazonaws.com/p/a", f"{BUCKET}:444/p/a", "https://x.test/p/a"]
)
def test_another_origin_is_another_place(url: str) -> None:
    """Scheme, host and port: a pattern for one origin does not match another."""
    found = object_pattern(f"{BUCKET}/p/**")
    assert found is not None
    assert not found.covers(parse_uri(url))


@pytest.mark.parametrize(
    "pattern",
    [
        "bucket/p", "https://*.amazonaws.com/p", "https://B.test/p", "https://b.test:443/p", "https://b.test",
        "https://b.test/", "https://b.test/a//b", "https://b.test/../b", "https://b.test/a?x=1", "https://b.test/a#b",
        "ftp://b.test/a", "https://u:p@b.test/a",
    ],
)  # a table  # fmt: skip
def test_invalid_patterns(pattern: str) -> None:
    """It names one origin, in canonical form, and a path."""
    assert object_pattern(pattern) is None
    with pytest.raises(ConfigError, match="is not a pattern of URLs"):
        load(f'[[actions.rule]]\naction = "allow"\nurl = "{pattern}"\n', "t.toml")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ('action = "allow"', "a rule names repositories or URLs"),
        ('action = "allow"\nregistry = "ghcr.io"', '"repository" is missing'),
        (f'action = "allow"\nurl = "{BUCKET}/p"\nregistry = "ghcr.io"', "a rule has one of the two"),
        (f'action = "allow"\nurl = "{BUCKET}/p"\nmethods = []', "wanted at least one"),
        (f'action = "allow"\nurl = "{BUCKET}/p"\nmethods = ["PUT"]', "methods"),
    ],
)
def test_a_rule_is_for_one_of_the_two(rule: str, problem: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ConfigError, match=r"t\.toml") as caught:
        load(f"[[actions.rule]]\n{rule}\n", "t.toml")
    assert any(problem in str(mistake) for mistake in caught.value.mistakes)


def test_the_first_rule_decides() -> None:
    """As for repositories, and the refusal says which one it was or what would allow it."""
    policy = Policy(
        (
            ActionRule("deny", url=f"{BUCKET}/p/secret/**"),
            ActionRule("allow", url=f"{BUCKET}/p/**", methods=("GET",)),
        ),
        Router(()),
    )
    assert policy.grants(parse_uri(f"{BUCKET}/p/a")) == (Object(f"{BUCKET}/p/a", ("GET",)),)
    policy.permit_object(parse_uri(f"{BUCKET}/p/a"), "GET")
    for url, method, message, hint in (
        ("/p/secret/a", "GET", "actions.rule[0] denies build actions GET of", "has to come before actions.rule[0]"),
        ("/q", "GET", "no rule allows build actions GET of", f"credproxy actions allow {BUCKET}/q"),
        ("/p/a", "HEAD", "no rule allows build actions HEAD of", f"credproxy actions allow {BUCKET}/p/a"),
        ("/q?canary", "GET", "no rule allows build actions GET of", f"credproxy actions allow '{BUCKET}/q?*'"),
    ):
        with pytest.raises(Failed) as caught:
            policy.permit_object(parse_uri(BUCKET + url), method)
        failure = caught.value.failure
        assert failure.code is Code.POLICY_DENIED
        assert failure.message.startswith(message)
        assert failure.hint.endswith(hint)
        assert "canary" not in str(failure)


@pytest.mark.parametrize(
    "url",
    [
        "/p/secret/a",
        "/p/s%65cret/a",
        "/%70/secret/%61",
        "/p/Secret/a",
        "/P/SECRET/a",
        "/p/S%45cret/a",
        "/p/secret;v=1/a",
        "/p;x/secret/a",
        "/p/secret/a?x-id=GetObject",
        "/p/secret/a?",
    ],
)
def test_what_is_denied_is_denied_in_every_spelling(url: str) -> None:
    """A server decodes, and may ignore case, parameters and a query; what is allowed has to be as the rule says."""
    policy = Policy(
        (
            ActionRule("deny", url=f"{BUCKET}/p/secret/**"),
            ActionRule("allow", url=f"{BUCKET}/**?*"),
        ),
        Router(()),
    )
    with pytest.raises(Failed, match=r"actions.rule\[0\] denies"):
        policy.permit_object(parse_uri(BUCKET + url), "GET")
    with pytest.raises(Failed, match=r"actions.rule\[0\] denies"):
        policy.grants(parse_uri(BUCKET + url))
    policy.permit_object(parse_uri(f"{BUCKET}/p/secrets/a"), "GET")


@pytest.mark.parametrize(
    ("rule", "registry", "denied"),
    [
        (OciHost("reg.test"), "reg.test", "https://reg.test"),
        (OciHost("reg.test:5000", insecure=True), "reg.test:5000", "http://reg.test:5000"),
        (OciHost("reg.test:5000", insecure=True), "reg.test:5000", "https://reg.test:5000"),
        (OciHost("docker.io"), "docker.io", "https://registry-1.docker.io"),
        (OciHost("reg.test", path_prefix="/artifactory/oci"), "reg.test", "https://reg.test/artifactory/oci"),
    ],
    ids=["as asked", "over plain http", "as if over TLS", "the same registry by another name", "behind a prefix"],
)
def test_a_url_that_is_denied_is_not_read_through_the_gateway(rule: OciHost, registry: str, denied: str) -> None:
    """Nor is a token given for its own; other requests are judged by the rule for the repository."""
    rules = (ActionRule("deny", url=f"{denied}/v2/app/blobs/**"), ActionRule("allow", registry, "app", ("*",)))
    made = Policy(rules, Router((rule,)))
    blob = f"/v2/app/blobs/sha256:{'a' * 64}"
    with pytest.raises(Failed, match=r"actions.rule\[0\] denies"):
        made.permit(Authority(registry), "GET", path=blob, endpoint=classify(blob, ""))
    with pytest.raises(Failed, match=r"actions.rule\[0\] denies"):
        made.grants(parse_uri(f"https://{registry}{rule.path_prefix or ''}{blob}"))
    for method, path in (("GET", "/v2/app/manifests/latest"), ("POST", "/v2/app/blobs/uploads/")):
        made.permit(Authority(registry), method, path=path, endpoint=classify(path, ""))


@pytest.mark.parametrize("url", [f"{BUCKET}/p//a", f"{BUCKET}/p/%2e%2e/a", f"{BUCKET}/", BUCKET])
def test_a_url_that_can_be_read_in_two_ways_is_a_mistake_of_its_client(url: str) -> None:
    """No rule would help, so none is suggested."""
    policy = Policy((ActionRule("allow", url=f"{BUCKET}/**"),), Router(()))
    with pytest.raises(Failed) as caught:
        policy.permit_object(parse_uri(url), "GET")
    assert caught.value.failure.code is Code.BAD_REQUEST


def test_an_unconfigured_object_gets_nothing_and_is_not_an_error() -> None:
    """An action asks about public URLs, too; if a login is configured, the refusal says what would allow it."""
    host = HeaderHost("files.test", EnvSource("X"))
    policy = Policy((), Router((host,)))
    assert policy.grants(parse_uri("https://public.test/a")) == ()
    with pytest.raises(Failed) as caught:
        policy.grants(parse_uri("https://files.test/a"))
    assert caught.value.failure.hint == "credproxy actions allow https://files.test/a"


def test_a_rule_for_urls_never_allows_a_repository_and_may_deny_it() -> None:
    """A token for a repository gives access to more than one URL."""
    blob = f"https://reg.test/v2/app/blobs/sha256:{'a' * 64}"
    router = Router((OciHost("reg.test"),))
    with pytest.raises(Failed):
        Policy((ActionRule("allow", url="https://reg.test/v2/**"),), router).grants(parse_uri(blob))
    repository = ActionRule("allow", "reg.test", "app", ("blob:read",))
    assert Policy((repository,), router).grants(parse_uri(blob)) == (Repository(RepositoryName("app"), ("pull",)),)
    denied = Policy((ActionRule("deny", url="https://reg.test/**"), repository), router)
    with pytest.raises(Failed, match=r"actions.rule\[0\] denies"):
        denied.grants(parse_uri(blob))


def test_a_wider_pattern_includes_a_narrower_one() -> None:
    """If that is hard to decide, it counts as not including: an extra rule does no harm."""
    wide, narrow, queries = (object_pattern(f"{BUCKET}/{path}") for path in ("p/**", "p/a/*", "p/a/*?*"))
    assert wide is not None
    assert narrow is not None
    assert queries is not None
    assert wide.include(narrow)
    assert not narrow.include(wide)
    assert not wide.include(queries)


def test_an_object_has_a_path() -> None:
    """A host alone is not an object, nor is a literal IP address."""
    assert is_object(parse_uri(f"{BUCKET}/a"))
    for raw in (BUCKET, "grpcs://cache.test/x", f"{BUCKET}/a//b"):
        assert not is_object(parse_uri(raw))


REPOSITORY = "https://api.github.com/repos/octo/hello"
FILE = f"{REPOSITORY}/contents/a"
APP = GithubHost("github.com", GithubAppSource(app="4711", key_file="/k"))


def url_rule(url: str, action: Literal["allow", "deny"] = "allow", *methods: Literal["GET", "HEAD"]) -> ActionRule:
    """One rule for URLs."""
    return ActionRule(action=action, url=url, methods=methods or ("GET", "HEAD"))


ALL = url_rule(f"{REPOSITORY}/**")


@pytest.mark.parametrize(
    ("rules", "wider"),
    [
        ((url_rule(FILE),), False),
        ((ALL,), True),
        ((url_rule("https://api.github.com/repos/octo/**"),), True),
        ((url_rule(f"{REPOSITORY}/contents/**"),), False),
        ((url_rule(f"{REPOSITORY}/**", "allow", "GET"),), False),
        ((url_rule("https://github.com/octo/hello/**"), url_rule(FILE)), False),
        ((url_rule(f"{REPOSITORY}/git/**", "deny"), ALL), False),
        ((url_rule("https://raw.githubusercontent.com/octo/hello/main/secret", "deny"), ALL), False),
        ((url_rule("https://github.com/Octo/*/archive/**", "deny"), ALL), False),
        ((url_rule("https://codeload.github.com/**", "deny"), ALL), False),
        ((url_rule("https://raw.githubusercontent.com/octo/world/**", "deny"), ALL), True),
        ((ALL, url_rule(f"{REPOSITORY}/git/**", "deny")), True),
    ],
)
def test_what_opens_more_than_its_url_is_given_where_rules_allow_all_of_that(
    rules: tuple[ActionRule, ...],
    wider: bool,  # noqa: FBT001  parametrized
) -> None:
    """And deny nothing of it, on any host that serves it: a token for a repository is not limited to paths."""
    made = Policy(rules, Router((APP,)))
    one = Object(FILE, ("GET",) if rules[0].methods == ("GET",) else ("GET", "HEAD"))
    more = (Object(f"{REPOSITORY}/**", ("GET", "HEAD")),) if wider else ()
    assert made.grants(parse_uri(FILE)) == (one, *more)
    assert made.opened(parse_uri(FILE)) == f"{REPOSITORY}/**"


@pytest.mark.parametrize(
    ("rule", "url"),
    [
        (GithubHost("github.com"), FILE),
        (APP, "https://raw.githubusercontent.com/octo/hello/main/a"),
        (APP, "https://api.github.com/orgs/octo"),
        (HeaderHost("api.github.com", EnvSource("X")), FILE),
    ],
    ids=["gh", "raw", "no-repository", "header"],
)
def test_what_cannot_be_narrowed_opens_nothing_of_a_build_actions(rule: HostRule, url: str) -> None:
    """A personal token reads everything; the host of raw files takes Basic, which actions never get."""
    made = Policy(
        (url_rule("https://api.github.com/**"), url_rule("https://raw.githubusercontent.com/**")), Router((rule,))
    )
    assert made.opened(parse_uri(url)) == ""
    assert made.grants(parse_uri(url)) == (Object(url, ("GET", "HEAD")),)
