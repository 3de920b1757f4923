"""The port of Bazel's parser, held against docs/design/clients.md#what-bazel-accepts row by row; and our answers against it."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.credential import Handout, Secret
from credproxy.core.ask.message import encode_answer
from credproxy.core.errors import Failed
from tests.bazel_parser import Crashed, NoOutput, ParsedAnswer, Rejected, parse, parse_expires, read


EPOCH = 23_456_789


@pytest.mark.parametrize(
    ("stdout", "headers"),
    [
        pytest.param("{}", {}, id="6.1-empty-object"),
        pytest.param('{"headers": {}}', {}, id="6.1-empty-headers"),
        pytest.param(
            '{"headers": {"c":["c","c"],"a":[],"b":["b"]}}', {"a": [], "b": ["b"], "c": ["c", "c"]}, id="6.1-headers"
        ),
        pytest.param('{"foo":123}', {}, id="6.1-extra-key"),
        pytest.param('{"foo":123,"bar":[]}', {}, id="6.1-extra-keys"),
        pytest.param('{"x":{"y":[1]},"headers":{"a":["b"]},"z":null}', {"a": ["b"]}, id="6.1-extra-keys-around"),
        pytest.param('{"headers":{"A":[]}}', {"A": []}, id="1.4-no-values"),
        pytest.param('{"Headers":{"A":["b"]}}', {}, id="1.4-wrong-case-ignored"),
        pytest.param('{"headers":{"A":["1"],"a":["2"]}}', {"A": ["1"], "a": ["2"]}, id="1.4-two-cases-two-entries"),
        pytest.param('{"headers":{"A":["b"]}}\n\n', {"A": ["b"]}, id="1.4-lenient-trailing-newlines"),
        pytest.param('\ufeff{"headers":{"A":["b"]}}', {"A": ["b"]}, id="1.4-lenient-bom"),
        pytest.param('// x\n{"headers": # y\n {"A":/* z */["b"]}}', {"A": ["b"]}, id="1.4-lenient-comments"),
        pytest.param("{'headers':{'A':['b']}}", {"A": ["b"]}, id="1.4-lenient-single-quotes"),
        pytest.param("{headers:{A:[b]}}", {"A": ["b"]}, id="1.4-lenient-bare-words"),
        pytest.param(')]}\'\n{"headers":{"A":["b"]}}', {"A": ["b"]}, id="1.4-lenient-prefix"),
        pytest.param('{"headers"={"A"=>["b";"c"]};"x"=1}', {"A": ["b", "c"]}, id="lenient-separators"),
        pytest.param('{"headers":{"A":["\\u0062\\/"]}}', {"A": ["b/"]}, id="escapes"),
        pytest.param(
            '{"headers":{"A":["b"]},"headers":{"B":["c"]}}', {"A": ["b"], "B": ["c"]}, id="two-headers-objects"
        ),
    ],
)
def test_parser_accepts(stdout: str, headers: dict[str, list[str]]) -> None:
    """What Bazel takes is taken, its lenience included."""
    assert parse(stdout.encode()) == ParsedAnswer(headers)


@pytest.mark.parametrize(
    "stdout",
    [
        *(pytest.param(text, id=f"6.1-document-{text}") for text in ["[]", '"foo"', "1"]),
        *(pytest.param(f'{{"headers":{v}}}', id=f"6.1-headers-{v}") for v in ["null", '"foo"', "[]", "1"]),
        *(
            pytest.param(f'{{"headers":{{"a":{value}}}}}', id=f"6.1-a-{value}")
            for value in [
                *("null", "1", "{}", '"a"', "[null]", '["a",null]', '[null,"a"]', '["a",1]', '[1,"a"]'),
                *('["a",[]]', '[[],"a"]', '["a",{}]', '[{},"a"]', "[1]", "[true]", '["b",]', "[,]"),
            ]
        ),
        *(pytest.param(f'{{"expires":{v}}}', id=f"6.1-expires-{v}") for v in ["null", '"foo"', "[]", "1", "{}"]),
        pytest.param('{"expires":1767225600}', id="1.4-expires-epoch-number"),
        pytest.param('{"headers":{}} x', id="1.4-text-after"),
        pytest.param("x {}", id="1.4-text-before"),
        pytest.param("{}{}", id="1.4-two-objects"),
        pytest.param("{} // x", id="comment-after-the-object"),
        pytest.param("{", id="1.4-truncated-at-once"),
        pytest.param('{"headers":{"A":["b"]}', id="1.4-truncated"),
        pytest.param('{"headers":{"A":["b', id="1.4-truncated-in-a-string"),
        pytest.param('{"headers":{"A":["b"],}}', id="comma-before-the-end"),
        pytest.param('{"headers" {}}', id="no-colon"),
        pytest.param('{"headers":}', id="no-value"),
        pytest.param('{"headers":{"A":["\\x"]}}', id="bad-escape"),
        pytest.param('{"headers":{"A":["\\u00g0"]}}', id="bad-unicode-escape"),
    ],
)
def test_parser_rejects(stdout: str) -> None:
    """What Bazel calls an error parsing output, neither "no output" nor a crash."""
    with pytest.raises(Rejected) as caught:
        parse(stdout.encode())
    assert type(caught.value) is Rejected


@pytest.mark.parametrize("stdout", ["", " \n\t", "null", " null ", "// nothing", "NULL x"])
def test_parser_finds_no_output(stdout: str) -> None:
    """Nothing, white space and null are "process exited without output" (1.4)."""
    with pytest.raises(NoOutput):
        parse(stdout.encode())


@pytest.mark.parametrize(
    "stdout",
    [
        pytest.param('{"headers":{"A":["b"],"A":["b"]}}', id="1.4-same-key-twice"),
        pytest.param('{"headers":{"A":["b"]},"headers":{"A":["c"]}}', id="1.4-across-two-objects"),
    ],
)
def test_parser_crashes_on_a_repeated_header(stdout: str) -> None:
    """ImmutableMap.Builder throws an exception that is not caught as a parse error (1.4)."""
    with pytest.raises(Crashed):
        parse(stdout.encode())


@pytest.mark.parametrize("name", ["Host", "content-length", "Connection", "A B", "A:", ""])
def test_parser_refuses_a_name_that_no_request_carries(name: str) -> None:
    """Silently dropped by the JVM, or refused: in either case not what the helper meant (CL-21)."""
    stdout = json.dumps({"headers": {name: ["b"]}}).encode()
    assert read(stdout).headers == {name: ["b"]}
    with pytest.raises(Rejected):
        parse(stdout)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\r", "a\0", "\x7f", "ü", "\t"])
def test_control_characters_pass_the_parser_and_fail_at_the_request(value: str) -> None:
    """CR and LF parse; then the transport throws, with the value in its message (1.4)."""
    stdout = json.dumps({"headers": {"A": [value]}}).encode()
    assert read(stdout).headers == {"A": [value]}
    with pytest.raises(Rejected):
        parse(stdout)


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        pytest.param("1970-09-29T11:46:29Z", EPOCH, id="6.1-Z"),
        pytest.param("1970-09-29T11:46:29+00:00", EPOCH, id="6.1-plus-0"),
        pytest.param("1970-09-29T13:46:29+02:00", EPOCH, id="6.1-plus-2"),
        pytest.param("1970-09-28T23:46:29-12:00", EPOCH, id="6.1-minus-12"),
        pytest.param("2030-01-02T03:04:05Z", 1_893_553_445, id="1.4-Z"),
        pytest.param("2030-01-02T03:04:05-00:00", 1_893_553_445, id="1.4-minus-0"),
        pytest.param("2030-01-02T08:34:05+05:30", 1_893_553_445, id="1.4-half-hours"),
        pytest.param("2030-01-02T21:04:05+18:00", 1_893_553_445, id="1.4-largest-offset"),
        pytest.param("2030-01-01T09:04:05-18:00", 1_893_553_445, id="1.4-smallest-offset"),
        pytest.param("2030-02-30T00:00:00Z", 1_898_640_000, id="1.4-february-30-is-march-2"),
        pytest.param("2029-13-01T00:00:00Z", 1_893_456_000, id="1.4-month-13"),
        pytest.param("2029-12-31T24:00:00Z", 1_893_456_000, id="1.4-24-hours"),
        pytest.param("2029-12-31T23:59:60Z", 1_893_456_000, id="1.4-second-60"),
        pytest.param("2030-01-01T99:99:99Z", 1_893_456_000 + 99 * 3661, id="1.4-99-99-99"),
        pytest.param("2000-03-01T00:00:00Z", 951_868_800, id="after-a-leap-day"),
        pytest.param("+10000-01-01T00:00:00Z", 253_402_300_800, id="year-10000-with-plus"),
    ],
)
def test_expires_is_accepted(text: str, epoch: int) -> None:
    """Whole seconds with an offset; fields that are too large roll over."""
    assert parse(json.dumps({"expires": text}).encode()).expires_epoch == epoch


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2030-01-02T03:04:05.000Z", id="1.4-milliseconds"),
        pytest.param("2030-01-02T03:04:05.123456Z", id="1.4-microseconds"),
        pytest.param("2030-01-02T03:04:05,5Z", id="1.4-comma"),
        pytest.param("2030-01-02T03:04:05z", id="1.4-lower-case-z"),
        pytest.param("2030-01-02t03:04:05Z", id="1.4-lower-case-t"),
        pytest.param("2030-01-02 03:04:05Z", id="1.4-space"),
        pytest.param("2030-01-02T03:04:05", id="1.4-no-offset"),
        pytest.param("2030-01-02T03:04:05+0000", id="1.4-no-colon"),
        pytest.param("2030-01-02T03:04:05+00", id="1.4-only-hours"),
        pytest.param("2030-01-02T03:04:05UTC", id="1.4-UTC"),
        pytest.param("2030-01-02T03:04Z", id="1.4-no-seconds"),
        pytest.param(" 2030-01-02T03:04:05Z", id="1.4-space-before"),
        pytest.param("2030-01-02T03:04:05Z ", id="1.4-space-after"),
        pytest.param("2030-1-02T03:04:05Z", id="1.4-one-digit"),
        pytest.param("10000-01-01T00:00:00Z", id="1.4-year-10000"),
        pytest.param("2030-01-02T03:04:05+18:01", id="1.4-plus-18-01"),
        pytest.param("2030-01-02T03:04:05-18:01", id="1.4-minus-18-01"),
        pytest.param("2030-01-02T03:04:05+05:60", id="offset-minutes"),
        pytest.param("", id="1.4-empty"),
        pytest.param("1767225600", id="1.4-epoch"),
        pytest.param("foo", id="6.1-foo"),
    ],
)
def test_expires_is_rejected(text: str) -> None:
    """Everything else makes Bazel drop the whole answer."""
    with pytest.raises(Rejected):
        parse_expires(text)


def test_two_expires_last_wins() -> None:
    """Only headers may not be repeated (1.4)."""
    stdout = b'{"expires":"2030-01-01T00:00:00Z","expires":"1970-09-29T11:46:29Z"}'
    assert parse(stdout).expires_epoch == EPOCH


@given(st.binary(max_size=80) | st.text(alphabet="{}[]\"':,;=>#/*\\ \nheadrs1u0n", max_size=60).map(str.encode))
def test_any_output_is_parsed_or_rejected(stdout: bytes) -> None:
    """The oracle itself has no third outcome."""
    assert _outcome(lambda: parse(stdout)) in {"parsed", "rejected"}


def _outcome(action: Callable[[], object]) -> str:
    try:
        action()
    except Rejected:
        return "rejected"
    return "parsed"


NAMES = st.from_regex(r"[A-Za-z0-9-]{1,12}", fullmatch=True) | st.sampled_from(["Authorization", "authorization"])
VALUES = st.text(alphabet=st.characters(min_codepoint=9, max_codepoint=0x100), min_size=1, max_size=40) | st.from_regex(
    r"(Bearer|Basic) [!-~]{1,30}", fullmatch=True
)


@given(
    st.lists(st.tuples(NAMES, st.lists(VALUES, max_size=2)), max_size=4),
    st.none() | st.integers(min_value=-10, max_value=2**40),
)
def test_every_answer_is_accepted_and_round_trips(headers: list[tuple[str, list[str]]], expires: int | None) -> None:
    """Whatever a provider gives: refused by us with a reason, or read by Bazel exactly as meant (CL-16 to CL-22)."""
    handout = Handout(tuple((name, tuple(map(Secret, values))) for name, values in headers), expires)
    try:
        encoded = encode_answer(handout)
    except Failed:
        return
    answer = parse(encoded)
    assert {name.lower(): values for name, values in answer.headers.items()} == {
        name.lower(): [value.strip(" \t\r\n") for value in values] for name, values in headers if values
    }
    assert all(name == "Authorization" for name in answer.headers if name.lower() == "authorization")
    assert answer.expires_epoch == (None if expires is None else min(max(expires, 0), 253_402_300_799))
    assert len(encoded) <= 8000
