"""What a carrier may ask of the daemon: what its callers may have, and nothing else, even if an attacker controls it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
import pytest
import structlog

from credproxy.adapters.channel import Channel
from credproxy.adapters.nursery_client import Newborn
from credproxy.adapters.tls_trust import ClientIdentity
from credproxy.core.ask.carrier_messages import (
    TOLD,
    VERSION,
    Anchors,
    Changed,
    Closed,
    Connect,
    Connected,
    Done,
    Fetch,
    Figures,
    Get,
    JsonAnswer,
    Locate,
    Located,
    Opened,
    PassageGiven,
    Ready,
    Refusal,
    Rejected,
    Said,
    Shown,
    ToCarrier,
    ToDaemon,
    Trusted,
)
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Authority, Origin
from credproxy.core.ask.way import Way
from credproxy.core.errors import Code, Failure, failed
from credproxy.daemon.carrier import BURST, QUESTIONS, Carrier
from credproxy.daemon.carrier_questions import Edition, PassedConnection
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import Incoming
from credproxy.gateway.wanted import Wanted
from credproxy.server.peer import Peer
from credproxy.server.tcp_guard import WRONG
from tests.fakes import CrowdedSocket, FakeClock, settle
from tests.gateway.world import BLOB, REGISTRY


@dataclass
class FakeOffice:
    """Grants everything except what is in ``denied``; remembers the questions."""

    denied: set[str] = field(default_factory=set)
    incoming: list[tuple[str, Incoming]] = field(default_factory=list)
    bundle: str | None = None
    stuck: bool = False
    unreadable: str = ""
    certificate: str | None = None
    version: int = 1
    read: int = 0

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """Note it."""
        self.incoming.append(("permit", incoming))
        if self.unreadable:
            raise failed(Code.CREDENTIAL_UNREADABLE, f"the file {self.unreadable!r} is not JSON", inside=True)
        if want.repository in self.denied:
            raise failed(Code.POLICY_DENIED, "no rule allows it")

    async def credential(self, want: Wanted, incoming: Incoming, *, patience: float) -> Passage:
        """Give a token for the repository."""
        await self.permit(want, incoming)
        assert 0 <= patience <= 8.5
        if self.stuck:
            await FakeClock().sleep(1.0)
        reach = Reach(
            Origin(f"https://{want.registry}"), Dial(own=True, ca_bundle=self.bundle, client_cert=self.certificate)
        )
        return Passage(reach, (("Authorization", Secret(f"Bearer for-{want.repository}")),), want.repository)

    async def refused(self, passage: Passage, patience: float, *, forbidden: bool) -> Passage | None:
        """Give another one unless the refusal was a 403."""
        del patience
        return None if forbidden else passage

    def hold(self, passage: Passage) -> float:
        """For half a second."""
        del passage
        return 0.5

    async def narrow(self, peer: Peer, body: bytes, *, patience: float) -> bytes:
        """Record the caller."""
        del patience
        return f"{peer.uid} {peer.sandbox} {body!r}".encode()

    async def shows_token(self, authorization: str) -> bool:
        """Accept one token."""
        return authorization == "Bearer right"

    async def locate(self, host: str) -> tuple[tuple[int, str], ...]:
        """Give one address."""
        return ((socket.AF_INET, "192.0.2.1"),) if host == "reg.test" else ()

    async def edition(self, reach: Reach) -> Edition:
        """The first; a relay where there is a client certificate."""
        dial = reach.dial
        bundle = None if dial.ca_bundle is None else f"1 {dial.ca_bundle}"
        return Edition(bundle, "" if dial.client_cert is None else f"1 {reach.origin}")

    async def stamp(self, dial: Dial) -> int:
        """That of the files."""
        del dial
        return self.version

    async def identity(self, dial: Dial) -> ClientIdentity:
        """Two files that are read; raises what they are said to be."""
        self.read += 1
        if self.unreadable:
            raise failed(Code.TLS_FAILED, f"the key {self.unreadable!r} cannot be read", inside=True)
        return ClientIdentity(b"anchors", (f"{dial.client_cert}", "/key"), (b"certificate", b"canary-key"))

    async def anchors(self, edition: str | None) -> bytes:
        """Give the name of the bundle as its content."""
        return f"anchors of {edition}".encode()

    def close(self) -> None:
        """Nothing is held."""


class FakeRelays:
    """Gives one end of a pair for each connection, and keeps the other."""

    def __init__(self) -> None:
        self.asked: list[tuple[Reach, str, int]] = []
        self.ends: list[socket.socket] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def connect(self, reach: Reach, subject: str, *, owner: int) -> socket.socket:
        """Note what it leads to."""
        self.asked.append((reach, subject, owner))
        self.meanwhile()
        ours, theirs = socket.socketpair()
        self.ends.append(theirs)
        return ours


class Other:
    """The carrier's end of the channel, controlled by the test."""

    def __init__(self, sock: socket.socket, carrier: Carrier, office: FakeOffice, clock: FakeClock) -> None:
        self.carrier = carrier
        self.office = office
        self.clock = clock
        self.heard: list[ToCarrier] = []
        self.lost: list[str] = []
        self.freed: list[int] = []
        self.ends: list[str] = []
        self.refused: dict[str, int] = {}
        self.given: list[socket.socket] = []
        self.relays = FakeRelays()
        self._decode = msgspec.msgpack.Decoder(ToCarrier).decode
        self.raw = sock
        self.channel = Channel(sock, self._received, lost=self.lost.append, limit=TOLD, trusted=True)

    def _received(self, frame: bytes, descriptor: int) -> None:
        if descriptor >= 0:
            self.given.append(socket.socket(fileno=descriptor))
        self.heard.append(self._decode(frame))

    def open(self, sandbox: str | None = "s", port: int = 0, refusal: Failure | None = None) -> int:
        """Receive a connection; give its number."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = self.carrier.give(
                ours,
                PassedConnection(Peer(4711, 1000, sandbox=sandbox), sandbox, port, lambda: self.freed.append(number)),
                refusal=refusal,
            )
        return number

    def say(self, *messages: ToDaemon) -> None:
        """Send a message."""
        for message in messages:
            self.channel.send(msgspec.msgpack.encode(message))

    async def told(self, *messages: ToDaemon) -> ToCarrier:
        """Send a message, and give the last answer."""
        count = len(self.heard)
        self.say(*messages)
        await self.until(lambda: len(self.heard) > count or not self.carrier.open)
        return self.heard[-1]

    async def until(self, happened: Callable[[], bool]) -> None:
        """Let both ends of the channel do their work."""
        async with asyncio.timeout(20):
            while not happened():
                await settle()


@contextlib.asynccontextmanager
async def carrier(pair: tuple[socket.socket, socket.socket] | None = None) -> AsyncIterator[Other]:
    """A carrier as the daemon sees it, and the other end of its channel."""
    ours, theirs = pair or socket.socketpair()
    theirs.setblocking(False)
    clock, office = FakeClock(), FakeOffice()
    ends: list[str] = []
    refused: dict[str, int] = {}
    relays = FakeRelays()
    made = Carrier(
        Newborn(1, ours),
        office,
        clock=clock,
        lost=lambda _, how: ends.append(how),
        relays=relays,
        refused=lambda code, count: refused.update({code: count}),
    )
    other = Other(theirs, made, office, clock)
    other.ends, other.refused, other.relays = ends, refused, relays
    try:
        yield other
    finally:
        made.close()
        other.channel.close()
        for sock in (*relays.ends, *other.given):
            sock.close()
        await settle()


def fetch(connection: int, path: str = BLOB, *, method: str = "GET", query: str = "", only: bool = False) -> Fetch:
    """A question about a blob."""
    return Fetch(1, connection, method, Authority(REGISTRY), path, query, 8.5, only)


async def test_a_question_is_answered_for_the_caller_of_its_connection() -> None:
    """Uid, sandbox and process come from the daemon itself; only headers and the address are sent."""
    async with carrier() as other:
        number = other.open("sandbox-7")
        granted = await other.told(fetch(number))
        assert isinstance(granted, PassageGiven)
        assert granted.headers == (("Authorization", "Bearer for-a"),)
        assert (granted.way.origin, granted.hold) == (f"https://{REGISTRY}", 0.5)
        ((_, incoming),) = other.office.incoming
        assert (incoming.uid, incoming.sandbox, incoming.pid) == (1000, "sandbox-7", 4711)
        assert isinstance(await other.told(fetch(number, only=True)), Done)


@pytest.mark.parametrize(
    ("question", "code"),
    [
        pytest.param(lambda number: fetch(number + 1), "peer_refused", id="fetch-of-another"),
        pytest.param(lambda number: Get(1, number + 1, 8.5, b"{}"), "peer_refused", id="get-of-another"),
        pytest.param(lambda number: Shown(1, number + 1, "Bearer right"), "peer_refused", id="token-of-another"),
        pytest.param(lambda number: Shown(1, number, "Bearer wrong"), "peer_refused", id="wrong-token"),
        pytest.param(
            lambda number: fetch(number, "/v2/secret/blobs/" + BLOB.rpartition("/")[2]), "policy_denied", id="denied"
        ),
        pytest.param(lambda number: fetch(number, "/v2/a/../secret/manifests/x"), "not_found", id="dots"),
        pytest.param(lambda number: fetch(number, "/v2/a%2Fb/manifests/x"), "bad_request", id="escape"),
        pytest.param(lambda number: fetch(number, "/v2/"), "not_found", id="root"),
        pytest.param(lambda number: fetch(number, method="PATCH"), "method_not_allowed", id="method"),
        pytest.param(
            lambda number: Fetch(1, number, "GET", Authority("REG.test"), BLOB, "", 8.5),
            "bad_request",
            id="host-in-capitals",
        ),
        pytest.param(
            lambda number: Fetch(1, number, "GET", Authority("https://reg.test/x"), BLOB, "", 8.5),
            "bad_request",
            id="host-with-path",
        ),
        pytest.param(lambda _: Trusted(1, "1 /etc/shadow"), "tls_failed", id="any-file"),
        pytest.param(lambda _: Connect(1, f"1 https://{REGISTRY}"), "upstream_unavailable", id="any-relay"),
    ],
)
async def test_what_no_caller_may_have_no_carrier_has(question: Callable[[int], ToDaemon], code: str) -> None:
    """Another caller's connection, a path that policy would read differently, a file that the carrier names."""
    async with carrier() as other:
        other.office.denied = {"secret"}
        answer = await other.told(question(other.open()))
        assert isinstance(answer, Refusal)
        assert answer.failure.code == code
        assert other.carrier.open


async def test_a_mount_asks_for_both_repositories() -> None:
    """The source of a mount is judged as well; a carrier that leaves it out gets a token without it."""
    async with carrier() as other:
        number = other.open()
        digest = BLOB.rpartition("/")[2]
        await other.told(fetch(number, "/v2/a/blobs/uploads/", method="POST", query=f"mount={digest}&from=b"))
        assert other.office.incoming[-1][1].query == f"mount={digest}&from=b"


async def test_a_message_about_an_ended_connection_is_ignored() -> None:
    """Its place is given back once, however often a carrier reports it."""
    async with carrier() as other:
        number = other.open()
        answer = await other.told(Closed(number), Closed(number), Closed(number + 9), fetch(number))
        assert isinstance(answer, Refusal)
        assert other.freed == [number]


async def test_another_credential_is_given_for_a_passage_that_was_given() -> None:
    """An unknown passage gets none; a login without the right has no other."""
    async with carrier() as other:
        granted = await other.told(fetch(other.open()))
        assert isinstance(granted, PassageGiven)
        assert isinstance(await other.told(Rejected(2, granted.passage, 8.5, forbidden=False)), PassageGiven)
        assert isinstance(await other.told(Rejected(2, granted.passage, 8.5, forbidden=True)), Done)
        assert isinstance(await other.told(Rejected(2, granted.passage + 99, 8.5, forbidden=False)), Done)


async def test_certificates_are_those_of_a_passage() -> None:
    """A bundle can be named only by a carrier that was given its passage."""
    async with carrier() as other:
        other.office.bundle = "/etc/ca.pem"
        assert isinstance(await other.told(Trusted(1, "1 /etc/ca.pem")), Refusal)
        granted = await other.told(fetch(other.open()))
        assert isinstance(granted, PassageGiven)
        assert granted.way.bundle == "1 /etc/ca.pem"
        assert await other.told(Trusted(1, granted.way.bundle)) == Anchors(1, b"anchors of 1 /etc/ca.pem")
        assert await other.told(Trusted(1)) == Anchors(1, b"anchors of None")


async def test_a_connection_with_a_client_certificate_is_that_of_a_passage() -> None:
    """To the origin that policy has judged, whatever the carrier names; after a reload it is judged again."""
    async with carrier() as other:
        other.office.certificate = "/canary.pem"
        granted = await other.told(fetch(other.open()))
        assert isinstance(granted, PassageGiven)
        assert "canary" not in str(msgspec.json.encode(granted))
        assert await other.told(Connect(2, granted.way.relay)) == Connected(2)
        ((reach, subject, owner),) = other.relays.asked
        assert (reach.origin, subject, owner) == (f"https://{REGISTRY}", f"registry '{REGISTRY}'", 1)
        other.relays.ends[0].sendall(b"x")
        assert other.given[-1].recv(2) == b"x"
        for foreign in (granted.way.relay + "0", "", "1 https://other.test"):
            assert isinstance(await other.told(Connect(3, foreign)), Refusal)
        other.carrier.flushed()  # which ends no permission
        await other.until(lambda: isinstance(other.heard[-1], Changed))
        assert await other.told(Connect(3, granted.way.relay)) == Connected(3)
        other.carrier.changed()
        assert isinstance(await other.told(Connect(4, granted.way.relay)), Refusal)
        await other.told(fetch(other.open()))
        assert await other.told(Connect(5, granted.way.relay)) == Connected(5)


async def test_where_no_descriptor_passes_only_new_connections_fail() -> None:
    """A process in any sandbox can bring that about; downloads that are under way in the carrier go on."""
    ours, theirs = CrowdedSocket.pair()
    async with carrier((ours, theirs)) as other:
        ours.crowded = False
        number = other.open()
        other.office.certificate = "/canary.pem"
        granted = await other.told(fetch(number))
        assert isinstance(granted, PassageGiven)
        ours.crowded = True
        with structlog.testing.capture_logs() as events:
            refused = other.open()
            await other.until(lambda: other.freed == [refused])
        assert [event["event"] for event in events] == ["connection not passed on"]
        answer = await other.told(Connect(2, granted.way.relay))
        assert isinstance(answer, Refusal)
        assert (answer.question, answer.failure.code) == (2, Code.OVERLOADED)
        assert isinstance(await other.told(fetch(number, only=True)), Done)
        assert (other.carrier.open, [*other.carrier.connections]) == (True, [number])


async def test_a_configuration_that_comes_into_force_while_a_connection_is_made_ends_it() -> None:
    """That takes up to half a minute, and what is new may not allow it."""
    async with carrier() as other:
        other.office.certificate = "/client.pem"
        granted = await other.told(fetch(other.open()))
        assert isinstance(granted, PassageGiven)
        other.relays.meanwhile = other.carrier.changed
        other.say(Connect(2, granted.way.relay))
        await other.until(lambda: any(isinstance(one, Refusal | Connected) for one in other.heard))
        assert isinstance(other.heard[-1], Refusal)
        assert len(other.given) == 1  # its caller's
        (end,) = other.relays.ends
        assert end.recv(1) == b""


async def test_what_a_carrier_cannot_look_up_itself() -> None:
    """Names, and questions of the JSON API for the caller of a connection."""
    async with carrier() as other:
        assert await other.told(Locate(1, "reg.test")) == Located(1, ((socket.AF_INET, "192.0.2.1"),))
        assert await other.told(Locate(1, "\0")) == Located(1)
        assert await other.told(Get(1, other.open("s"), 1.0, b"{}")) == JsonAnswer(1, b"1000 s b'{}'")
        assert await other.told(Shown(1, other.open(None, 5151), "Bearer right")) == Done(1)
        assert await other.told(Shown(2, other.open(None, 5151), "Bearer left")) == Refusal(2, WRONG)


async def test_what_lies_on_this_machine_is_told_to_its_user_alone() -> None:
    """The log has the file's name; the process that talks to actions does not."""
    async with carrier() as other:
        number = other.open(refusal=Failure(Code.PEER_REFUSED, "no"))
        await other.until(lambda: bool(other.heard))
        opened = other.heard[0]
        assert isinstance(opened, Opened)
        assert opened.refusal is not None

        other.office.unreadable = "/home/u/canary"
        with structlog.testing.capture_logs() as events:
            answer = await other.told(fetch(number))
        assert isinstance(answer, Refusal)
        assert "canary" not in str(answer)
        assert answer.failure.inside  # so that the carrier does not log it again
        assert [(line["path"], "canary" in line["reason"]) for line in events] == [(BLOB, True)]


READY = msgspec.msgpack.encode(Ready(VERSION))
NESTED = b"\x91" * 3000 + b"\xc0"
"""Lists in lists, deeper than a decoder goes."""


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="no MessagePack"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(msgspec.msgpack.encode([99, 1]), id="unknown message"),
        pytest.param(msgspec.msgpack.encode([2, "x"]), id="other types"),
        pytest.param(b"\xff" * 60_000, id="long"),
        pytest.param(bytes([READY[0] + 1]) + READY[1:] + NESTED, id="lists in lists"),
        pytest.param(msgspec.msgpack.encode(Said("info", "canary", {})).replace(b"canary", b"\xff" * 6), id="no UTF-8"),
    ],
)
async def test_garbage_ends_the_carrier_that_says_it(frame: bytes) -> None:
    """Nothing is guessed at."""
    async with carrier() as other:
        number = other.open()
        other.channel.send(frame)
        await other.until(lambda: not other.carrier.open)
        assert other.ends == ["says something that is not a message"]
        assert number in other.carrier.connections  # the receiver frees them


async def test_a_flood_ends_the_carrier_that_makes_it() -> None:
    """A flood of messages, or of unanswered questions."""
    async with carrier() as other:
        message = msgspec.msgpack.encode(Closed(1))
        for _ in range(int(BURST) + 2):
            other.channel.send(message)
            if other.channel.unread > 1 << 20:
                await other.until(lambda: other.channel.unread < 1 << 10 or not other.carrier.open)
        await other.until(lambda: not other.carrier.open)
        assert other.ends == ["says more than its callers can have caused"]
    async with carrier() as other:
        other.office.stuck = True
        number = other.open()
        other.say(*[fetch(number) for _ in range(QUESTIONS + 1)])
        await other.until(lambda: not other.carrier.open)
        assert other.ends == ["asks more than its callers can have asked"]


async def test_a_carrier_of_another_version_is_not_used() -> None:
    """Their messages could have different meanings."""
    async with carrier() as other:
        other.say(Ready(VERSION + 1))
        await other.until(lambda: not other.carrier.open)
        assert "upgraded" in other.ends[0]


async def test_lines_and_figures_have_a_shape_that_a_carrier_cannot_choose() -> None:
    """An invalid level, a field that would replace another one, an unknown code."""
    async with carrier() as other:
        with structlog.testing.capture_logs() as events:
            other.say(
                Said("shout", "x" * 200, {"reason": "r", "event": "e", "carrier": "c", "a b": "d", "level": "l"}),
                Figures(7, 3, 2, {"not_found": 2, "made up": 9}),
            )
            await other.until(lambda: other.carrier.moved == 7)
        (line,) = events
        assert (line["log_level"], line["event"], line["carrier"]) == ("info", "x" * 80, 1)
        assert set(line) == {"log_level", "event", "carrier", "reason"}
        assert (other.carrier.downloads, other.carrier.uploads) == (3, 2)
        assert other.refused == {"not_found": 2}


def test_no_message_shows_what_is_in_it() -> None:
    """Headers, what a caller asked and showed, a proxy's login."""
    way = Way(Origin("https://reg.test"), "", proxy="http://u:canary@proxy")
    for message in (
        PassageGiven(1, 2, way, (("Authorization", "Bearer canary"),)),
        Get(1, 2, 3.0, b"canary"),
        Shown(1, 2, "Bearer canary"),
        JsonAnswer(1, b"canary"),
        way,
    ):
        assert "canary" not in repr(message)
        assert "canary" not in f"{message}"
