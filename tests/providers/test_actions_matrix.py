"""T12: host x repository x operation x alias. Each cell says which server is asked for what, or that none is asked."""

import pytest

from credproxy.core.ask.target import Granted
from credproxy.core.ask.uri import check_canonical, parse_uri
from credproxy.core.config.parse import load
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.oci import OciHost
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.routing import Router
from tests.registry_world import World, world


D = "sha256:" + "a" * 64
READ, ALL = '["blob:read", "manifest:read"]', '["*"]'

RULES = f"""
[[actions.rule]]
action = "deny"
registry = "reg.test"
repository = "team/secret"
operations = ["*"]

[[actions.rule]]
action = "allow"
registry = "reg.test"
repository = "team/**"
operations = {READ}

[[actions.rule]]
action = "allow"
registry = "reg.test"
repository = "out/*"
operations = {ALL}
"""
POLICY = Policy(load(RULES, "rules").actions.rule, Router((OciHost(match="reg.test"),)))


def grants(uri: str) -> tuple[Granted, ...]:
    """What policy grants a build action. Raises Failed."""
    target = parse_uri(uri)
    check_canonical(uri, target)
    return POLICY.grants(target)


async def scope(w: World, uri: str) -> str | Code:
    """The scope that the token server was asked for, or the refusal before any request; "" for a path without a repository."""
    try:
        await w.ask(uri, grants=grants(uri))
    except Failed as error:
        assert w.requests == []
        return error.failure.code
    asked = [line.partition("scope=")[2] for line in w.requests if "/token" in line]
    assert asked or w.requests == []
    return " ".join(asked)


DENIED, BAD, NOTHING = Code.POLICY_DENIED, Code.BAD_REQUEST, ""


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"https://reg.test/v2/team/app/blobs/{D}", "repository:team/app:pull"),
        ("https://reg.test/v2/team/app/manifests/latest", "repository:team/app:pull"),
        ("https://reg.test/v2/team/app/tags/list", "repository:team/app:pull"),
        (f"https://reg.test/v2/team/app/referrers/{D}", "repository:team/app:pull"),
        (f"https://reg.test/v2/team/a/b/c/blobs/{D}", "repository:team/a/b/c:pull"),
        ("https://reg.test/v2/team/app/blobs/uploads/", DENIED),
        (f"https://reg.test/v2/team/secret/blobs/{D}", DENIED),
        (f"https://reg.test/v2/team/secrets/blobs/{D}", "repository:team/secrets:pull"),
        (f"https://reg.test/v2/other/blobs/{D}", DENIED),
        (f"https://reg.test/v2/team/blobs/{D}", "repository:team:pull"),
        (f"https://reg.test/v2/out/app/blobs/{D}", "repository:out/app:pull"),
        ("https://reg.test/v2/out/app/blobs/uploads/", "repository:out/app:pull,push"),
        (f"https://reg.test/v2/out/app/blobs/uploads/?mount={D}&from=team/app",
         "repository:out/app:pull,push&scope=repository:team/app:pull"),
        (f"https://reg.test/v2/out/app/blobs/uploads/?mount={D}&from=team/secret", DENIED),
        (f"https://reg.test/v2/out/a/b/blobs/{D}", DENIED),
        (f"https://evil.test/v2/team/app/blobs/{D}", DENIED),
        (f"https://reg.test:8443/v2/team/app/blobs/{D}", DENIED),
        (f"https://reg.test.evil.test/v2/team/app/blobs/{D}", DENIED),
        (f"https://REG.test/v2/team/app/blobs/{D}", BAD),
        (f"https://reg.test:443/v2/team/app/blobs/{D}", BAD),
        (f"https://reg.test./v2/team/app/blobs/{D}", BAD),
        (f"https://u@reg.test/v2/team/app/blobs/{D}", BAD),
        (f"https://reg.test/v2/team/app/../secret/blobs/{D}", NOTHING),
        (f"https://reg.test/v2/team/app/%2e%2e/secret/blobs/{D}", NOTHING),
        (f"https://reg.test/v2/team%2Fsecret/blobs/{D}", NOTHING),
        (f"https://reg.test/v2/team//secret/blobs/{D}", NOTHING),
        (f"https://reg.test/v2/team/app/manifests/../../secret/blobs/{D}", NOTHING),
    ],
)  # a table  # fmt: skip
async def test_actions_matrix(uri: str, expected: str | Code) -> None:
    """T12, T14, F14: the scope is computed from rule and URI alone; a refusal sends nothing."""
    async with world() as w:
        assert await scope(w, uri) == expected
