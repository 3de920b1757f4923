"""A login that a token server refuses is not sent for each of many repositories: servers lock accounts after a few."""

from credproxy.core.ask.credential import IdentityToken, RegistryToken, Secret, UserPassword
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Repository
from credproxy.core.errors import Code, Failure
from credproxy.providers.refused_logins import HELD, PROVEN, REFUSALS, RefusedLogins
from tests.registry_world import World, world


REFUSAL = Failure(Code.BAD_CREDENTIALS, "no", "log in")


def tokens(w: World) -> int:
    """Count the token requests so far."""
    return sum("/token" in line for line in w.requests)


async def refused(w: World, name: str, count: int, *, actions: bool = False) -> None:
    """Ask about this many repositories, each of which must be refused."""
    for number in range(count):
        repository = f"{name}{number}"
        grants = (Repository(RepositoryName(repository), ("pull",)),) if actions else None
        assert await w.refusal(f"https://reg.test/v2/{repository}/manifests/x", grants) is Code.BAD_CREDENTIALS


async def test_a_refused_login_is_not_sent_for_each_of_many_repositories() -> None:
    """Three times, and then once in ten seconds; another login is tried at once."""
    async with world() as w:
        w.script(token=w.respond(401))
        await refused(w, "a", 40)
        assert tokens(w) == REFUSALS
        await w.clock.advance(HELD)
        await refused(w, "b", 40)
        assert tokens(w) == REFUSALS + 1
        w.sources["reg.test"].stored = UserPassword("u", Secret("changed"))
        w.script(token=w.granted())
        await w.ask("https://reg.test/v2/c/manifests/x")


async def test_after_a_flush_a_refused_login_is_tried_again() -> None:
    """The user has fixed it at its server, and does not want to wait."""
    async with world() as w:
        w.script(token=w.respond(401))
        await refused(w, "a", 10)
        w.broker.flush()
        w.script(token=w.granted())
        await w.ask("https://reg.test/v2/a1/manifests/x")


async def test_a_login_that_was_taken_is_not_held_back_by_what_it_may_not_do() -> None:
    """Some servers say 401 if a login lacks a right."""
    async with world() as w:
        await w.ask("https://reg.test/v2/mine/manifests/x")
        w.script(token=w.respond(401))
        await refused(w, "theirs", 10)
        assert tokens(w) == 1 + 10
        w.script(token=w.granted())
        await w.ask("https://reg.test/v2/mine/too/manifests/x")


async def test_what_build_actions_are_refused_for_holds_back_no_login_of_the_user() -> None:
    """Actions choose the requests; what the user is refused holds for them as well."""
    async with world() as w:
        w.script(token=w.respond(401))
        await refused(w, "theirs", 40, actions=True)
        assert tokens(w) == REFUSALS
        await refused(w, "mine", 40)
        assert tokens(w) == 2 * REFUSALS
        await w.clock.advance(HELD / 2)
        w.script(token=w.granted())
        await refused(w, "more", 1, actions=True)


def test_only_secrets_are_counted_and_each_by_itself() -> None:
    """By server, name and secret; not logins that are sent as they are, and not anonymous requests."""
    logins = RefusedLogins(b"key")
    assert logins.tried("auth.test", None) is None
    assert logins.tried("auth.test", RegistryToken(Secret("x"))) is None
    names = [
        logins.tried("auth.test", UserPassword("u", Secret("p"))),
        logins.tried("auth.test", UserPassword("u", Secret("q"))),
        logins.tried("other.test", UserPassword("u", Secret("p"))),
        logins.tried("auth.test", IdentityToken(Secret("p"))),
    ]
    assert len(set(names)) == len(names)


def test_a_login_that_was_taken_long_ago_may_be_held_back() -> None:
    """It may have been changed at its server meanwhile."""
    logins = RefusedLogins(b"key")
    tried = logins.tried("auth.test", UserPassword("u", Secret("p")))
    assert tried is not None
    logins.taken(tried, 0.0)
    for now in (1.0, PROVEN + 1.0):
        for _ in range(REFUSALS):
            logins.refused(tried, REFUSAL, now=now, for_actions=False)
        assert logins.standing(tried, now, for_actions=False) is (REFUSAL if now > PROVEN else None)
    logins.taken(tried, PROVEN + 2.0)
    assert logins.standing(tried, PROVEN + 2.0, for_actions=False) is None
