"""U15: a body on its way to the client, resumed where its registry breaks off, or aborted; never a clean short one."""

import pytest
import structlog
from hypothesis import given, strategies as st

from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import Request
from credproxy.gateway.asked import Reply
from credproxy.gateway.blob import RESUMES, Blob
from credproxy.ports import Stopped
from tests.fakes import FakeTransfer
from tests.gateway.world import BLOB, BODY, CANARY, World, asked, sent, unavailable, world


class Registry:
    """Answers ranges, and breaks off after so many bytes each time.

    ``cuts`` are these numbers, in order; afterwards nothing breaks. ``tags`` and ``bodies`` are what it has each time,
    the last one from then on.
    """

    def __init__(
        self,
        *cuts: int,
        ranges: bool = True,
        tags: tuple[str, ...] = ('"x"',),
        bodies: tuple[bytes, ...] = (BODY,),
        how: Stopped = Stopped.UPSTREAM,
    ) -> None:
        self.cuts = list(cuts)
        self.ranges = ranges
        self.tags = list(tags)
        self.bodies = list(bodies)
        self.how = how

    def __call__(self, request: Request) -> FakeTransfer:
        """Answer."""
        tag = self.tags.pop(0) if len(self.tags) > 1 else self.tags[0]
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        headers = (("ETag", tag),) if tag else ()
        status, start = 200, 0
        asked_for = sent(request, "Range")
        fits = sent(request, "If-Range") in ([], [tag])
        if asked_for and self.ranges and fits:
            first, _, last = asked_for[0].removeprefix("bytes=").partition("-")
            start, end, status = int(first), int(last or len(body) - 1), 206
            headers = (*headers, ("Content-Range", f"bytes {start}-{end}/{len(body)}"))
            body = body[start : end + 1]
        cut = self.cuts.pop(0) if self.cuts else None
        return FakeTransfer(status, headers, body, cut=None if cut is None else min(cut, len(body)), how=self.how)


async def fetched(w: World, *headers: tuple[str, str]) -> tuple[Reply, bytes, Failed | ConnectionError | None]:
    """GET the blob: the head, what arrived of its body, how that ended."""
    reply = await w.get(BLOB, *headers)
    return reply, *await w.delivered(reply)


async def test_u15_the_rest_is_asked_for_where_it_broke_off() -> None:
    """Three times, with the entity tag, with pauses between; the client notices nothing."""
    with structlog.testing.capture_logs() as events:
        async with world(Registry(30, 20, 10)) as w:
            before = w.clock.boot()
            reply, body, error = await fetched(w)
            assert (reply.status, body, error) == (200, BODY, None)
            asks = [(sent(request, "Range"), sent(request, "If-Range")) for request in w.downloads.requests]
            assert asks == [
                ([], []),
                (["bytes=30-99"], ['"x"']),
                (["bytes=50-99"], ['"x"']),
                (["bytes=60-99"], ['"x"']),
            ]
            assert w.clock.boot() - before >= 0.1 + 0.4 + 1.6
    assert [event["moved"] for event in events if event["event"] == "blob resumed"] == [30, 50, 60]


async def test_u15_three_times_and_no_more() -> None:
    """Then the failure says how far it came; who serves it must abort the connection."""
    async with world(Registry(10, 10, 10, 10)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:40]
        assert isinstance(error, Failed)
        assert error.failure.code is Code.UPSTREAM_UNAVAILABLE
        assert error.failure.message == "registry 'reg.test' broke off, after 40 of 100 bytes and 3 resumes"
        assert len(w.downloads.requests) == 1 + RESUMES


async def test_u15_a_registry_without_ranges_sends_all_of_it_once_more() -> None:
    """What the client has is skipped, also where that breaks off again."""
    async with world(Registry(30, 20, 60, ranges=False)) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
        assert len(w.downloads.requests) == 4


@pytest.mark.parametrize("ranges", [True, False])
async def test_u15_another_representation_is_never_appended(ranges: bool) -> None:  # noqa: FBT001  parametrized
    """A changed entity tag, whatever it answers: what came is what the client has, and the end of it."""
    other = bytes(reversed(BODY))
    async with world(Registry(30, ranges=ranges, tags=('"x"', '"y"'), bodies=(BODY, other))) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:30]
        assert isinstance(error, Failed)


async def test_u15_more_than_announced_is_aborted() -> None:
    """Nobody can say which of the bytes are right; it is not asked for again."""
    async with world(Registry(90, how=Stopped.SURPLUS)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:90]
        assert isinstance(error, Failed)
        assert error.failure.message.startswith(
            "registry 'reg.test' sent more than it announced, after 90 of 100 bytes"
        )
        assert len(w.downloads.requests) == 1


async def test_u15_the_clients_own_range_goes_on_within_itself() -> None:
    """Offsets are those of the whole, the end is the client's; its other fields go along, its If-Range does not."""
    async with world(Registry(20)) as w:
        headers = (("Range", "bytes=40-89"), ("If-Range", '"x"'), ("Accept-Encoding", "gzip"))
        reply, body, error = await fetched(w, *headers)
        assert (reply.status, body, error) == (206, BODY[40:90], None)
        again = w.downloads.requests[1]
        assert sent(again, "Range") == ["bytes=60-89"]
        assert sent(again, "If-Range") == ['"x"']
        assert sent(again, "Accept-Encoding") == ["gzip"]


async def test_u15_it_begins_at_the_registry_again() -> None:
    """A presigned place has expired by now; the login goes to the registry and to nobody else."""
    registry = Registry(30)
    away = FakeTransfer(307, (("Location", f"https://cdn.test/1?{CANARY}"),), small=True)
    with structlog.testing.capture_logs() as events:
        async with world(away, registry, away, registry) as w:
            _, body, error = await fetched(w)
            assert (body, error) == (BODY, None)
            hosts = [request.url.split("/")[2] for request in w.downloads.requests]
            assert hosts == ["reg.test", "cdn.test", "reg.test", "cdn.test"]
            assert w.tokens() == [["Bearer tok1"], [], ["Bearer tok1"], []]
    assert CANARY not in str(events)


async def test_u15_a_token_that_is_refused_by_then_is_replaced() -> None:
    """A blob may take longer than its token lives."""
    registry = Registry(30)
    async with world(registry, FakeTransfer(401, small=True), registry) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok1"], ["Bearer tok2"]]


async def test_u15_a_resume_that_cannot_be_opened_counts() -> None:
    """A registry that restarts is back after one or two of them."""
    registry = Registry(30)
    async with world(registry, unavailable(), unavailable(), registry) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
    async with world(Registry(30), unavailable()) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:30]
        assert isinstance(error, Failed)
        assert "after 30 of 100 bytes and 3 resumes" in error.failure.message
        assert len(w.downloads.requests) == 1 + RESUMES


@pytest.mark.parametrize("status", [403, 404, 416, 500])
async def test_u15_a_resume_that_is_refused_is_the_end(status: int) -> None:
    """What it says now is not what it said."""
    async with world(Registry(30), FakeTransfer(status, small=True)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:30]
        assert isinstance(error, Failed)
        assert len(w.downloads.requests) == 2


async def test_u15_what_no_time_mends_is_the_end() -> None:
    """Its own failure, for the log."""
    async with world(Registry(30), failed(Code.TLS_FAILED, "x")) as w:
        _, _, error = await fetched(w)
        assert isinstance(error, Failed)
        assert error.failure.code is Code.TLS_FAILED


async def test_u15_a_small_rest_comes_with_its_head() -> None:
    """And is poured like any other."""
    rest = FakeTransfer(206, (("Content-Range", "bytes 30-99/100"), ("ETag", '"x"')), BODY[30:], small=True)
    async with world(Registry(30), rest) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)


async def test_several_ranges_are_sent_on_and_not_resumed() -> None:
    """Nobody can say what would be missing of a multipart body."""
    parts = FakeTransfer(206, (("Content-Type", "multipart/byteranges; boundary=x"),), BODY, cut=50)
    async with world(parts) as w:
        reply, body, error = await fetched(w, ("Range", "bytes=0-1,5-6"))
        assert (reply.status, body) == (206, BODY[:50])
        assert isinstance(error, Failed)
        assert len(w.downloads.requests) == 1


async def test_a_body_of_unknown_length_goes_through_piece_by_piece() -> None:
    """Its end is its own; it is not resumed."""
    async with world(FakeTransfer(body=BODY, announced=False)) as w:
        reply, body, error = await fetched(w)
        assert isinstance(reply.body, Blob)
        assert (reply.body.length, body, error) == (None, BODY, None)
    async with world(FakeTransfer(body=BODY, announced=False, cut=10)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:10]
        assert isinstance(error, Failed)
        assert len(w.downloads.requests) == 1


async def test_p8_a_client_that_leaves_is_the_end() -> None:
    """P8: no error of a registry, and nothing is resumed."""
    async with world(Registry(30, how=Stopped.CLIENT)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:30]
        assert isinstance(error, ConnectionError)
        assert len(w.downloads.requests) == 1


@given(
    st.lists(st.integers(0, 100), max_size=5),
    st.booleans(),
    st.lists(st.sampled_from(['"x"', '"y"', "", 'W/"x"']), min_size=1, max_size=5),
    st.integers(0, 99),
    st.booleans(),
)
async def test_u15_a_client_has_all_of_it_or_knows_that_it_has_not(
    cuts: list[int],
    ranges: bool,  # noqa: FBT001  drawn
    tags: list[str],
    start: int,
    ranged: bool,  # noqa: FBT001  drawn
) -> None:
    """U15: whatever is cut where, with ranges or without, whichever tags: what arrived is a beginning of what is right."""
    same = {tags[0], "", tags[0].removeprefix("W/")}
    bodies = tuple(BODY if tag in same or not tags[0] else bytes(reversed(BODY)) for tag in tags)
    async with world(Registry(*cuts, ranges=ranges, tags=tuple(tags), bodies=bodies)) as w:
        reply = await w.answer(asked(BLOB, "GET", *((("Range", f"bytes={start}-"),) if ranged else ())))
        body, error = await w.delivered(reply)
        right = BODY[start:] if reply.status == 206 else BODY
        assert right.startswith(body)
        assert (body == right) is (error is None)
