"""How requests are decoded and answers encoded."""

import json

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.credential import (
    Handout,
    IdentityToken,
    PlainSecret,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
)
from credproxy.core.ask.message import (
    decode_request,
    encode_answer,
    encode_docker,
    encode_failure,
    failure_text,
    header_problem,
)
from credproxy.core.errors import Code, Failed, Failure


T0 = 1_767_225_600


def refusal(body: bytes) -> str:
    """The message of the refusal."""
    with pytest.raises(Failed) as caught:
        decode_request(body)
    assert caught.value.failure.code is Code.BAD_REQUEST
    assert caught.value.failure.hint
    return caught.value.failure.message


def answer(*headers: tuple[str, str], expires: int | None = None) -> bytes:
    """Encode these headers."""
    return encode_answer(Handout(tuple((name, (Secret(value),)) for name, value in headers), expires))


def unsendable(*headers: tuple[str, tuple[str, ...]]) -> str:
    """The message of the refusal to send these headers."""
    with pytest.raises(Failed) as caught:
        encode_answer(Handout(tuple((name, tuple(map(Secret, values))) for name, values in headers), None))
    assert caught.value.failure.code is Code.BAD_TOKEN
    return caught.value.failure.message


@pytest.mark.parametrize(
    ("body", "uri"),
    [
        pytest.param(b'{"uri":"https://r.test/"}', "https://r.test/", id="bazel"),
        pytest.param(
            b'{"uri":"https://r.test/?x\\u003d1\\u0026y\\u003d\\u0027"}', "https://r.test/?x=1&y='", id="gson"
        ),
        pytest.param(b' {\n "uri" : "a\\/b" }\r\n', "a/b", id="white-space"),
        pytest.param(b'{"uri":"a","foo":{"bar":[1,null,2.5e3]},"baz":"\xc3\xbc"}', "a", id="EngFlow-extra-fields"),
        pytest.param(b'{"x":1,"uri":"a"}', "a", id="extra-field-first"),
        pytest.param(b'{"URI":"b","uri":"a"}', "a", id="other-case-is-another-field"),
        pytest.param(b'{"uri":"https://r.test/\\n"}', "https://r.test/\n", id="T-30-left-to-parse_uri"),
        pytest.param(b'{"uri":""}', "", id="empty-uri-left-to-parse_uri"),
        pytest.param('{"uri":"ü"}'.encode(), "ü", id="not-ascii-left-to-parse_uri"),
    ],
)
def test_request_is_decoded(body: bytes, uri: str) -> None:
    """Escapes are JSON's, unknown members are ignored (docs/design/clients.md#how-bazel-calls-it)."""
    assert decode_request(body) == uri


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "the request is empty: it must be a JSON object with a 'uri'", id="rule-41-empty"),
        pytest.param(b" \r\n\t", "the request is empty: it must be a JSON object with a 'uri'", id="white-space"),
        pytest.param(b"{", "the request is not valid JSON", id="truncated"),
        pytest.param(b'{"uri":"a"} {}', "the request is not valid JSON", id="two-objects"),
        pytest.param(b'{"uri":"a"}x', "the request is not valid JSON", id="text-after"),
        pytest.param(b"https://r.test", "the request is not valid JSON", id="no-json"),
        pytest.param(b"{'uri':'a'}", "the request is not valid JSON", id="single-quotes"),
        pytest.param(b'{"uri":"a\nb"}', "the request is not valid JSON", id="raw-newline"),
        pytest.param(b'{"uri":"\xff"}', "the request is not valid JSON", id="not-utf-8"),
        pytest.param(b'{"uri":"a","x":"\xff"}', "the request is not valid JSON", id="not-utf-8-elsewhere"),
        pytest.param(b'{"uri":"\\ud800"}', "the request is not valid JSON", id="lone-surrogate"),
        pytest.param(b'{"uri":"a","x":NaN}', "the request is not valid JSON", id="nan"),
        pytest.param(b"[" * 50_000, "the request is not valid JSON", id="deep"),
        pytest.param(b'{"x":' * 50_000, "the request is not valid JSON", id="deep-objects"),
        pytest.param(b'{"x":1' + b"0" * 5000 + b"}", "the request is not valid JSON", id="long-number"),
        pytest.param(b'["a"]', "the request is not a JSON object", id="array"),
        pytest.param(b'"a"', "the request is not a JSON object", id="string"),
        pytest.param(b"null", "the request is not a JSON object", id="null"),
        pytest.param(b"{}", "the request has no 'uri'", id="no-uri"),
        pytest.param(b'{"URI":"a"}', "the request has no 'uri'", id="other-case"),
        pytest.param(b'{"uri":null}', "the 'uri' of the request is not a string", id="uri-null"),
        pytest.param(b'{"uri":1}', "the 'uri' of the request is not a string", id="uri-number"),
        pytest.param(b'{"uri":["a"]}', "the 'uri' of the request is not a string", id="uri-array"),
        pytest.param(b'{"uri":"a","uri":"a"}', "the request has a member twice", id="uri-twice"),
        pytest.param(b'{"uri":"a","\\u0075ri":"b"}', "the request has a member twice", id="uri-twice-escaped"),
        pytest.param(b'{"uri":"a","x":1,"x":2}', "the request has a member twice", id="other-twice"),
    ],
)
def test_request_is_refused(body: bytes, message: str) -> None:
    """Each refusal says what is wrong and quotes nothing."""
    assert refusal(body) == message


@given(st.binary(max_size=100) | st.text(alphabet='{}[]"\\:, \nuri01.eE-', max_size=40).map(str.encode))
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    """Input from a peer is never "unexpected" (T16)."""
    try:
        uri = decode_request(body)
    except Failed as error:
        code = error.failure.code
    else:
        code = Code.BAD_REQUEST
        assert json.loads(body)["uri"] == uri
    assert code is Code.BAD_REQUEST


def test_answer_is_compact_and_whole() -> None:
    """One object, no white space, no newline, whole seconds (CL-17)."""
    assert answer(("Authorization", "Bearer t"), expires=T0 + 270) == (
        b'{"headers":{"Authorization":["Bearer t"]},"expires":"2026-01-01T00:04:30Z"}'
    )


def test_unknown_expiry_is_left_out() -> None:
    """Never null: Bazel refuses it (CL-17)."""
    assert answer(("Authorization", "Bearer t")) == b'{"headers":{"Authorization":["Bearer t"]}}'


def test_empty_answer_carries_its_expiry() -> None:
    """An empty answer is cached like any other, so it says until when (CL-16)."""
    assert answer(expires=T0) == b'{"headers":{},"expires":"2026-01-01T00:00:00Z"}'
    assert answer() == b'{"headers":{}}'


@pytest.mark.parametrize(
    ("expires", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1970-01-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (10**15, "9999-12-31T23:59:59Z"),
    ],
)
def test_expiry_stays_within_four_digit_years(expires: int, text: str) -> None:
    """Bazel refuses year 10000 without a plus (1.4)."""
    assert json.loads(answer(expires=expires))["expires"] == text


def test_authorization_is_spelled_as_img_looks_for_it() -> None:
    """It may come in any case, and is sent exactly so; other names stay as configured (SC-17)."""
    assert json.loads(answer(("authorization", "Bearer t"), ("x-api-key", "k")))["headers"] == {
        "Authorization": ["Bearer t"],
        "x-api-key": ["k"],
    }


def test_value_is_stripped() -> None:
    """A file's last newline is not part of the secret (CL-21)."""
    assert json.loads(answer(("X-Key", " k\r\n")))["headers"] == {"X-Key": ["k"]}


def test_header_without_values_is_left_out() -> None:
    """A chained helper may send an empty list; it means nothing is sent (1.4)."""
    assert encode_answer(Handout((("Authorization", ()), ("A", ())), None)) == b'{"headers":{}}'


def test_other_headers_may_have_several_values() -> None:
    """A chained helper's answer keeps its meaning; only Authorization has a single value (CL-20)."""
    handout = Handout((("header2", (Secret("value1"), Secret("value2"))),), None)
    assert encode_answer(handout) == b'{"headers":{"header2":["value1","value2"]}}'


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        pytest.param((("A", ("x\r\nB: SECRET",)),), "characters other than printable ASCII", id="T27-CRLF"),
        pytest.param((("A", ("SECRET\0",)),), "characters other than printable ASCII", id="T27-NUL"),
        pytest.param((("A", ("SECRET\x7f",)),), "characters other than printable ASCII", id="DEL"),
        pytest.param((("A", ("a\tSECRET",)),), "characters other than printable ASCII", id="tab-inside"),
        pytest.param((("A", ("SECRETü",)),), "characters other than printable ASCII", id="not-ascii"),
        *(
            pytest.param(((name, ("SECRET",)),), "belongs to the connection", id=f"T27-{name}")
            for name in ["Host", "content-length", "Transfer-Encoding", "Connection", "Origin", "TE", "upgrade"]
        ),
        *(
            pytest.param(((name, ("SECRET",)),), "is not a header name", id=f"T27-name-{label}")
            for label, name in [
                ("empty", ""),
                ("space", "A B"),
                ("colon", "A:"),
                ("newline", "A\n"),
                ("not-ascii", "Ä"),
                ("long", "A" * 257),
            ]
        ),
        pytest.param((("Authorization", ("a", "b")),), "needs one value", id="rule-20-two-values"),
        pytest.param((("Authorization", (" ",)),), "needs one value", id="empty-authorization"),
        pytest.param((("A", ("x",)), ("a", ("y",))), "occurs twice", id="rule-20-case-insensitively-unique"),
        pytest.param((("a", ("x",)), ("A", ("y",))), "occurs twice", id="rule-20-in-the-other-order"),
        pytest.param((("trace-bin", ("S!",)),), "is not base64", id="rule-22-bin"),
    ],
)
def test_header_that_no_client_could_send_is_refused(
    headers: tuple[tuple[str, tuple[str, ...]], ...], message: str
) -> None:
    """The client would crash, drop it, or print it with the secret (CL-20 to CL-22, T27)."""
    text = unsendable(*headers)
    assert message in text
    assert "SECRET" not in text


@pytest.mark.parametrize("value", ["", "QQ", "QQ==", "QUI", "QUI=", "QUJD", "QUJDRA=="])
def test_bin_header_takes_base64(value: str) -> None:
    """With or without padding, as grpc-java decodes it (CL-22)."""
    assert header_problem("Trace-Bin", [value]) is None


@pytest.mark.parametrize("value", ["Q", "QUJDR", "Q===", "QQ=", "Q Q=", "QUJD====", "__--"])
def test_bin_header_refuses_other_values(value: str) -> None:
    """grpc-java would throw on them (CL-22)."""
    assert header_problem("trace-bin", [value]) is not None


def test_answer_of_8000_bytes_is_sent_and_of_8001_is_not() -> None:
    """A pipe may hold 8,192 bytes, and Bazel reads only after the exit (CL-4)."""
    room = 8000 - len(answer(("Authorization", "x"))) + 1
    assert len(answer(("Authorization", "x" * room))) == 8000
    with pytest.raises(Failed) as caught:
        answer(("Authorization", "x" * (room + 1)))
    assert caught.value.failure.code is Code.ANSWER_TOO_LARGE
    assert "8001" in caught.value.failure.message


def test_too_many_headers_are_too_large() -> None:
    """32 headers are enough (T27)."""
    answer(*((f"X-{n}", "v") for n in range(32)))
    with pytest.raises(Failed) as caught:
        answer(*((f"X-{n}", "v") for n in range(33)))
    assert caught.value.failure.code is Code.ANSWER_TOO_LARGE


@pytest.mark.parametrize(
    ("stored", "username", "secret"),
    [
        (UserPassword("alice", Secret("pässword")), "alice", "pässword"),
        (IdentityToken(Secret("refresh"), "alice", Secret("p")), "<token>", "refresh"),
    ],
)
def test_docker_answer_names_the_login(stored: Stored, username: str, secret: str) -> None:
    """An identity token goes under the user name that docker knows it by."""
    encoded = encode_docker("https://index.docker.io/v1/", stored)
    assert encoded is not None
    assert json.loads(encoded) == {"ServerURL": "https://index.docker.io/v1/", "Username": username, "Secret": secret}


@pytest.mark.parametrize("stored", [RegistryToken(Secret("t")), PlainSecret(Secret("t"))])
def test_docker_answer_has_no_place_for_a_token(stored: Stored) -> None:
    """Anything but a login is "not found" for docker."""
    assert encode_docker("reg.test", stored) is None


def test_failure_becomes_json() -> None:
    """Clients key on the code (docs/reference/api.md)."""
    failure = Failure(Code.RATE_LIMITED, "too\nmany", "wait", retry_after=12.5)
    assert json.loads(encode_failure(failure)) == {
        "error": {"code": "rate_limited", "message": "too?many", "hint": "wait", "retry_after": 12.5}
    }
    assert "retry_after" not in json.loads(encode_failure(Failure(Code.DENIED, "no")))["error"]
    remembered = Failure(Code.DENIED, "no", retry_after=10.0)
    assert "retry_after" not in json.loads(encode_failure(remembered))["error"]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(Code.DENIED, "no access", "log in"), "no access (denied)\nlog in\n"),
        (Failure(Code.INTERNAL, "a bug"), "a bug (internal)\n"),
        (Failure(Code.RATE_LIMITED, "slow down", retry_after=11.6), "slow down (rate_limited)\nask again in 12 s\n"),
        (Failure(Code.DENIED, "a\x1b[31m\nb\u202e", "c\r\nd"), "a?[31m?b? (denied)\nc??d\n"),
    ],
)
def test_failure_becomes_two_lines(failure: Failure, text: str) -> None:
    """The cause, then the next step; no text from outside forges a third line (CL-5)."""
    assert failure_text(failure) == text


@given(st.text(min_size=1), st.text(), st.integers(min_value=1, max_value=3000))
def test_failure_text_fits_stderr(message: str, hint: str, times: int) -> None:
    """At most 2 KiB: stderr has the same narrow pipe as stdout (CL-5)."""
    failure = Failure(Code.UPSTREAM_UNAVAILABLE, message * times, hint * times)
    text = failure_text(failure)
    assert len(text.encode()) <= 2048
    assert text.count("\n") == (2 if hint else 1)
    json.loads(encode_failure(failure))
