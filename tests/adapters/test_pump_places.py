"""How the pump's places are divided: callers that keep theirs for ever leave some for others."""

import asyncio

import pytest

from credproxy.adapters.pump_places import PumpPlaces
from credproxy.core.errors import Code, Failed
from tests.fakes import settle


async def taken(places: PumpPlaces, registry: str, account: str | None, *, most: int = 100) -> int:
    """How many it can take."""
    for count in range(most):
        try:
            await places.take(registry, account)
        except Failed:
            return count
    return most


@pytest.mark.parametrize("registry", ["a.test", "b.test"])
async def test_an_account_has_a_quarter_and_the_next_one_has_another(registry: str) -> None:
    """At one registry as well as at two."""
    places = PumpPlaces(32, wait=0.0)
    assert await taken(places, "a.test", "user:[1]") == 8
    assert await taken(places, registry, "user:[2]") == (4 if registry == "a.test" else 8)
    assert await taken(places, registry, None) >= 4


async def test_all_accounts_leave_a_quarter_to_the_user() -> None:
    """Of all places, and of those for one registry, whatever their number is."""
    places = PumpPlaces(32, wait=0.0)
    accounts = [f"user:[{number}]" for number in range(9)]
    assert sum([await taken(places, "a.test", one) for one in accounts]) == 12
    assert sum([await taken(places, "b.test", one) for one in accounts]) == 12
    assert [await taken(places, one, None) for one in ("a.test", "b.test", "c.test")] == [4, 4, 0]


async def test_a_registry_has_half_also_for_the_user() -> None:
    """So downloads from others go on."""
    places = PumpPlaces(32, wait=0.0)
    assert [await taken(places, one, None) for one in ("a.test", "b.test")] == [16, 16]


async def test_what_waits_for_a_share_of_its_own_holds_nothing_of_others() -> None:
    """And what was given up, or served, has given everything back."""
    places = PumpPlaces(8, wait=60.0)
    assert await taken(places, "a.test", "user:[1]", most=2) == 2
    waiting = [asyncio.ensure_future(places.take("a.test", "user:[1]")) for _ in range(50)]
    await settle()
    async with asyncio.timeout(10):
        assert await taken(places, "a.test", "user:[2]", most=1) == 1
        assert await taken(places, "a.test", None, most=1) == 1
    places.give_back("a.test", "user:[1]")
    await waiting[0]
    for one in waiting[1:]:
        one.cancel()
    await asyncio.wait(waiting)
    for account in ("user:[1]", "user:[1]", "user:[2]", None):
        places.give_back("a.test", account)
    async with asyncio.timeout(10):
        assert await taken(places, "a.test", "user:[1]", most=2) == 2
        assert await taken(places, "a.test", None, most=2) == 2
        assert await taken(places, "b.test", None, most=4) == 4


async def test_the_reason_says_whose_share_is_used_up() -> None:
    """One may ask for less; the other has to wait."""
    places, found = PumpPlaces(8, wait=0.0), []
    for place in (("a.test", "user:[1]"), ("a.test", "user:[1]"), ("a.test", "user:[2]"), *[("b.test", None)] * 4):
        await places.take(*place)
    for registry, account in (("b.test", "user:[1]"), ("a.test", "user:[2]"), ("b.test", None), ("b.test", "user:[3]")):
        with pytest.raises(Failed) as caught:
            await places.take(registry, account)
        assert (caught.value.failure.code, caught.value.failure.retry_after) == (Code.OVERLOADED, 1.0)
        found.append(caught.value.failure.message.partition(" are running")[0])
    assert found == [
        "2 downloads of this sandbox or user",
        "3 downloads of sandboxes from 'a.test'",
        "4 downloads from 'b.test'",
        "4 downloads from 'b.test'",
    ]
