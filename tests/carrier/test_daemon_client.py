"""Which of the daemon's answers a carrier reuses, and for how long."""

import asyncio

import msgspec
import pytest

from credproxy.carrier.daemon_client import Daemon
from credproxy.core.ask.carrier_messages import Fetch, PassageGiven, ToDaemon
from credproxy.core.ask.names import Origin
from credproxy.core.ask.way import Way
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import ORIGINAL_HOST, Incoming
from credproxy.gateway.request_reader import wanted


class Answering:
    """A daemon that grants everything, each time with a new credential."""

    def __init__(self, hold: float) -> None:
        self.incoming: list[Fetch] = []
        self.daemon = Daemon(self._told)
        self._hold = hold

    def _told(self, frame: bytes) -> None:
        message: ToDaemon = msgspec.msgpack.decode(frame, type=ToDaemon)
        assert isinstance(message, Fetch)
        self.incoming.append(message)
        number = len(self.incoming)
        headers = (("Authorization", f"Bearer {number}"),)
        answer = PassageGiven(message.question, number, Way(Origin("https://reg.test"), ""), headers, self._hold)
        asyncio.get_running_loop().call_soon(self.daemon.answered, answer)

    async def passage(self, path: str = "/v2/a/blobs/sha256:00", **caller: object) -> Passage:
        """Ask for a passage."""
        uid, sandbox = int(str(caller.get("uid", 1000))), caller.get("sandbox")
        incoming = Incoming(
            "GET",
            path,
            "",
            ((ORIGINAL_HOST, "reg.test"),),
            uid,
            None if sandbox is None else str(sandbox),
            connection=7,
        )
        return await self.daemon.credential(wanted(incoming), incoming, patience=1.0)


async def test_what_was_granted_is_used_again() -> None:
    """The daemon is not asked for each of many layers' ranges."""
    answering = Answering(hold=5.0)
    assert await answering.passage() is await answering.passage()
    assert len(answering.incoming) == 1


async def test_but_never_by_anybody_else_or_for_anything_else() -> None:
    """Another user, another sandbox, another blob: each is a question of its own."""
    answering = Answering(hold=5.0)
    await answering.passage()
    await answering.passage(uid=1001)
    await answering.passage(sandbox="4026531840")
    await answering.passage("/v2/b/blobs/sha256:00")
    await answering.passage("/v2/a/blobs/sha256:01")
    assert len(answering.incoming) == 5


async def test_nor_where_the_daemon_does_not_say_so() -> None:
    """For example, if each use has to be logged."""
    answering = Answering(hold=0.0)
    await answering.passage()
    await answering.passage()
    assert len(answering.incoming) == 2


@pytest.mark.parametrize("hold", [0.05, 1e-12])
async def test_nor_beyond_its_expiry(hold: float) -> None:
    """The expiry may come before the second is over."""
    answering = Answering(hold)
    await answering.passage()
    await asyncio.sleep(0.06)  # noqa: TID251  the loop's own clock is real here
    await answering.passage()
    assert len(answering.incoming) == 2


async def test_nor_for_longer_than_a_second() -> None:
    """However long the daemon says."""
    answering = Answering(hold=3600.0)
    await answering.passage()
    await asyncio.sleep(1.05)  # noqa: TID251  the loop's own clock is real here
    await answering.passage()
    assert len(answering.incoming) == 2


async def test_nor_under_another_configuration() -> None:
    """The daemon says when."""
    answering = Answering(hold=5.0)
    await answering.passage()
    answering.daemon.forget()
    await answering.passage()
    assert len(answering.incoming) == 2


async def test_a_flood_pushes_out_the_oldest_and_grows_nothing() -> None:
    """Each path is a place in memory, with a credential in it."""
    answering = Answering(hold=5.0)
    for number in range(1025):
        await answering.passage(f"/v2/a/blobs/sha256:{number:x}")
    await answering.passage("/v2/a/blobs/sha256:400")
    assert len(answering.incoming) == 1025
    await answering.passage("/v2/a/blobs/sha256:0")
    assert len(answering.incoming) == 1026
