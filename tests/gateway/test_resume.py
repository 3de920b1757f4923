"""How a body that broke off is continued: tables, and a client that must only get what a registry had."""

from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from credproxy.gateway.incoming import Headers
from credproxy.gateway.resume import ByteRange, Rest, again, continues, promised


@pytest.mark.parametrize(
    ("status", "headers", "length", "span"),
    [
        (200, {}, 10, ByteRange(0, 9, 10, "", "")),
        (200, {"ETag": ' "x" ', "Content-Encoding": "gzip"}, 10, ByteRange(0, 9, 10, '"x"', "gzip")),
        (200, {}, None, None),
        (200, {}, 0, None),
        (206, {"Content-Range": "bytes 5-9/20", "etag": "e"}, 5, ByteRange(5, 9, 20, "e", "")),
        (206, {"Content-Range": "bytes 5-9/*"}, 5, ByteRange(5, 9, None, "", "")),
        (206, {"Content-Range": "bytes 5-9/20"}, 6, None),
        (206, {"Content-Range": "bytes 9-5/20"}, 5, None),
        (206, {"Content-Range": "bytes */20"}, 5, None),
        (206, {"Content-Range": "octets 5-9/20"}, 5, None),
        (206, {"Content-Range": "bytes 5-9"}, 5, None),
        (206, {"Content-Range": f"bytes 0-{10**20}/*"}, 10**20 + 1, None),
        (206, {"Content-Type": "multipart/byteranges; boundary=x"}, 5, None),
        (203, {}, 10, None),
    ],
)
def test_what_the_first_answer_promises(
    status: int, headers: dict[str, str], length: int | None, span: ByteRange | None
) -> None:
    """None if it is unknown what would be missing: it is forwarded, and not resumed."""
    assert promised(status, tuple(headers.items()), length=length) == span


@pytest.mark.parametrize(
    ("span", "moved", "fields"),
    [
        (ByteRange(0, 9, 10, "", ""), 3, (("Range", "bytes=3-9"),)),
        (ByteRange(0, 9, 10, '"x"', ""), 0, (("Range", "bytes=0-9"), ("If-Range", '"x"'))),
        (ByteRange(5, 9, 20, '"x"', ""), 3, (("Range", "bytes=8-9"), ("If-Range", '"x"'))),
        (ByteRange(5, 9, None, 'W/"x"', ""), 3, (("Range", "bytes=8-9"),)),
    ],
)
def test_how_the_rest_is_asked_for(span: ByteRange, moved: int, fields: Headers) -> None:
    """Within the client's own range; ``If-Range`` takes no weak tag (RFC 9110, section 13.1.5)."""
    assert again(span, moved, whole=False) == fields
    assert again(span, moved, whole=True) == ()


WHOLE = ByteRange(0, 9, 10, '"x"', "")
BARE = ByteRange(0, 9, 10, "", "")
PART = ByteRange(5, 9, 20, '"x"', "")
WEAK = ByteRange(0, 9, 10, 'W/"x"', "")
TAG = {"ETag": '"x"'}
DOUBTFUL = Rest(3, same=False, told=False)
"""A whole answer that may be something else: right if its digest is."""


@pytest.mark.parametrize(
    ("span", "status", "headers", "length", "rest"),
    [
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 3-9/10"}, 7, Rest(0), id="the rest"),
        pytest.param(WHOLE, 206, {"Content-Range": "bytes 3-9/10"}, 7, Rest(0), id="the rest, and If-Range has judged"),
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 3-9/*"}, 7, Rest(0), id="of unknown total"),
        pytest.param(WHOLE, 206, {"ETag": '"y"', "Content-Range": "bytes 3-9/10"}, 7, None, id="of something else"),
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 3-9/11"}, 7, None, id="of something longer"),
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 2-9/10"}, 8, None, id="from an earlier byte"),
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 4-9/10"}, 6, None, id="from a later byte"),
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 3-8/10"}, 6, None, id="to an earlier byte"),
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 3-9/10"}, 6, None, id="of another length"),
        pytest.param(WHOLE, 206, TAG | {"Content-Range": "bytes 3-9/10"}, None, None, id="of no length"),
        pytest.param(WHOLE, 206, TAG, 7, None, id="without saying which"),
        pytest.param(WHOLE, 200, TAG, 10, Rest(3), id="all of it once more"),
        pytest.param(WHOLE, 200, {}, 10, DOUBTFUL, id="all of what may be something else"),
        pytest.param(WHOLE, 200, {"ETag": '"y"'}, 10, DOUBTFUL, id="all of something else"),
        pytest.param(WHOLE, 200, TAG, 11, None, id="all of something longer"),
        pytest.param(WHOLE, 200, TAG, None, None, id="all, of no length"),
        pytest.param(WHOLE, 200, TAG | {"Content-Encoding": "gzip"}, 10, None, id="in another coding"),
        pytest.param(WHOLE, 416, TAG, 0, None, id="no such range"),
        pytest.param(WHOLE, 403, TAG, 10, None, id="refused by now"),
        pytest.param(BARE, 200, {}, 10, Rest(3, told=False), id="all, without tags"),
        pytest.param(BARE, 206, {"Content-Range": "bytes 3-9/10"}, 7, Rest(0), id="the rest, without tags"),
        pytest.param(WHOLE, 206, {"ETag": 'W/"x"', "Content-Range": "bytes 3-9/10"}, 7, None, id="strong, weak"),
        pytest.param(PART, 206, TAG | {"Content-Range": "bytes 8-9/20"}, 2, Rest(0), id="the rest of a range"),
        pytest.param(PART, 200, TAG, 20, Rest(8), id="all, for a range"),
        pytest.param(PART, 200, TAG, 5, None, id="as much as the range was"),
        pytest.param(
            ByteRange(5, 9, None, "", ""),
            200,
            {},
            20,
            Rest(8, same=False, told=False),
            id="all, for a range of unknown total",
        ),
        pytest.param(
            ByteRange(0, 9, 10, 'W/"x"', ""),
            206,
            TAG | {"Content-Range": "bytes 3-9/10"},
            7,
            Rest(0),
            id="weak, strong",
        ),
        pytest.param(WEAK, 200, {"ETag": 'W/"x"'}, 10, Rest(3, told=False), id="all, with a weak tag"),
        pytest.param(ByteRange(5, 9, None, "", ""), 200, {}, 9, None, id="less than a range of unknown total"),
    ],
)
def test_whether_the_second_answer_continues_the_first(
    span: ByteRange, status: int, headers: dict[str, str], length: int | None, rest: Rest | None
) -> None:
    """U15: how many bytes to skip, and whether that is certain; None if it cannot be continued."""
    assert continues(span, 3, status=status, headers=tuple(headers.items()), length=length) == rest


@dataclass(frozen=True)
class Registry:
    """How one of its servers answers: which representation it has, and how it handles ranges and tags."""

    body: bytes
    tag: str
    ranges: bool
    tags: bool

    def answer(self, incoming: Headers) -> tuple[int, Headers, bytes]:
        """Answer according to RFC 9110."""
        fields = dict(incoming)
        tag = (("ETag", self.tag),) if self.tags else ()
        stale = "If-Range" in fields and (not self.tags or fields["If-Range"] != self.tag)
        if not self.ranges or stale or "Range" not in fields:
            return 200, tag, self.body
        first, _, last = fields["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(self.body)), len(self.body) - 1)
        if start > end:
            return 416, (("Content-Range", f"bytes */{len(self.body)}"),), b""
        place = ("Content-Range", f"bytes {start}-{end}/{len(self.body)}")
        return 206, (place, *tag), self.body[start : end + 1]


def registries(body: bytes, tag: str) -> st.SearchStrategy[Registry]:
    """Servers with that representation."""
    return st.builds(Registry, st.just(body), st.just(tag), st.booleans(), st.booleans())


@given(st.data(), st.binary(min_size=1, max_size=30), st.booleans())
def test_what_a_client_assembles_is_one_representation(data: st.DataObject, body: bytes, same_size: bool) -> None:  # noqa: FBT001  drawn
    """U15: for any cuts and any server that answers next, the result is one whole representation, or incomplete.

    The other representation has its own tag; a server that sends no tags at all keeps its body, as a blob's does.
    """
    other = bytes(255 - byte for byte in body) if same_size else body + b"!"
    first = data.draw(registries(body, '"one"'))
    start = data.draw(st.integers(0, len(body) - 1))
    ranged = data.draw(st.booleans())
    status, headers, sent = first.answer((("Range", f"bytes={start}-"),) if ranged else ())
    span = promised(status, headers, length=len(sent))
    assert span is not None
    expected = body[span.start : span.end + 1]
    assembled, whole = b"", False
    for _ in range(4):
        cut = data.draw(st.integers(0, len(sent)))
        assembled += sent[:cut][: span.length - len(assembled)]
        if len(assembled) == span.length:
            break
        changed = first.tags and data.draw(st.booleans())
        following = data.draw(registries(other, '"two"') if changed else registries(body, '"one"'))
        status, headers, sent = following.answer(again(span, len(assembled), whole=whole))
        rest = continues(span, len(assembled), status=status, headers=headers, length=len(sent))
        if rest is None or (not rest.told and status == 200 and sent != body):
            whole = rest is None
            sent = b""
            continue
        sent = sent[rest.before :]
    assert expected.startswith(assembled)
