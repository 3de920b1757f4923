"""Which answers belong to which requests, as tables. Source: RFC 9110, sections 14.2, 15.3.7 and 15.4.5."""

import pytest

from credproxy.gateway.answer_fit import fits
from credproxy.gateway.incoming import Headers


def part(text: str) -> Headers:
    """An answer's part."""
    return (("Content-Range", text),)


def asked(*ranges: str) -> Headers:
    """A request's ranges."""
    return tuple(("Range", one) for one in ranges)


PARTS: Headers = (("content-type", "Multipart/ByteRanges; boundary=x"),)


@pytest.mark.parametrize(
    ("wanted", "headers", "length"),
    [
        pytest.param(asked("bytes=0-4"), part("bytes 0-4/100"), 5, id="that"),
        pytest.param(asked("Bytes= 0-4 "), part("BYTES 0-4/100"), 5, id="written otherwise"),
        pytest.param(asked("bytes=0-4"), part("bytes 0-2/100"), 3, id="less at a time"),
        pytest.param(asked("bytes=0-400"), part("bytes 0-99/100"), 100, id="up to its end"),
        pytest.param(asked("bytes=7-"), part("bytes 7-99/100"), 93, id="the rest"),
        pytest.param(asked("bytes=7-"), part("bytes 7-99/*"), None, id="of unknown length"),
        pytest.param(asked("bytes=-5"), part("bytes 95-99/100"), 5, id="the last"),
        pytest.param(asked("bytes=-500"), part("bytes 0-99/100"), 100, id="more than all"),
        pytest.param(asked("bytes=-5"), part("bytes 95-99/*"), 5, id="the last of unknown length"),
        pytest.param(asked("bytes=0-1,5-6"), PARTS, 200, id="several"),
        pytest.param(asked("bytes=0-1,1-6"), part("bytes 0-6/100"), 7, id="several that are one"),
        pytest.param(asked("bytes=0-1", "bytes=5-6"), PARTS, 200, id="in two lines"),
        pytest.param(asked("lines=1-2"), part("lines 1-2/5"), 200, id="another unit"),
    ],
)
def test_a_part_that_was_asked_for(wanted: Headers, headers: Headers, length: int | None) -> None:
    """It begins where the client wants it; the client sees where it ends."""
    assert fits(206, headers, length=length, asked=wanted)


@pytest.mark.parametrize(
    ("wanted", "headers", "length"),
    [
        pytest.param((), part("bytes 0-4/5"), 5, id="unasked, although all"),
        pytest.param(asked("bytes=0-4"), part("bytes 50-54/100"), 5, id="elsewhere"),
        pytest.param(asked("bytes=10-14"), part("bytes 11-14/100"), 4, id="later"),
        pytest.param(asked("bytes=10-14"), part("bytes 0-14/100"), 15, id="earlier"),
        pytest.param(asked("bytes=10-14"), part("bytes 10-99/100"), 90, id="more"),
        pytest.param(asked("bytes=-5"), part("bytes 0-4/100"), 5, id="the first in place of the last"),
        pytest.param(asked("bytes=0-4"), part("bytes 0-4/100"), 4, id="of another length"),
        pytest.param(asked("bytes=0-1,5-6"), part("bytes 0-9/100"), 4, id="several, of another length"),
        pytest.param(asked("bytes=0-4"), (), 5, id="which is not said"),
        pytest.param(asked("bytes=0-1,5-6"), (), 5, id="nor of several"),
        pytest.param(asked("bytes=0-4"), PARTS, 200, id="several for one"),
        pytest.param(asked("bytes=0-4"), part("bytes */100"), 5, id="none"),
    ],
)
def test_a_part_that_was_not(wanted: Headers, headers: Headers, length: int) -> None:
    """A client would take it for what it wants."""
    assert not fits(206, headers, length=length, asked=wanted)


def test_what_has_not_changed_is_an_answer_to_a_condition() -> None:
    """Without one, curl leaves an empty file, and is content."""
    assert fits(304, (), length=0, asked=(("if-none-match", '"x"'),))
    assert not fits(304, (), length=0, asked=(("If-Range", '"x"'), ("Range", "bytes=0-4")))


@pytest.mark.parametrize("status", [100, 201, 203, 204, 205, 226, 300, 416, 0, 999])
def test_no_other_answer_has_content(status: int) -> None:
    """Each of them is a refusal of some kind."""
    assert fits(200, (), length=5, asked=asked("bytes=0-4"))
    assert not fits(status, part("bytes 0-4/5"), length=5, asked=asked("bytes=0-4"))
