"""Heads of answers, as pure functions: what is one body's end, and what would be a guess."""

import pytest

from credproxy.adapters.answer_framing import UnfitAnswerError, is_chunked, one_length, readable


@pytest.mark.parametrize(
    ("lines", "chunked"),
    [
        ([], False),
        (["chunked"], True),
        (["\tCHUNKED "], True),
        (["identity"], False),
        ([""], False),
        (["chunked,"], True),
    ],
    ids=str,
)
def test_a_body_in_chunks_or_as_it_is(lines: list[str], chunked: bool) -> None:  # noqa: FBT001  parametrized
    """The names of codings are in any case, and a list may have empty elements (RFC 9110, section 5.6.1)."""
    assert is_chunked(lines) == chunked


@pytest.mark.parametrize(
    "lines",
    [["gzip"], ["gzip, chunked"], ["gzip", "chunked"], ["chunked", "chunked"], ["x"], ["identity, chunked"]],
    ids=str,
)
def test_any_other_coding_is_not_the_content(lines: list[str]) -> None:
    """RFC 9112, section 6.1: it was not asked for."""
    with pytest.raises(UnfitAnswerError, match="in a transfer coding"):
        is_chunked(lines)


def test_a_length_may_be_repeated() -> None:
    """RFC 9110, section 8.6: as a list, or as several lines."""
    assert [one_length(lines) for lines in ([], ["5"], ["5, 5"], ["5", " 5"])] == [None, 5, 5, 5]


@pytest.mark.parametrize(
    "lines", [["5", "6"], ["5, 6"], ["-5"], ["+5"], ["5 5"], ["0x5"], [""], ["5,"], ["²"], ["9" * 19]], ids=str
)
def test_a_length_that_is_not_one_number(lines: list[str]) -> None:
    """RFC 9112, section 6.3: it cannot be recovered from; a body up to the end of the connection might be a part of it."""
    with pytest.raises(UnfitAnswerError, match="a length"):
        one_length(lines)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", None, id="plain"),
        pytest.param(b"HTTP/1.1 200 OK\nA:b\n\n", None, id="line feeds"),
        pytest.param(b"HTTP/1.1 200\r\n\r\n", None, id="no fields"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\td\r\nE:\r\n\r\n", None, id="folded"),
        pytest.param(
            b'HTTP/1.1 200 OK\r\nE: "a\rF: g"\r\n\r\n', b'HTTP/1.1 200 OK\r\nE: "a F: g"\r\n\r\n', id="return"
        ),
        pytest.param(b"HTTP/1.1 200 \xc3\xa9\r\nA(/@: \xff\0\x85\x0b\r\n\r\n", None, id="any bytes"),
    ],
)
def test_a_head_that_can_be_read(head: bytes, found: bytes | None) -> None:
    """RFC 9112, section 2.2: a return on its own is replaced by a space."""
    assert readable(head) == (found or head)


@pytest.mark.parametrize(
    "lines",
    [
        *[
            before + line
            for before in (b"", b"E: f\r\n")
            for line in (b"garbage", b"A : b", b"A b: c", b": b", b"A\0: b", b"\x85A: b", b"A\x1c: b")
        ],
        b" folded",
        b"\rA: b",
    ],
    ids=str,
)
def test_a_head_with_a_line_that_is_not_a_field(lines: bytes) -> None:
    """RFC 9112, section 5.1: the standard library would end the head there, and lose the length."""
    with pytest.raises(UnfitAnswerError, match="a line that is not"):
        readable(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nContent-Length: 5\r\n\r\n")


def test_many_lines_take_no_time() -> None:
    """A head has up to 256 KiB, and a pattern must not try them in more than one way."""
    head = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n c\r\n" * 20_000
    with pytest.raises(UnfitAnswerError):
        readable(head + b"x\r\n\r\n")
    assert readable(head + b"\r\n") == head + b"\r\n"
