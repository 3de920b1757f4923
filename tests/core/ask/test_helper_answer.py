"""What other people's helpers print, real and hostile (T27, T31, H4)."""

import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.helper_answer import HelperAnswer, HelperAnswerError, parse_helper_answer


def headers(answer: HelperAnswer) -> dict[str, list[str]]:
    """Names and values, revealed."""
    return {name: [value.reveal() for value in values] for name, values in answer.headers}


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ('{"headers":{"Authorization":["Bearer t"]}}\n', {"Authorization": ["Bearer t"]}),
        ('{"headers":{"Authorization":["Bearer t\\n"]},"expires":null,"note":1}', {"Authorization": ["Bearer t"]}),
        (
            '{"headers":{"Authorization":["first","second"],"X-A":["1","2"]}}',
            {"Authorization": ["first"], "X-A": ["1", "2"]},
        ),
        ('{"headers":null}', {}),
        ("{}", {}),
        ('{"headers":{"X-A":[]}}', {}),
    ],
    ids=["plain", "EngFlow's nulls", "two values", "null headers", "nothing", "no value"],
)
def test_what_real_helpers_print(printed: str, expected: dict[str, list[str]]) -> None:
    """Read as Bazel's users need it."""
    assert headers(parse_helper_answer(printed.encode())) == expected


@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        (b"", "it printed nothing"),
        (b"\n \n", "it printed nothing"),
        (b"garbage", "not one JSON object"),
        (b'{"headers":{"A":["1"]', "not one JSON object"),
        (b'{"headers":{}}{"headers":{}}', "not one JSON object"),
        (b'{"headers":{"A":["\xff"]}}', "not one JSON object"),
        (b"[]", "not one JSON object"),
        (b"[" * 5000, "not one JSON object"),
        (b'{"headers":{"Authorization":"1"}}', "wanted a list of strings for 'Authorization'"),
        (b'{"headers":{"A":[1]}}', "wanted a list of strings for 'A'"),
        (b'{"headers":{"A":null}}', "wanted a list of strings for 'A'"),
        (b'{"headers":"canary"}', "wanted an object of lists for 'headers'"),
        (b'{"headers":{"my canary":"x"}}', "wanted a list of strings"),
        (b'{"expires":1767225600}', "wanted a time of RFC 3339 for 'expires'"),
    ],
)
def test_an_invalid_answer_is_an_error(printed: bytes, problem: str) -> None:
    """H4: never guessed, never cached; the output is not in the error, as it may hold a secret."""
    with pytest.raises(HelperAnswerError) as caught:
        parse_helper_answer(printed)
    assert problem in str(caught.value)
    assert "canary" not in str(caught.value)
    assert "$" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "x"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Bad Name", "x"),
        ("", "x"),
        ("A", "x\r\nB: y"),
        ("A", "x\0"),
        ("A", "x" * 20_000),
    ],
    ids=["host", "length", "framing", "hop-by-hop", "space", "no name", "CRLF", "NUL", "20 KB"],
)
def test_helper_headers(name: str, value: str) -> None:
    """T27: nothing that would begin another request, and nothing that clients cannot send; the value is not shown."""
    with pytest.raises(HelperAnswerError) as caught:
        parse_helper_answer(json.dumps({"headers": {name: [value]}}).encode())
    assert value not in str(caught.value) or len(value) < 10


def test_more_headers_than_anybody_needs() -> None:
    """T27: 32 at most, 64 KiB in all, and none twice, in whatever case."""
    many = {f"X-{number}": ["1"] for number in range(33)}
    large = {f"X-{number}": ["1" * 16_000] for number in range(5)}
    for printed in ({"headers": many}, {"headers": large}, {"headers": {"X-A": ["1"], "x-a": ["2"]}}):
        with pytest.raises(HelperAnswerError):
            parse_helper_answer(json.dumps(printed).encode())


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600.0),
        ("2026-01-01T00:00:00.500Z", 1_767_225_600.5),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600.0),
    ],
)
def test_helper_expires(text: str, second: float) -> None:
    """T31: RFC 3339 as helpers write it, fractions and other zones included."""
    assert parse_helper_answer(json.dumps({"expires": text}).encode()).expires == second


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1767225600"])
def test_an_expiry_that_cannot_be_read_is_an_error(text: str) -> None:
    """T31: a token with an unknown lifetime is not a long-lived one."""
    with pytest.raises(HelperAnswerError, match="'expires'"):
        parse_helper_answer(json.dumps({"expires": text}).encode())


@given(st.binary(max_size=200))
def test_any_output_is_an_answer_or_an_error(output: bytes) -> None:
    """1.3: what a program prints is never "unexpected"."""
    with contextlib.suppress(HelperAnswerError):
        assert isinstance(parse_helper_answer(output), HelperAnswer)
