"""U15: a body on its way to the client, resumed if its registry breaks off, or aborted; never truncated unnoticed."""

import hashlib

import pytest
import structlog
from hypothesis import given, strategies as st

from credproxy.core.ask.http import Request
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.gateway.blob import RESUMES, Blob
from credproxy.gateway.incoming import Reply
from credproxy.ports.transfer import Stopped
from tests.fakes import FakeSink, FakeTransfer
from tests.gateway.world import BLOB, BODY, CANARY, World, incoming, sent, unavailable, world


class Registry:
    """Answers ranges, and breaks off after the given number of bytes each time.

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


async def test_the_rest_is_asked_for_where_it_broke_off() -> None:
    """U15: Three times, with the entity tag, with pauses between; the client notices nothing."""
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


async def test_three_times_and_no_more() -> None:
    """U15: Then the failure says how far it came; the server must abort the connection."""
    async with world(Registry(10, 10, 10, 10)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:40]
        assert isinstance(error, Failed)
        assert error.failure.code is Code.UPSTREAM_UNAVAILABLE
        assert error.failure.message == "registry 'reg.test' broke off, after 40 of 100 bytes and 3 resumes"
        assert len(w.downloads.requests) == 1 + RESUMES


async def test_a_registry_without_ranges_sends_all_of_it_once_more() -> None:
    """U15: What the client has is skipped, also if that breaks off again."""
    async with world(Registry(30, 20, 60, ranges=False)) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
        assert len(w.downloads.requests) == 4


RIGHT = f"/v2/a/blobs/sha256:{hashlib.sha256(BODY).hexdigest()}"
"""The blob whose digest is that of BODY."""


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("blob", [BLOB, RIGHT], ids=["another digest", "its digest"])
async def test_another_representation_is_never_appended(ranges: bool, blob: str) -> None:  # noqa: FBT001  parametrized
    """Other bytes under another tag, whatever the registry answers: the download ends with what came (U15)."""
    other = bytes(reversed(BODY))
    async with world(Registry(30, ranges=ranges, tags=('"x"', '"y"'), bodies=(BODY, other))) as w:
        reply = await w.get(blob)
        body, error = await w.delivered(reply)
        assert body == BODY[:30]
        assert isinstance(error, Failed)
        assert error.failure.message == (
            "registry 'reg.test' sent other bytes than the digest names, or than before, "
            "after 30 of 100 bytes and 1 resumes"
        )


@pytest.mark.parametrize(
    ("tags", "ranges"),
    [
        pytest.param(('"x"', '"y"'), True, id="another tag"),
        pytest.param(('"x"', '"y"'), False, id="another tag, and no ranges"),
        pytest.param(('"x"', ""), False, id="no tag any more, and no ranges"),
        pytest.param(('"x"', 'W/"x"'), True, id="a weak tag"),
        pytest.param(('W/"x"', 'W/"y"'), True, id="another weak tag"),
        pytest.param(('W/"x"', 'W/"y"'), False, id="another weak tag, and no ranges"),
        pytest.param(("", ""), False, id="no tags, and no ranges"),
        pytest.param(('"x"', '"y"', '"z"', '"w"'), True, id="another tag each time"),
    ],
)
async def test_the_digest_decides_what_the_bytes_are(tags: tuple[str, ...], ranges: bool) -> None:  # noqa: FBT001  parametrized
    """A registry with several servers, or one that stored the blob again, has another tag for the same bytes (U15)."""
    async with world(Registry(30, ranges=ranges, tags=tags)) as w:
        reply = await w.get(RIGHT)
        assert await w.delivered(reply) == (BODY, None)
        assert len(w.downloads.requests) <= 1 + RESUMES


@pytest.mark.parametrize("start", [0, 40])
async def test_a_part_that_cannot_be_had_is_taken_out_of_the_whole(start: int) -> None:
    """416, or another range than requested: the URL has moved; the registry is asked for everything (U15)."""

    def whole(request: Request) -> FakeTransfer:
        assert sent(request, "Range") == []
        return FakeTransfer(200, (("ETag", '"y"'),), BODY)

    other = FakeTransfer(206, (("Content-Range", "bytes 0-9/100"),), BODY[:10])
    for odd in (FakeTransfer(416, (("Content-Range", "bytes */10"),), small=True), other):
        async with world(Registry(30), odd, whole) as w:
            reply = await w.answer(incoming(RIGHT, "GET", *((("Range", f"bytes={start}-"),) if start else ())))
            assert await w.delivered(reply) == (BODY[start:], None)
            assert len(w.downloads.requests) == 3


async def test_what_was_sent_before_has_to_be_of_the_same_blob() -> None:
    """The first answer was something else: the right rest does not make it right (U15)."""
    other = bytes(reversed(BODY))
    async with world(Registry(30, tags=('"x"', '"y"'), bodies=(other, BODY))) as w:
        body, error = await w.delivered(await w.get(RIGHT))
        assert body == other[:30]
        assert isinstance(error, Failed)


async def test_a_digest_that_cannot_be_computed_proves_nothing() -> None:
    """Then another tag is the end, because it is undecidable (U15)."""
    async with world(Registry(30, ranges=False, tags=('"x"', '"y"'))) as w:
        body, error = await w.delivered(await w.get("/v2/a/blobs/blake3:" + "a" * 64))
        assert body == BODY[:30]
        assert isinstance(error, Failed)


async def test_a_coded_body_is_not_what_the_digest_is_about() -> None:
    """Its coded bytes cannot be checked, so another tag is the end (U15)."""

    def coded(tag: str, cut: int | None) -> FakeTransfer:
        return FakeTransfer(200, (("ETag", tag), ("Content-Encoding", "gzip")), BODY, cut=cut)

    async with world(coded('"x"', 30), coded('"y"', None)) as w:
        body, error = await w.delivered(await w.get(RIGHT))
        assert body == BODY[:30]
        assert isinstance(error, Failed)


async def test_more_than_announced_is_aborted() -> None:
    """U15: It is unknown which of the bytes are right; it is not requested again."""
    async with world(Registry(90, how=Stopped.SURPLUS)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:90]
        assert isinstance(error, Failed)
        assert error.failure.message.startswith(
            "registry 'reg.test' sent more than it announced, after 90 of 100 bytes"
        )
        assert len(w.downloads.requests) == 1


async def test_the_clients_own_range_goes_on_within_itself() -> None:
    """U15: Offsets are those of the whole, the end is the client's; its other fields are sent, its If-Range is not."""
    async with world(Registry(20)) as w:
        headers = (("Range", "bytes=40-89"), ("If-Range", '"x"'), ("Accept-Encoding", "gzip"))
        reply, body, error = await fetched(w, *headers)
        assert (reply.status, body, error) == (206, BODY[40:90], None)
        again = w.downloads.requests[1]
        assert sent(again, "Range") == ["bytes=60-89"]
        assert sent(again, "If-Range") == ['"x"']
        assert sent(again, "Accept-Encoding") == ["gzip"]


async def test_it_begins_at_the_registry_again() -> None:
    """U15: A presigned URL has expired by now; the login goes only to the registry."""
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


async def test_a_token_that_is_refused_by_then_is_replaced() -> None:
    """U15: A blob may take longer than its token lives."""
    registry = Registry(30)
    async with world(registry, FakeTransfer(401, small=True), registry) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok1"], ["Bearer tok2"]]


async def test_a_resume_that_cannot_be_opened_counts() -> None:
    """U15: A registry that restarts is back after one or two of them."""
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


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_resume_that_is_refused_is_the_end(status: int) -> None:
    """U15: What the registry says is final; the failure names its status."""
    async with world(Registry(30), FakeTransfer(status, small=True)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:30]
        assert isinstance(error, Failed)
        assert error.failure.message == (
            "registry 'reg.test' broke off, after 30 of 100 bytes and 1 resumes; "
            f"the last one was answered with status {status}"
        )


PASSING = [408, 425, 429, 500, 502, 503, 504, 599]


@pytest.mark.parametrize("status", PASSING)
async def test_a_resume_that_meets_a_passing_fault_counts(status: int) -> None:
    """A registry that restarts answers 503 for a moment: like a refused connection, that does not end it (U15)."""
    registry = Registry(30)
    async with world(registry, FakeTransfer(status, small=True), FakeTransfer(status, small=True), registry) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
        assert len(w.downloads.requests) == 4
    async with world(Registry(30), FakeTransfer(status, small=True)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:30]
        assert isinstance(error, Failed)
        assert error.failure.message.endswith(f"3 resumes; the last one was answered with status {status}")
        assert len(w.downloads.requests) == 1 + RESUMES


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("7", 7, id="seconds"),
        pytest.param("Sun, 06 Nov 1994 08:49:44 GMT", 7, id="IMF-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:44 GMT", 7, id="RFC 850"),
        pytest.param("Sun Nov  6 08:49:44 1994", 7, id="asctime"),
        pytest.param("86400", 300, id="more than anybody waits"),
        pytest.param("soon", 0.1, id="nothing that can be read"),
        pytest.param("Sun, 06 Nov 1994 08:00:00 GMT", 0.1, id="a time that is over"),
    ],
)
async def test_a_resume_waits_as_long_as_the_registry_asks(value: str, seconds: float) -> None:
    """In each form that RFC 9110 allows, counted from the answer's own ``Date``; five minutes at most (U15)."""
    registry, at = Registry(30), []
    fields = (("Retry-After", value), ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"))

    def busy(request: Request) -> FakeTransfer:
        del request
        at.append(w.clock.boot())
        return FakeTransfer(503, fields, small=True)

    def answering(request: Request) -> FakeTransfer:
        at.append(w.clock.boot())
        return registry(request)

    async with world(registry, busy, answering) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
        asked_at, came_at = at
        # The clock goes on in steps of 0.1 s, and perhaps one more while the answer is looked at.
        assert max(0.4, seconds) - 0.01 <= came_at - asked_at <= max(0.4, seconds) + 0.5


@pytest.mark.parametrize("code", [Code.UPSTREAM_UNAVAILABLE, Code.RATE_LIMITED, Code.OVERLOADED, Code.STILL_TRYING])
async def test_our_own_temporary_failures_count_as_well(code: Code) -> None:
    """The token has expired by then and its server limits the rate, or all pumps are busy: with its own pause (U15)."""
    registry = Registry(30)
    async with world(registry, failed(code, "not now", hint="", retry_after=5.0), registry) as w:
        before = w.clock.boot()
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)
        assert w.clock.boot() - before >= 5.0


async def test_a_client_that_leaves_while_a_blob_is_resumed_leaves_nothing_open() -> None:
    """P8: the transfer that was opened meanwhile is closed as well, and with it its place among the downloads."""
    registry = Registry(30)

    def leaving(request: Request) -> FakeTransfer:
        assert not isinstance(reply.body, bytes)
        reply.body.close()
        return registry(request)

    async with world(registry, leaving) as w:
        reply = await w.get(BLOB)
        assert not isinstance(reply.body, bytes)
        sink = FakeSink()
        with pytest.raises(ConnectionError):
            await w.through(reply.body.send(sink))
        assert sink.got() == BODY[:30]
        sink.close()
        assert len(w.downloads.requests) == 2
        assert all(transfer.closed for transfer in w.downloads.opened)


async def test_a_registry_that_does_not_begin_is_not_asked_again() -> None:
    """It has had five minutes, and perhaps still works on it (U15)."""
    silent = Failed(Failure(Code.UPSTREAM_UNAVAILABLE, "has not begun to answer within 300 s", unanswered=True))
    async with world(Registry(30), silent) as w:
        _, _, error = await fetched(w)
        assert isinstance(error, Failed)
        assert len(w.downloads.requests) == 2


async def test_what_no_time_fixes_is_the_end() -> None:
    """U15: Its own failure, for the log."""
    async with world(Registry(30), failed(Code.TLS_FAILED, "x")) as w:
        _, _, error = await fetched(w)
        assert isinstance(error, Failed)
        assert error.failure.code is Code.TLS_FAILED


async def test_a_small_rest_comes_with_its_head() -> None:
    """U15: And is poured like any other."""
    rest = FakeTransfer(206, (("Content-Range", "bytes 30-99/100"), ("ETag", '"x"')), BODY[30:], small=True)
    async with world(Registry(30), rest) as w:
        _, body, error = await fetched(w)
        assert (body, error) == (BODY, None)


async def test_several_ranges_are_sent_on_and_not_resumed() -> None:
    """It is unknown what is missing of a multipart body."""
    parts = FakeTransfer(206, (("Content-Type", "multipart/byteranges; boundary=x"),), BODY, cut=50)
    async with world(parts) as w:
        reply, body, error = await fetched(w, ("Range", "bytes=0-1,5-6"))
        assert (reply.status, body) == (206, BODY[:50])
        assert isinstance(error, Failed)
        assert len(w.downloads.requests) == 1


async def test_a_body_of_unknown_length_goes_through_piece_by_piece() -> None:
    """Only its registry knows its end; it is not resumed."""
    async with world(FakeTransfer(body=BODY, announced=False)) as w:
        reply, body, error = await fetched(w)
        assert isinstance(reply.body, Blob)
        assert (reply.body.length, body, error) == (None, BODY, None)
    async with world(FakeTransfer(body=BODY, announced=False, cut=10)) as w:
        _, body, error = await fetched(w)
        assert body == BODY[:10]
        assert isinstance(error, Failed)
        assert len(w.downloads.requests) == 1


async def test_a_client_that_leaves_is_the_end() -> None:
    """P8: not an error of a registry, and nothing is resumed."""
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
async def test_a_client_has_all_of_it_or_knows_that_it_has_not(
    cuts: list[int],
    ranges: bool,  # noqa: FBT001  drawn
    tags: list[str],
    start: int,
    ranged: bool,  # noqa: FBT001  drawn
) -> None:
    """U15: for any cuts, with or without ranges, for any tags: what arrived is a prefix of the right bytes."""
    same = {tags[0], "", tags[0].removeprefix("W/")}
    bodies = tuple(BODY if tag in same or not tags[0] else bytes(reversed(BODY)) for tag in tags)
    async with world(Registry(*cuts, ranges=ranges, tags=tuple(tags), bodies=bodies)) as w:
        reply = await w.answer(incoming(RIGHT, "GET", *((("Range", f"bytes={start}-"),) if ranged else ())))
        body, error = await w.delivered(reply)
        right = BODY[start:] if reply.status == 206 else BODY
        assert right.startswith(body)
        assert (body == right) is (error is None)
