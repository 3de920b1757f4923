"""What a question means for one registry, as a table: rule and question, and what to obtain with which login."""

from dataclasses import replace

import pytest

from credproxy.core.ask.credential import Caller, Identity
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Granted, Object, Question, Repository
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.oci import BareHost, OciHost
from credproxy.exchange.plan import ANONYMOUS, Purpose, RegistryRule


MANIFEST = "https://reg.test/v2/team/app/manifests/1"
UPLOAD = "https://reg.test/v2/team/app/blobs/uploads/"
MOUNT = f"{UPLOAD}?mount=sha256:{'a' * 64}&from=base/os"
CATALOG = "https://reg.test/v2/_catalog"
LOGIN = Identity("docker-config", "reg.test", (1, 2, 3))

PULL, PUSH = "repository:team/app:pull", "repository:team/app:pull,push"
ALLOWED: tuple[Granted, ...] = (
    Repository(RepositoryName("team/app"), ("pull", "push")),
    Repository(RepositoryName("base/os"), ("pull",)),
)

PLAIN = OciHost(match="reg.test")
BARE = OciHost(match="reg.test", bare_host=BareHost(("repository:a:pull", "aws"), 100.0))
SINGLE = OciHost(match="reg.test", single_scope=True)


def question(uri: str, grants: tuple[Granted, ...] | None = None, *, for_gateway: bool = False) -> Question:
    """A question: of a build action if there are grants, of the gateway if it is carried."""
    return Question(parse_uri(uri), Caller("helper" if grants is None else "actions"), grants, for_gateway=for_gateway)


def purpose(uri: str, settings: OciHost = PLAIN, grants: tuple[Granted, ...] | None = None, **how: bool) -> Purpose:
    """What a question is for; it must be for something."""
    found = RegistryRule(settings, exact=True).purpose(question(uri, grants, **how))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("settings", "uri", "repository", "scopes", "kind"),
    [
        pytest.param(PLAIN, MANIFEST, "team/app", (PULL,), "manifest", id="a manifest is pulled"),
        pytest.param(PLAIN, UPLOAD, "team/app", (PUSH,), "upload", id="an upload is pushed"),
        pytest.param(
            PLAIN, MOUNT, "team/app", (PUSH, "repository:base/os:pull"), "upload", id="a mount pulls its source"
        ),
        pytest.param(SINGLE, MOUNT, "team/app", (PUSH,), "upload", id="one scope, the primary one"),
        pytest.param(
            OciHost(match="reg.test", actions={"team/*": ("pull", "delete")}),
            MANIFEST,
            "team/app",
            ("repository:team/app:pull,delete",),
            "manifest",
            id="the rule's actions",
        ),
        pytest.param(
            OciHost(match="reg.test", allow_catalog=True),
            CATALOG,
            None,
            ("registry:catalog:*",),
            "catalog",
            id="the catalog where it is allowed",
        ),
        pytest.param(
            OciHost(match="reg.test", path_prefix="/docker"),
            "https://reg.test/docker/v2/team/app/manifests/1",
            "team/app",
            (PULL,),
            "manifest",
            id="behind a prefix",
        ),
        pytest.param(BARE, "reg.test", None, ("repository:a:pull", "aws"), "bare host", id="bare host, a list"),
    ],
)
def test_what_a_question_of_the_helper_socket_is_for(
    settings: OciHost, uri: str, repository: str | None, scopes: tuple[str, ...], kind: str
) -> None:
    """The scopes are of the URI and the rule, in canonical form."""
    found = purpose(uri, settings)
    assert (found.repository, found.scopes, found.kind) == (repository, scopes, kind)
    assert (found.exchanged, found.narrow, found.for_gateway) == (True, False, False)


@pytest.mark.parametrize(
    ("settings", "uri", "reason"),
    [
        pytest.param(PLAIN, "https://reg.test/service/Pkg.Service", "not part of a registry's API", id="another path"),
        pytest.param(PLAIN, CATALOG, "catalog", id="the catalog"),
        pytest.param(PLAIN, "grpc://reg.test:443/S", "no URI of this form", id="a literal"),
        pytest.param(OciHost(match="reg.test", bare_host="none"), "reg.test", 'bare_host = "none"', id="bare, none"),
        pytest.param(
            OciHost(match="reg.test", bare_host=BareHost(("a:b:c", "d:e:f")), single_scope=True),
            "reg.test",
            "single_scope",
            id="bare, a list and one scope",
        ),
        pytest.param(
            OciHost(match="reg.test", actions={"team/*": ()}), MANIFEST, "actions name nothing", id="no actions"
        ),
        pytest.param(PLAIN, "https://auth.docker.io/token", "token server", id="a token server"),
    ],
)
def test_what_gets_nothing_and_why(settings: OciHost, uri: str, reason: str) -> None:
    """The same code decides both: a caller that gets nothing is told why."""
    rule = RegistryRule(settings, exact=True)
    assert rule.purpose(question(uri)) is None
    told = rule.reason(parse_uri(uri))
    assert told is not None
    assert reason in told


@pytest.mark.parametrize("uri", [MANIFEST, "reg.test"])
def test_where_only_a_login_is_missing_there_is_no_other_reason(uri: str) -> None:
    """Then the source says where it looked."""
    assert RegistryRule(PLAIN, exact=True).reason(parse_uri(uri)) is None


def test_a_mount_from_what_may_not_be_pulled_is_refused() -> None:
    """TX-22: with any reason that a token server finds, the blob would be readable."""
    settings = OciHost(match="reg.test", actions={"base/*": ("push",), "**": ("pull",)})
    with pytest.raises(Failed) as caught:
        RegistryRule(settings, exact=True).purpose(question(MOUNT))
    assert caught.value.failure.code is Code.POLICY_DENIED


def test_a_bare_host_is_for_the_login_itself() -> None:
    """SC-18: its client exchanges it, and an anonymous one cannot replace it."""
    found = purpose("reg.test")
    assert (found.scopes, found.exchanged, found.mounted) == ((), False, ())
    rule = RegistryRule(OciHost(match="reg.test", anonymous="pull"), exact=True)
    assert rule.choose_login(found, None) is None
    assert rule.choose_login(found, LOGIN) is LOGIN


@pytest.mark.parametrize(
    ("uri", "for_gateway", "repository", "kind", "life"),
    [
        (MANIFEST, False, "team/app", "build action", 0.0),
        ("reg.test", False, None, "bare host, build action", 240.0),
        (MANIFEST, True, "team/app", "gateway", 0.0),
    ],
)
def test_a_build_action_is_for_what_policy_granted(
    uri: str,
    for_gateway: bool,  # noqa: FBT001  a table
    repository: str | None,
    kind: str,
    life: float,
) -> None:
    """Not what the rule's ``actions`` would add; only what the gateway carries need not be narrow."""
    wide = OciHost(match="reg.test", actions={"**": ("*",)})
    found = purpose(uri, wide, ALLOWED, for_gateway=for_gateway)
    assert found.scopes == (PUSH, "repository:base/os:pull")
    assert (found.repository, found.kind, found.min_lifetime) == (repository, kind, life)
    assert (found.narrow, found.for_gateway) == (not for_gateway, for_gateway)


def test_an_object_is_nothing_of_a_registry_s() -> None:
    """Its tokens are for repositories; objects among the grants change nothing."""
    rule, stored = RegistryRule(PLAIN, exact=True), Object("https://reg.test/x", ("GET",))
    assert rule.purpose(question("https://reg.test/x", (stored,))) is None
    assert purpose(MANIFEST, PLAIN, (stored, *ALLOWED)) == purpose(MANIFEST, PLAIN, ALLOWED)


@pytest.mark.parametrize(
    ("anonymous", "last", "for_gateway", "expected"),
    [
        (None, True, False, None),
        ("pull", True, False, ANONYMOUS),
        (None, True, True, ANONYMOUS),
        (None, False, True, None),
        ("pull", False, True, ANONYMOUS),
    ],
)
def test_whose_login_it_is(anonymous: str | None, last: bool, for_gateway: bool, expected: Identity | None) -> None:  # noqa: FBT001  a table
    """Without one nothing is obtained, unless the rule allows that, or the gateway carries it and no rule is left to ask."""
    settings = OciHost(match="reg.test", anonymous="pull" if anonymous else None)
    rule = RegistryRule(settings, exact=True, last=last)
    found = replace(purpose(MANIFEST), for_gateway=for_gateway)
    assert rule.choose_login(found, None) is expected
    assert rule.choose_login(found, LOGIN) is LOGIN


@pytest.mark.parametrize(
    ("match", "anonymous", "expected"),
    [("reg.test", False, True), ("reg.test", True, False), ("", False, False)],
)
def test_a_rule_that_names_a_registry_needs_its_login(match: str, anonymous: bool, expected: bool) -> None:  # noqa: FBT001  a table
    """P-12: a broken source is then an error, and not an answer without a credential."""
    settings = OciHost(match=match, anonymous="pull" if anonymous else None)
    assert RegistryRule(settings, exact=True).needs_login is expected


def test_the_key_separates_what_must_not_be_shared() -> None:
    """Another registry, login, version of it, scope or least lifetime: another key; equal questions: the same one."""
    first = purpose(MANIFEST)
    assert first.key(LOGIN) == purpose("https://reg.test/v2/team/app/manifests/2").key(LOGIN)
    keys = {
        first.key(LOGIN),
        first.key(ANONYMOUS),
        first.key(replace(LOGIN, version=(1, 2, 4))),
        purpose("https://reg.test:444/v2/team/app/manifests/1").key(LOGIN),
        purpose(UPLOAD).key(LOGIN),
        purpose("https://reg.test/v2/team/other/manifests/1").key(LOGIN),
        replace(first, min_lifetime=1.0).key(LOGIN),
    }
    assert len(keys) == 7


@pytest.mark.parametrize(
    ("uri", "grants", "for_gateway", "origin"),
    [
        ("reg.test", None, False, "http://reg.test"),
        ("http://reg.test/v2/team/app/manifests/1", None, False, "http://reg.test"),
        (MANIFEST, ALLOWED, True, "http://reg.test"),
        (MANIFEST, ALLOWED, False, "https://reg.test"),
    ],
)
def test_plain_http_is_spoken_where_the_rule_says_so(
    uri: str,
    grants: tuple[Granted, ...] | None,
    for_gateway: bool,  # noqa: FBT001  a table
    origin: str,
) -> None:
    """A client's URI has a scheme; a bare host and the gateway have none."""
    insecure = OciHost(match="reg.test", insecure=True)
    assert purpose(uri, insecure, grants, for_gateway=for_gateway).target.origin == origin


def test_docker_hub_is_reached_where_its_api_is() -> None:
    """TX-2: the name in its logins has no API; the key and the messages keep it."""
    settings = OciHost(match="docker.io", path_prefix="/v2", ca_bundle=None)
    found = purpose("docker.io", settings)
    rule = RegistryRule(settings, exact=False)
    assert (found.contact.origin, found.subject) == ("https://registry-1.docker.io", "registry 'docker.io'")
    reach = rule.reach(found)
    assert (reach.origin, reach.prefix, reach.dial.own) == ("https://registry-1.docker.io", "/v2", False)


def test_what_explain_shows() -> None:
    """Which login, for which scopes; a purpose never contains a secret."""
    assert purpose(MANIFEST).detail(LOGIN) == {
        "provider": "oci",
        "registry": "reg.test",
        "credential": "docker-config:reg.test",
        "kind": "manifest",
        "scopes": PULL,
    }
