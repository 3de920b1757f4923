"""Which rule answers: the most specific one, and none by accident."""

from collections.abc import Sequence

import pytest
from hypothesis import given, reject, strategies as st

from credproxy.core.ask.docker_hub import HUB
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.github import GithubHost
from credproxy.core.kinds.none import NoneHost
from credproxy.core.policy.routing import Router, is_exact


def winner(matches: Sequence[str], uri: str) -> str | None:
    """The match of the rule that answers."""
    rule = Router([NoneHost(match=match) for match in matches]).match(parse_uri(uri))
    return None if rule is None else rule.match


@pytest.mark.parametrize(
    ("matches", "uri", "expected"),
    [
        # docs/design/clients.md#how-bazel-picks-a-helper, but a wildcard does not match the bare suffix
        pytest.param(["*", "*.example.com", "example.com"], "https://example.com", "example.com", id="6.3-exact"),
        pytest.param(
            ["*", "*.example.com", "example.com"], "https://a.example.com", "*.example.com", id="6.3-wildcard"
        ),
        pytest.param(["*", "*.example.com"], "https://x.y.z.example.com", "*.example.com", id="6.3-deep-wildcard"),
        pytest.param(["*", "*.example.com", "example.com"], "https://other.org", "*", id="6.3-default"),
        pytest.param(["*.example.com"], "https://example.com", None, id="6.3-bare-suffix"),
        pytest.param(["*.example.com"], "https://notexample.com", None, id="6.3-no-dot"),
        pytest.param(["example.com"], "https://a.example.com", None, id="subdomain-of-an-exact-host"),
        pytest.param(["example.com"], "https://example.com.evil.test", None, id="host-as-a-prefix"),
        pytest.param(["*.example.com"], "https://a.example.com.evil.test", None, id="suffix-in-the-middle"),
        pytest.param([], "https://example.com", None, id="no-rules"),
        # tiers
        pytest.param(["r.test", "r.test:5000"], "https://r.test:5000/x", "r.test:5000", id="port-before-host"),
        pytest.param(["r.test", "r.test:5000"], "https://r.test/x", "r.test", id="host-without-port"),
        pytest.param(["r.test"], "https://r.test:5000/x", "r.test", id="host-covers-any-port"),
        pytest.param(["r.test:5000"], "https://r.test/x", None, id="port-covers-only-itself"),
        pytest.param(["r.test:5000"], "https://r.test:5001/x", None, id="another-port"),
        pytest.param(["r.test:443", "r.test"], "https://r.test/x", "r.test:443", id="default-port-spelled-out"),
        pytest.param(["r.test:443", "r.test"], "http://r.test/x", "r.test", id="default-port-of-the-other-scheme"),
        pytest.param(["r.test:443"], "r.test", "r.test:443", id="bare-host-means-https"),
        pytest.param(["*.b.test", "*.a.b.test"], "https://x.a.b.test", "*.a.b.test", id="longest-wildcard"),
        pytest.param(["*.b.test", "*.a.b.test"], "https://a.b.test", "*.b.test", id="bare-suffix-of-the-longer"),
        pytest.param(["*.b.test"], "https://x.b.test:8443/", "*.b.test", id="wildcard-covers-any-port"),
        pytest.param(["*"], "https://127.0.0.1:5000/x", "*", id="default-covers-addresses"),
        pytest.param(["[::1]:5000", "[0::1]"], "https://[::1]:5000/x", "[::1]:5000", id="ipv6-port"),
        pytest.param(["[0::1]"], "https://[::1]/x", "[0::1]", id="ipv6-canonical"),
        pytest.param(["R.Test."], "https://r.test/x", "R.Test.", id="match-is-canonicalised"),
        pytest.param(["*.Corp.Example."], "https://a.corp.example", "*.Corp.Example.", id="wildcard-canonicalised"),
        # paths
        pytest.param(["r.test", "r.test/v2/org"], "https://r.test/v2/org/a/tags/list", "r.test/v2/org", id="path"),
        pytest.param(["r.test", "r.test/v2/org"], "https://r.test/v2/org", "r.test/v2/org", id="path-itself"),
        pytest.param(["r.test", "r.test/v2/org/"], "https://r.test/v2/org/", "r.test/v2/org/", id="path-slash"),
        pytest.param(["r.test", "r.test/v2/org"], "https://r.test/v2/organ/x", "r.test", id="path-by-segments"),
        pytest.param(["r.test", "r.test/v2/org"], "https://r.test/v2", "r.test", id="path-shorter"),
        pytest.param(["r.test", "r.test/v2/org"], "r.test", "r.test", id="path-not-for-the-bare-host"),
        pytest.param(["r.test/a", "r.test/a/b"], "https://r.test/a/b/c", "r.test/a/b", id="longest-path"),
        pytest.param(["*.test/a/b", "r.test"], "https://r.test/a/b", "r.test", id="host-before-path"),
        pytest.param(["r.test/a", "*.test"], "https://r.test/b", "*.test", id="path-that-does-not-fit-steps-aside"),
        pytest.param(["*/v2", "r.test/a"], "https://r.test/v2/x", "*/v2", id="default-with-path"),
        pytest.param(["r.test", "r.test/v2/org"], "https://r.test/v2/%6Frg/x", "r.test/v2/org", id="path-escaped"),
        pytest.param(["r.test/a;b"], "https://r.test/a;b/c", "r.test/a;b", id="path-with-a-parameter"),
        # LITERAL
        pytest.param(["*"], "https://*.googleapis.com/", None, id="SC-6a-default-is-not-for-wildcards"),
        pytest.param(["*.com"], "https://*.googleapis.com/", None, id="SC-6a-wider-wildcard"),
        pytest.param(["*.googleapis.com"], "https://*.googleapis.com/", "*.googleapis.com", id="SC-6a-wildcard"),
        pytest.param(["*"], "https://%2Frun%2Fx.sock/S", None, id="SC-6a-default-is-not-for-sockets"),
        pytest.param(["%2Frun%2Fx.sock"], "https://%2Frun%2Fx.sock/S", "%2Frun%2Fx.sock", id="SC-6a-socket"),
        pytest.param(["%2Frun%2Fx.sock"], "https://%2Frun%2FX.sock/S", None, id="SC-6a-socket-case"),
        pytest.param(["%2Fx/S"], "https://%2Fx/S/M", "%2Fx/S", id="SC-6a-socket-with-path"),
        pytest.param(["*", "*.test"], "grpcs://r.test", None, id="SC-6a-grpcs-through-no-wildcard"),
        pytest.param(["r.test"], "grpcs://r.test:443", "r.test", id="SC-6a-grpcs"),
        pytest.param(["r.test:1985"], "grpc://r.test:1985/S", "r.test:1985", id="SC-6a-grpc"),
        pytest.param(["docker.io"], "grpcs://index.docker.io", None, id="SC-6a-grpcs-through-no-alias"),
        # Docker Hub
        pytest.param(["docker.io"], "https://docker.io/v2/", "docker.io", id="SC-13-docker.io"),
        pytest.param(["docker.io"], "https://index.docker.io/v2/", "docker.io", id="SC-13-index"),
        pytest.param(["docker.io", "*"], "https://registry-1.docker.io/v2/", "docker.io", id="SC-13-registry-1"),
        pytest.param(["docker.io", "index.docker.io"], "index.docker.io", "index.docker.io", id="SC-13-exact-alias"),
        pytest.param(["docker.io", "*.docker.io"], "index.docker.io", "docker.io", id="SC-13-alias-before-wildcard"),
        pytest.param(["docker.io"], "https://auth.docker.io/token", None, id="SC-13-not-the-token-server"),
        pytest.param(["docker.io"], "https://index.docker.io:8443/v2/", None, id="SC-13-not-another-port"),
        pytest.param(["index.docker.io"], "https://docker.io/v2/", None, id="SC-13-aliases-are-not-folded"),
    ],
)
def test_most_specific_rule_answers(matches: list[str], uri: str, expected: str | None) -> None:
    """Exact host with port, exact host, longest wildcard, default; then the longest path; order is nothing."""
    assert winner(matches, uri) == expected
    assert winner(list(reversed(matches)), uri) == expected


@pytest.mark.parametrize(
    ("uri", "answers"),
    [("grpc://b.test:1985/S", False), ("grpc://b.test", False), ("grpcs://b.test/S", True), ("https://b.test/S", True)],
)
def test_a_built_in_rule_answers_nothing_that_travels_in_the_clear(uri: str, answers: bool) -> None:  # noqa: FBT001  a table
    """SC-4: nobody has agreed to that; a user who writes a rule for such a URI has."""
    target, rule = parse_uri(uri), NoneHost("b.test")
    assert (Router([], [rule]).match(target) is rule) is answers
    assert Router([rule]).match(target) is rule


@pytest.mark.parametrize(
    "path",
    [
        "/v2/public/../private/x",
        "/v2/public/%2e%2e/private",
        "/v2/public/.%2E/private",
        "/v2//private/x",
        "/v2/./private/x",
        "/v2%2Fprivate/x",
        "/v2%5Cprivate/x",
        "/v2/private%00/x",
        "/v2/%2570rivate/x",
        "/v2/%c0%ae%c0%ae/private",
        "/v2/..;a/private",
        "/v2/;a/private",
    ],
)
def test_path_of_two_readings_gets_no_rule_where_paths_matter(path: str) -> None:
    """T14: Which rule applies must not depend on the parser; without path rules the provider decides."""
    assert winner(["r.test", "r.test/v2/private", "*"], f"https://r.test{path}") is None
    assert winner(["r.test"], f"https://r.test{path}") == "r.test"


@pytest.mark.parametrize(
    ("matches", "uri", "expected"),
    [
        (["github.com", "github.com/o"], "https://github.com/o/r/releases/download/cli%2Fv1/a", "github.com/o"),
        (["github.com", "github.com/o"], "https://github.com/p/r/releases/download/cli%2fv1/a", "github.com"),
        (["github.com", "github.com/o/r"], "https://github.com/o%2Fr/x", None),
        (["github.com", "github.com/o"], "https://github.com/p/r/x%2F..%2F..%2F..%2Fo/a", None),
        (["github.com", "github.com/o"], "https://github.com/p/r/x%2F%2Fa", None),
        (["github.com", "github.com/o"], "https://github.com/p/r/x%252Fa", None),
        (["github.com", "github.com/o"], "https://github.com/p/r/x%5Ca", None),
        (["gitlab.com", "gitlab.com/api/v4/projects/g"], "https://gitlab.com/api/v4/projects/g%2Fp/packages/x", "gitlab.com/api/v4/projects/g"),
        (["gitlab.com", "gitlab.com/api/v4/projects/g/p"], "https://gitlab.com/api/v4/projects/G%2Fp/packages/x", "gitlab.com/api/v4/projects/g/p"),
        (["gitlab.com", "gitlab.com/api/v4/projects/g"], "https://gitlab.com/api/v4/projects/h%2Fg/packages/x", "gitlab.com"),
        (["gitlab.com", "gitlab.com/api/v4/projects/g"], "https://gitlab.com/api/v4/projects/h%2F..%2Fg/packages/x", None),
        (["gitlab.com", "gitlab.com/api/v4/projects/g"], "https://gitlab.com/api%2Fv4/projects/g/packages/x", None),
        (["storage.googleapis.com/storage/v1/b/b/o/team"], "https://storage.googleapis.com/storage/v1/b/b/o/team%2Fa?alt=media", "storage.googleapis.com/storage/v1/b/b/o/team"),
        (["storage.googleapis.com", "storage.googleapis.com/b"], "https://storage.googleapis.com/storage/v1/b/c/o/a%2Fb", "storage.googleapis.com"),
        (["r.test", "r.test/api/v4/projects/g"], "https://r.test/api/v4/projects/g%2Fp/x", None),
    ],
)  # a table  # fmt: skip
def test_a_slash_in_a_name_is_two_readings_only_where_a_rule_looks(
    matches: list[str], uri: str, expected: str | None
) -> None:
    """Tags of releases have one, and GitLab's API wants a project written so: a rule for one owner must not take their login away."""
    assert winner(matches, uri) == expected


@pytest.mark.parametrize("path", ["/team-a;x/a", "/team-a;/a", "/v2/x;y/a"])
def test_parameters_in_a_segment_that_a_rule_is_about_are_two_readings(path: str) -> None:
    """Some servers take ``team-a;x`` for ``team-a``; behind what the rules are about they do no harm."""
    assert winner(["r.test", "r.test/team-a", "r.test/v2/x"], f"https://r.test{path}") is None
    assert winner(["r.test", "r.test/team-a"], "https://r.test/team-a/f;x") == "r.test/team-a"
    assert winner(["r.test", "r.test/team-a"], "https://r.test/f;x") == "r.test"


@pytest.mark.parametrize(
    ("matches", "uri", "expected"),
    [
        (["github.com", "github.com/Acme"], "https://github.com/acme/x", "github.com/Acme"),
        (["github.com", "github.com/acme"], "https://GITHUB.com/ACME/x", "github.com/acme"),
        (["github.com/acme", "github.com/Acme"], "https://github.com/Acme/x", "github.com/Acme"),
        (["github.com/acme", "github.com/ACME/r"], "https://github.com/Acme/R/x", "github.com/ACME/r"),
        (["github.com/acme"], "https://github.com/acme2", None),
        (["gitlab.com/api/v4/groups/Acme"], "https://gitlab.com/api/v4/groups/acme", "gitlab.com/api/v4/groups/Acme"),
        (["huggingface.co/Acme"], "https://huggingface.co/acme/m", "huggingface.co/Acme"),
        (["dev.azure.com/Acme"], "https://dev.azure.com/acme/p", "dev.azure.com/Acme"),
        (["acme.ghe.com/Org"], "https://acme.ghe.com/org/r", "acme.ghe.com/Org"),
        (["r.test/Acme"], "https://r.test/acme", None),
        (["storage.googleapis.com/b/Team"], "https://storage.googleapis.com/b/team/o", None),
    ],
)
def test_where_servers_ignore_the_case_of_a_path_rules_do(matches: list[str], uri: str, expected: str | None) -> None:
    """Whatever kind the rule is of: the owner's other spelling would get the login of everybody else."""
    assert winner(matches, uri) == expected


def test_a_kind_says_that_of_a_host_of_ones_own() -> None:
    """Then it holds for all rules for that host, and for no other host."""
    rules: list[HostRule] = [
        GithubHost("ghe.corp.test"),
        NoneHost("ghe.corp.test/Secret"),
        NoneHost("other.test/Secret"),
    ]
    router = Router(rules)
    assert router.match(parse_uri("https://ghe.corp.test/secret/r")) is rules[1]
    assert router.match(parse_uri("https://other.test/secret/r")) is None


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        ("", "names no host"),
        ("https://ghcr.io", "has a scheme"),
        ("u@ghcr.io", "names no host"),
        ("ghcr.io:0", "names no host"),
        ("ghcr.io:x", "names no host"),
        ("*.", "names no host"),
        ("*.*.com", "names no host"),
        ("*x.com", "names no host"),
        ("a.*.com", "names no host"),
        ("**", "names no host"),
        ("*:5000", "names no host"),
        ("*.corp.example:443", "names no host"),
        ("*.corp.example:5000", "names no host"),
        ("*.0.0.1", "names no host"),
        ("*.10.0.0.1", "names no host"),
        ("*.[::1]", "names no host"),
        ("127.1", "names no host"),
        ("ghcr.io ", "names no host"),
        ("bücher.example", "names no host"),
        ("/v2", "names no host"),
        ("ghcr.io?x", "names no host"),
        ("%2Frun:80", "names no host"),
        ("ghcr.io/a?b", "characters"),
        ("ghcr.io/a#b", "characters"),
        ("ghcr.io/a%2Fb", "characters"),
        ("ghcr.io//a", "characters"),
        ("ghcr.io/a b", "characters"),
        ("ghcr.io/a*", "characters"),
        ("ghcr.io/**", "characters"),
        ("ghcr.io/../a", "'..'"),
        ("ghcr.io/./a", "'.'"),
    ],
)
def test_bad_match_names_its_rule(match: str, problem: str) -> None:
    """The message leads to the entry and says what is wrong."""
    with pytest.raises(Failed) as caught:
        Router([NoneHost(match="r.test"), NoneHost(match=match)])
    failure = caught.value.failure
    assert failure.code is Code.CONFIG_INVALID
    assert failure.message.startswith(f"host[1]: the match {match!r} ")
    assert problem in failure.message
    assert failure.hint


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io", "GHCR.io."),
        ("ghcr.io/a", "ghcr.io/a/"),
        ("*", "*"),
        ("*/", "*"),
        ("*.a.test", "*.A.test"),
        ("[::1]", "[0::1]"),
        ("r.test:443", "R.test:443"),
    ],
)
def test_repeated_match_names_both_rules(first: str, second: str) -> None:
    """Neither would be more specific, so the choice would be arbitrary."""
    with pytest.raises(Failed) as caught:
        Router([NoneHost(match=first), NoneHost(match="x.test"), NoneHost(match=second)])
    assert caught.value.failure.code is Code.CONFIG_INVALID
    assert "host[2]" in caught.value.failure.message
    assert "host[0]" in caught.value.failure.message


@pytest.mark.parametrize(
    ("match", "exact"),
    [("reg.test", True), ("reg.test/v2", True), ("docker.io", True), ("*.test", False), ("*", False)],
)
def test_only_a_host_named_outright_is_exact(match: str, exact: bool) -> None:  # noqa: FBT001  a table
    """Then its own private addresses may be dialled (SEC-4)."""
    assert is_exact(NoneHost(match=match)) is exact


LABELS = st.sampled_from(["a", "b", "corp", "example", "notcorp", "x-corp", "com", "corpexample", "127", "_a"])
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join)


@given(HOSTS | st.text(alphabet="acorpexmle.-*%:@[]12", max_size=30), st.sampled_from(["", ":443", ":5000", "/x", "."]))
def test_no_host_gets_through_a_suffix_without_its_dot(host: str, rest: str) -> None:
    """Whatever parses and is answered by ``*.corp.example`` is a proper subdomain of it."""
    try:
        target = parse_uri(f"https://{host}{rest}")
    except Failed:
        reject()
    found = Router([NoneHost(match="*.corp.example")]).match(target)
    labels = target.host.split(".")
    assert (found is not None) == (labels[-2:] == ["corp", "example"] and len(labels) > 2)


def _naive(matches: list[str], host: str) -> str | None:
    """Every rule is tried and ranked: slow, and obviously right."""
    found = [
        (rank, match)
        for match in matches
        for rank in [
            1000
            if match == host
            else 999
            if match == "docker.io" and host in HUB
            else len(match)
            if match.startswith("*.") and host.endswith(match[1:])
            else 0
            if match == "*"
            else -1
        ]
        if rank >= 0
    ]
    return max(found)[1] if found else None


@given(
    st.lists(
        HOSTS | HOSTS.map("*.{}".format) | st.sampled_from(["*", "docker.io", "index.docker.io", "*.docker.io"]),
        max_size=8,
        unique=True,
    ),
    HOSTS | st.sampled_from(sorted(HUB)),
)
def test_router_agrees_with_trying_every_rule(matches: list[str], host: str) -> None:
    """The look-ups by suffix find what ranking all rules would find."""
    try:
        expected = winner(matches, f"https://{host}/x")
    except Failed:
        reject()
    assert expected == _naive(matches, host)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param([], "b.test", id="nobody-wrote-one"),
        pytest.param(["other.test"], "b.test", id="for-another-host"),
        pytest.param(["*"], "*", id="the-widest-one-that-somebody-wrote"),
        pytest.param(["*.test"], "*.test", id="a-wildcard"),
        pytest.param(["b.test/path"], "b.test", id="for-another-path"),
    ],
)
def test_a_built_in_rule_is_asked_after_every_written_one(written: Sequence[str], expected: str) -> None:
    """A written rule covered this host as well before there was a built-in one."""
    router = Router([NoneHost(match) for match in written], [NoneHost("b.test")])
    rule = router.match(parse_uri("https://b.test/x"))
    assert rule is not None
    assert rule.match == expected


def test_a_path_that_can_be_read_in_two_ways_reaches_no_built_in_rule() -> None:
    """The rule for the path may be there to keep its credential separate."""
    router = Router([NoneHost("b.test/secret")], [NoneHost("b.test")])
    assert router.match(parse_uri("https://b.test/x%2f..%2fsecret/y")) is None


class Forge(NoneHost, frozen=True):
    """A kind with a second host."""

    def matches(self) -> tuple[str, ...]:
        """Its own, and the same path on the other."""
        return (self.match, f"api.{self.host}/repos{self.match.removeprefix(self.host)}")


def test_what_belongs_to_a_rule_is_answered_by_it() -> None:
    """Whole segments there as well, and without a claim on the rest of that host."""
    router = Router([Forge("f.test/org"), Forge("f.test")])
    found = {
        uri: router.match(parse_uri(f"https://{uri}"))
        for uri in ("f.test/org/a", "api.f.test/repos/org/a", "api.f.test/repos/o")
    }
    assert [rule and rule.match for rule in found.values()] == ["f.test/org", "f.test/org", "f.test"]
    assert router.match(parse_uri("https://api.f.test/user")) is None
    assert Router([Forge("f.test/org")]).match(parse_uri("https://api.f.test/repos/organ")) is None


def test_a_rule_that_names_a_place_takes_precedence_over_one_that_it_belongs_to() -> None:
    """In any order."""
    rules = [Forge("f.test/org"), NoneHost("API.f.test/repos/org")]
    for order in (rules, rules[::-1]):
        rule = Router(order).match(parse_uri("https://api.f.test/repos/org/x"))
        assert rule is rules[1]
