"""The same registry, asked on the actions socket: narrowed tokens or nothing (SC-20, SEC-16)."""

import pytest

from credproxy.core.ask.credential import RegistryToken, Secret, UserPassword
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Granted, Repository
from credproxy.core.errors import Code
from credproxy.core.kinds.oci import BareHost, OciHost
from tests.registry_world import Answer, ok, world


BLOB = "https://reg.test/v2/app/blobs/sha256:" + "a" * 64
PULL: tuple[Granted, ...] = (Repository(RepositoryName("app"), ("pull",)),)


async def test_a_cached_push_token_is_not_given_to_a_caller_that_may_only_pull() -> None:
    """SEC-16: another key, another request, another token."""
    async with world(OciHost(match="reg.test", actions={"app": ("pull", "push")})) as w:
        w.script(token=[w.granted("push-token"), w.granted("pull-token")])
        assert await w.ask(BLOB) == ok("push-token", 270)
        assert await w.ask(BLOB, grants=PULL) == ok("pull-token", 270)
        assert [line for line in w.requests if "/token" in line][1].endswith("scope=repository:app:pull")


async def test_the_same_scope_is_another_key_on_the_other_socket() -> None:
    """SEC-16: the origin socket is part of every key."""
    async with world() as w:
        w.script(token=[w.granted("one"), w.granted("two")])
        assert await w.ask(BLOB) == ok("one", 270)
        assert await w.ask(BLOB, grants=PULL) == ok("two", 270)
        assert await w.ask(BLOB) == ok("one", 270)


async def test_the_scopes_of_a_bare_host_come_from_policy() -> None:
    """T-36: One token for two scopes, the first one first, whatever the host's own rule says."""
    grants: tuple[Granted, ...] = (
        Repository(RepositoryName("app"), ("pull", "push")),
        Repository(RepositoryName("base"), ("pull",)),
    )
    async with world(OciHost(match="reg.test", bare_host=BareHost(("repository:other:pull",)))) as w:
        assert await w.ask("reg.test", grants=grants) == ok("tok1", 270)
        assert w.requests[-1].endswith("scope=repository:app:pull,push&scope=repository:base:pull")


async def test_a_bare_host_gets_no_basic() -> None:
    """T-38: Not even a request."""
    async with world() as w:
        assert await w.ask("reg.test", grants=()) == Answer(None, 60)
        assert w.requests == []


@pytest.mark.parametrize("stored", [None, UserPassword("u", Secret("p"))])
async def test_a_registry_of_basic_gives_actions_nothing(stored: UserPassword | None) -> None:
    """T-80: Never the login; without one there is nothing to refuse."""
    async with world(OciHost(match="reg.test", anonymous="pull"), stored=stored) as w:
        w.script(ping=w.challenge('Basic realm="x"'))
        if stored is None:
            assert await w.ask(BLOB, grants=PULL) == Answer(None, 60)
        else:
            assert await w.refusal(BLOB, PULL) is Code.USE_GATEWAY
        assert not [line for line in w.requests if "/token" in line]


async def test_a_stored_registry_token_is_not_handed_on() -> None:
    """Its scope is unknown."""
    async with world(stored=RegistryToken(Secret("canary"))) as w:
        assert await w.refusal(BLOB, PULL) is Code.USE_GATEWAY


async def test_a_token_that_contains_the_password_is_not_given_to_an_action() -> None:
    """Gitea did, and ECR Public does."""
    async with world(stored=UserPassword("u", Secret("canary-password"))) as w:
        w.script(token=w.granted("canary-password"))
        for _ in range(3):
            assert await w.refusal(BLOB, PULL) is Code.USE_GATEWAY
        assert len([line for line in w.requests if "/token" in line]) == 1, (
            "an action in a loop is no exchange in a loop"
        )
