"""What build actions may have: ordered rules, default deny, decided on the canonical registry and repository."""

import pytest

from credproxy.core.ask.endpoint import classify
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Granted
from credproxy.core.ask.uri import check_canonical, parse_uri
from credproxy.core.config.parse import ConfigError, load
from credproxy.core.errors import Code, Failed
from credproxy.core.policy.action_rules import Decision
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.routing import Router


DIGEST = "sha256:" + "a" * 64
EVERYTHING = '["*"]'
READ = '["blob:read", "manifest:read"]'


def rule(
    repository: str, operations: str = READ, action: str = "allow", registry: str = "ghcr.io", more: str = ""
) -> str:
    """One rule of the configuration."""
    return (
        f'[[actions.rule]]\naction = "{action}"\nregistry = "{registry}"\n'
        f'repository = "{repository}"\noperations = {operations}\n{more}\n'
    )


def policy(*rules: str) -> Policy:
    """The policy of a file."""
    settings = load("\n".join(rules), "t.toml")
    return Policy(settings.actions.rule, Router(settings.host))


def granted(made: Policy, uri: str) -> tuple[Granted, ...] | Code:
    """What a URI gets, or the code of its refusal."""
    try:
        target = parse_uri(uri)
        check_canonical(uri, target)
        return made.grants(target)
    except Failed as error:
        return error.failure.code


def test_without_a_rule_nothing_is_allowed_and_the_refusal_is_the_remedy() -> None:
    """Deny by default, and say what to type."""
    with pytest.raises(Failed) as caught:
        policy().grants(parse_uri(f"https://ghcr.io/v2/org/app/blobs/{DIGEST}"))
    assert caught.value.failure.code is Code.POLICY_DENIED
    assert caught.value.failure.hint == "credproxy actions allow 'ghcr.io/org/app'"


def test_the_first_rule_that_matches_decides() -> None:
    """A deny before an allow wins, after it loses; a refusal names the rule."""
    made = policy(rule("org/secret", EVERYTHING, "deny"), rule("org/*"), rule("org/app", EVERYTHING, "deny"))
    assert made.rules.decide(Authority("ghcr.io"), RepositoryName("org/secret"), operation="blob:read") == Decision(
        False, 0
    )
    assert made.rules.decide(Authority("ghcr.io"), RepositoryName("org/app"), operation="blob:read") == Decision(
        True, 1
    )
    assert made.rules.decide(Authority("ghcr.io"), RepositoryName("org/app"), operation="blob:write") == Decision(
        False, 2
    )
    assert made.rules.decide(Authority("ghcr.io"), RepositoryName("org/sub/app"), operation="blob:read") == Decision(
        False, None
    )
    with pytest.raises(Failed, match=r"actions\.rule\[0\] denies") as caught:
        made.grants(parse_uri(f"https://ghcr.io/v2/org/secret/blobs/{DIGEST}"))
    assert caught.value.failure.hint == (
        "the first rule that matches decides: one that allows it has to come before actions.rule[0]"
    )


@pytest.mark.parametrize(
    ("registry", "uri", "allowed"),
    [
        ("ghcr.io", "https://ghcr.io", True),
        ("ghcr.io", "https://ghcr.io:8443", False),
        ("ghcr.io", "https://ghcr.io.evil.test", False),
        ("ghcr.io", "https://xghcr.io", False),
        ("GHCR.io:443", "https://ghcr.io", True),
        ("*.corp.example", "https://a.b.corp.example", True),
        ("*.corp.example", "https://corp.example", False),
        ("*.corp.example", "https://evilcorp.example", False),
        ("docker.io", "https://registry-1.docker.io", True),
        ("index.docker.io", "https://docker.io", True),
        ("docker.io", "https://hub.docker.io.evil.test", False),
    ],
)
def test_registries(registry: str, uri: str, *, allowed: bool) -> None:
    """Exactly, by suffix, or as another name of Docker Hub."""
    found = granted(policy(rule("**", registry=registry)), f"{uri}/v2/org/app/blobs/{DIGEST}")
    assert found == ((("org/app", ("pull",)),) if allowed else Code.POLICY_DENIED)


@pytest.mark.parametrize(
    ("operations", "path", "wanted"),
    [
        ('["blob:read"]', f"blobs/{DIGEST}", ("pull",)),
        ('["blob:read"]', "manifests/latest", Code.POLICY_DENIED),
        ('["blob:read"]', "tags/list", Code.POLICY_DENIED),
        ('["manifest:read"]', "manifests/latest", ("pull",)),
        ('["manifest:read"]', f"referrers/{DIGEST}", ("pull",)),
        ('["manifest:read"]', f"blobs/{DIGEST}", Code.POLICY_DENIED),
        (READ, "blobs/uploads/", Code.POLICY_DENIED),
        ('["blob:read", "blob:write"]', "blobs/uploads/", Code.USE_GATEWAY),
        (EVERYTHING, "blobs/uploads/", ("pull", "push")),
        (EVERYTHING, "manifests/latest", ("pull", "push")),
        (EVERYTHING, f"blobs/{DIGEST}", ("pull",)),
    ],
)
def test_operations(operations: str, path: str, wanted: object) -> None:
    """A token is as narrow as registries can make it; if that is wider than the rules, none is given."""
    found = granted(policy(rule("org/**", operations)), f"https://ghcr.io/v2/org/app/{path}")
    assert found == ((("org/app", wanted),) if isinstance(wanted, tuple) else wanted)


def test_a_mount_needs_its_source_to_be_readable() -> None:
    """Otherwise an action could read by mounting (TX-22)."""
    uri = f"https://ghcr.io/v2/org/app/blobs/uploads/?mount={DIGEST}&from="
    made = policy(rule("org/app", EVERYTHING), rule("org/base"))
    assert granted(made, uri + "org/base") == (("org/app", ("pull", "push")), ("org/base", ("pull",)))
    assert granted(made, uri + "org/other") is Code.POLICY_DENIED


def permitted(made: Policy, method: str, path: str, query: str = "", registry: str = "ghcr.io") -> Code | None:
    """What the gateway would be told about one request: the code of its refusal, or None."""
    try:
        made.permit(Authority(registry), method, path=path, endpoint=classify(path, query))
    except Failed as error:
        return error.failure.code
    return None


BLOB = f"/v2/org/app/blobs/{DIGEST}"
MANIFEST = "/v2/org/app/manifests/latest"
TAGS = "/v2/org/app/tags/list"
REFERRERS = f"/v2/org/app/referrers/{DIGEST}"
UPLOAD = "/v2/org/app/blobs/uploads/"
REQUESTS = [
    *((method, path) for method in ("GET", "HEAD", "PUT", "DELETE") for path in (BLOB, MANIFEST)),
    *((method, path) for method in ("GET", "HEAD") for path in (TAGS, REFERRERS)),
    ("POST", UPLOAD),
]


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        ("blob:read", [("GET", BLOB), ("HEAD", BLOB)]),
        ("blob:write", [("HEAD", BLOB), ("PUT", BLOB), ("DELETE", BLOB), ("POST", UPLOAD)]),
        (
            "manifest:read",
            [
                ("GET", MANIFEST),
                ("HEAD", MANIFEST),
                *((method, path) for method in ("GET", "HEAD") for path in (TAGS, REFERRERS)),
            ],
        ),
        ("manifest:write", [("HEAD", MANIFEST), ("PUT", MANIFEST), ("DELETE", MANIFEST)]),
        ("*", REQUESTS),
    ],
)
def test_a_rule_allows_the_requests_of_its_operations_alone(operation: str, allowed: list[tuple[str, str]]) -> None:
    """Every other request is refused, and so is all of it for another repository."""
    made = policy(rule("org/app", f'["{operation}"]'))
    outcomes = {request: permitted(made, *request) for request in REQUESTS}
    assert outcomes == {request: None if request in allowed else Code.POLICY_DENIED for request in REQUESTS}
    for method, path in REQUESTS:
        assert permitted(made, method, path.replace("/app/", "/other/")) is Code.POLICY_DENIED


def test_what_names_no_repository_is_never_let_through() -> None:
    """The gateway answers ``/v2/`` itself; nothing else without a repository is for an action."""
    made = policy(rule("**", EVERYTHING))
    for path in ("/v2/", "/v2/_catalog", "/v2/org/app/nothing/x", "/v2/org/../app/manifests/x", "/token"):
        assert permitted(made, "GET", path) is Code.NOT_FOUND
    assert permitted(made, "DELETE", "/v2/org/app/tags/list") is Code.METHOD_NOT_ALLOWED


def test_the_gateway_mounts_only_what_may_be_read() -> None:
    """TX-22: rules_img ``policy_test.go``, TestServeHTTPCrossRepoMount; an ambiguous query is not an endpoint at all."""
    made = policy(rule("dest/**", EVERYTHING), rule("readable/**", '["blob:read"]'))
    upload = "/v2/dest/app/blobs/uploads/"
    for query, refused in (
        (f"mount={DIGEST}&from=readable/base", None),
        (f"mount={DIGEST}&from=secret/base", Code.POLICY_DENIED),
        ("", None),
        (f"mount={DIGEST}", None),
        (f"mount={DIGEST}&from=BAD", Code.NOT_FOUND),
        (f"mount={DIGEST}&from=readable/base;evil", Code.NOT_FOUND),
        (f"mount={DIGEST}&from=readable/base&from=secret/base", Code.NOT_FOUND),
    ):
        assert permitted(made, "POST", upload, query) is refused


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("pattern", ["library/*", "ubuntu", "*", "**"])
def test_docker_hubs_short_names(registry: str, pattern: str) -> None:
    """SC-12: ``ubuntu`` is ``library/ubuntu`` in rules and in what they decide about; a scope has the path's own name."""
    made = policy(rule(pattern, registry="docker.io"))
    assert made.rules.decide(Authority(registry), RepositoryName("ubuntu"), operation="blob:read").allowed
    assert made.rules.decide(Authority(registry), RepositoryName("library/ubuntu"), operation="blob:read").allowed
    assert made.rules.decide(Authority(registry), RepositoryName("org/ubuntu"), operation="blob:read").allowed is (
        pattern == "**"
    )
    assert granted(made, f"https://{registry}/v2/ubuntu/blobs/{DIGEST}") == (("ubuntu", ("pull",)),)
    denied_first = policy(rule("library/ubuntu", EVERYTHING, "deny", registry), rule("**", registry="docker.io"))
    assert granted(denied_first, f"https://{registry}/v2/ubuntu/blobs/{DIGEST}") is Code.POLICY_DENIED


@pytest.mark.parametrize(
    "path",
    [
        f"org/../secret/blobs/{DIGEST}",
        f"org/%2e%2e/secret/blobs/{DIGEST}",
        f"org/%252e%252e/secret/blobs/{DIGEST}",
        f"org//app/blobs/{DIGEST}",
        f"org%2Fapp/blobs/{DIGEST}",
        f"Org/app/blobs/{DIGEST}",
        f"org/app;x/blobs/{DIGEST}",
        "org/app/blobs/uploads/blobs/sha256:aa",
        "_catalog",
        "",
    ],
)
def test_a_path_that_is_not_a_single_repository_gets_nothing(path: str) -> None:
    """Whatever a registry would make of it: no rule is asked, no token is given."""
    found = granted(policy(rule("**", EVERYTHING, registry="ghcr.io")), f"https://ghcr.io/v2/{path}")
    assert found == () or isinstance(found, Code)


@pytest.mark.parametrize(
    "uri",
    [
        f"https://GHCR.io/v2/org/app/blobs/{DIGEST}",
        f"https://ghcr.io:443/v2/org/app/blobs/{DIGEST}",
        f"https://ghcr.io./v2/org/app/blobs/{DIGEST}",
        f"HTTPS://ghcr.io/v2/org/app/blobs/{DIGEST}",
        f"https://ghcr.io/v2/org/app/blobs/{DIGEST}#x",
        f"https://u:p@ghcr.io/v2/org/app/blobs/{DIGEST}",
        f"https://ghcr.io\\@evil/v2/org/app/blobs/{DIGEST}",
        f"https://ghcr.io/v2/org/app/blobs/{DIGEST}\x00",
    ],
)
def test_what_is_not_canonical_is_refused(uri: str) -> None:
    """The helper socket canonicalises, the actions socket refuses."""
    assert granted(policy(rule("**")), uri) is Code.BAD_REQUEST


@pytest.mark.parametrize("uri", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/"])
def test_a_bare_host_gets_the_scopes_that_a_rule_lists(uri: str) -> None:
    """And nothing if none does."""
    scopes = 'bare_host_scopes = ["repository:org/app:pull", "repository:org/base:pull"]'
    assert granted(policy(rule("org/*", more=scopes)), uri) == (("org/app", ("pull",)), ("org/base", ("pull",)))
    assert granted(policy(rule("org/*")), uri) == ()
    assert granted(policy(), uri) == ()


def test_bare_host_scopes_stay_within_the_rules() -> None:
    """A scope cannot bypass a rule."""
    wide = 'bare_host_scopes = ["repository:other/app:pull"]'
    push = 'bare_host_scopes = ["repository:org/app:pull,push"]'
    assert granted(policy(rule("org/*", more=wide)), "ghcr.io") is Code.POLICY_DENIED
    assert granted(policy(rule("org/*", more=push)), "ghcr.io") is Code.POLICY_DENIED
    denied_first = (rule("org/app", EVERYTHING, "deny"), rule("org/*", EVERYTHING, more=push))
    assert granted(policy(*denied_first), "ghcr.io") is Code.POLICY_DENIED


def test_path_prefix_is_taken_off() -> None:
    """The decision is about the registry's repository, without the prefix."""
    host = '[[host]]\nmatch = "ghcr.io"\nprovider = "oci"\npath_prefix = "/art/api/docker/x"\n'
    made = policy(rule("org/*"), host)
    assert granted(made, f"https://ghcr.io/art/api/docker/x/v2/org/app/blobs/{DIGEST}") == (("org/app", ("pull",)),)
    assert granted(made, f"https://ghcr.io/v2/org/app/blobs/{DIGEST}") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (rule("org/*", "[]"), 'actions.rule[0].operations: "operations" is missing or empty'),
        (rule("org/*", '["read"]'), "'read' is not one of"),
        (rule("org/*", action="maybe"), "'maybe' is not one of"),
        (rule("", READ), 'actions.rule[0].repository: "repository" is missing or empty'),
        (rule("Org/*", READ), "actions.rule[0].repository: 'Org/*' matches no repository"),
        (rule("../x/*", READ), "actions.rule[0].repository: '../x/*' matches no repository"),
        (rule("org//x", READ), "actions.rule[0].repository: 'org//x' matches no repository"),
        (rule("/org/**", READ), "actions.rule[0].repository: '/org/**' matches no repository"),
        (rule("org/", READ), "actions.rule[0].repository: 'org/' matches no repository"),
        (rule("org/*", registry="https://ghcr.io"), "actions.rule[0].registry: 'https://ghcr.io' is not a registry"),
        (rule("org/*", registry="*"), "actions.rule[0].registry: '*' is not a registry"),
        (rule("org/*", more='bare_host_scopes = ["aws"]'), "actions.rule[0].bare_host_scopes: 'aws' is not a scope"),
        (rule("org/*", more='bare_host_scopes = ["repository:a:pull,delete"]'), "is not a scope"),
        (rule("org/*", more='operation = ["blob:read"]'), "did you mean 'operations'?"),
        ("[actions]\npolicy = 1", "actions.policy: there is no such key; did you mean 'policy_file'?"),
        ('[actions]\npolicy_file = "p.yaml"', "t.toml:2: actions.policy_file: wanted an absolute path"),
        (
            '[actions]\npolicy_file = "/p.yaml"\n' + rule("org/*"),
            "t.toml:2: actions.policy_file: there are rules here as well; leave one of the two out",
        ),
        (rule("org/*") * 4097, "actions.rule[4096]: more than 4096 rules"),
    ],
)
def test_mistakes_have_their_line_and_what_was_wanted(text: str, problem: str) -> None:
    """An empty list, an unknown word, a pattern that can match nothing."""
    with pytest.raises(ConfigError) as caught:
        load(text, "t.toml")
    assert problem in str(caught.value.mistakes[0])
    assert caught.value.mistakes[0].line > 0
