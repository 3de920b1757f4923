"""Which header fields pass the gateway, in both directions."""

import pytest
from hypothesis import given, strategies as st

from credproxy.core.errors import Code, Failed
from credproxy.gateway.headers import announced, downward, refused, upward, warning
from tests.gateway.world import code, incoming


NEVER_UP = [
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "Host",
    "X-Rules_img-Original-Host",
    "X-Rules_img-Anything",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "Forwarded",
    "Via",
    "Referer",
    "Origin",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Content-Length",
    "Upgrade",
    "Expect",
    "Max-Forwards",
    "X-Credproxy-Deadline-Ms",
    "X-Api-Key",
    "Range ",
    "Content_Type",
]


@pytest.mark.parametrize("writing", [False, True])
@pytest.mark.parametrize("name", NEVER_UP)
def test_what_never_goes_to_a_registry(name: str, writing: bool) -> None:  # noqa: FBT001  parametrized
    """An action's credentials, hop-by-hop fields, framing, our own names: lists say what passes, not what does not."""
    assert upward(incoming("/v2/", "GET", (name, "x"), (name.lower(), "y")), writing=writing) == ()


def test_what_a_read_takes_along() -> None:
    """Ranges, validators and accepted types as they are; several lines of a name stay several."""
    sent = (
        ("accept", "a"),
        ("Accept", "b"),
        ("Accept-Encoding", "gzip"),
        ("RANGE", "bytes=5-"),
        ("If-Range", '"x"'),
        ("If-None-Match", '"y"'),
        ("If-Match", '"z"'),
        ("User-Agent", "go-containerregistry/v0.21.7"),
        ("Content-Type", "text/plain"),
    )
    passed = upward(incoming("/v2/", "GET", *sent), writing=False)
    assert dict(passed) | {"Accept": ["a", "b"]} == {
        "Accept": ["a", "b"],
        "Accept-Encoding": "gzip",
        "Range": "bytes=5-",
        "If-Range": '"x"',
        "If-None-Match": '"y"',
        "If-Match": '"z"',
        "User-Agent": "go-containerregistry/v0.21.7",
    }
    assert [value for name, value in passed if name == "Accept"] == ["a", "b"]


def test_what_a_write_takes_along() -> None:
    """The type of the body, and where it belongs; the code that sends it sets its length."""
    sent = (
        ("Content-Type", "application/octet-stream"),
        ("Content-Range", "0-4"),
        ("Content-Encoding", "gzip"),
        ("Content-Length", "5"),
        ("Range", "bytes=0-1"),
        ("Accept-Encoding", "gzip"),
    )
    passed = upward(incoming("/v2/", "PATCH", *sent), writing=True)
    assert sorted(name for name, _ in passed) == ["Content-Encoding", "Content-Range", "Content-Type"]


@pytest.mark.parametrize("value", ["a\r\nAuthorization: x", "a\rb", "a\nb", "a\x00b", "a\x7fb", "a\x0bb", "\u0100"])
def test_a_control_character_is_refused(value: str) -> None:
    """T14: aiohttp's parser refuses most of them, but this does not rely on it."""
    with pytest.raises(Failed, match="control character") as caught:
        upward(incoming("/v2/", "GET", ("Range", value)), writing=False)
    assert code(caught.value) is Code.BAD_REQUEST


NEVER_DOWN = [
    "Set-Cookie",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authorization",
    "Location",
    "Link",
    "Server",
    "Via",
    "X-Powered-By",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "Trailer",
    "Upgrade",
    "Alt-Svc",
    "Strict-Transport-Security",
    "Docker-Upload-UUID",
    "Retry-After",
    "Deprecation",
    "Refresh",
    "X-Amz-Request-Id",
]


@pytest.mark.parametrize("name", NEVER_DOWN)
def test_what_never_arrives_at_a_client(name: str) -> None:
    """Cookies and challenges would make the client ask for tokens on our socket; the gateway sets lengths and locations."""
    assert downward(((name, "x"), (name.upper(), "y"))) == ()


def test_what_a_client_gets() -> None:
    """In order, with their names as sent."""
    sent = (
        ("ETag", '"x"'),
        ("content-type", "a/b"),
        ("Docker-Content-Digest", "sha256:x"),
        ("Content-Range", "bytes 0-1/2"),
    )
    assert downward((*sent, ("Server", "x"))) == sent


@pytest.mark.parametrize("value", ["x\r\nSet-Cookie: y", "x\r\n y", "x\x00", "x\x7f", "x\u2028"])
def test_a_registry_cannot_split_an_answer(value: str) -> None:
    """An old line folding, which the standard library passes on with its line break, is dropped with its header."""
    assert downward((("ETag", value), ("Content-Type", "a/b"))) == (("Content-Type", "a/b"),)
    assert refused((("Content-Range", value), ("Retry-After", value))) == ()
    ((_, warning),) = downward((("Warning", f'299 - "{value}"'),))
    assert warning.isprintable()


@given(st.lists(st.tuples(st.sampled_from([*NEVER_DOWN, "ETag", "Range", "Link"]), st.text(max_size=20))))
def test_no_answer_can_be_split(sent: list[tuple[str, str]]) -> None:
    """Whatever a registry sends, each forwarded field is one line."""
    headers = tuple(sent)
    for _, value in (*downward(headers), *refused(headers)):
        assert not set(value) & {"\r", "\n", "\x00", "\x85", "\u2028"} - {"\x85"}


@pytest.mark.parametrize(
    ("values", "length"),
    [
        ((), None),
        (("5",), 5),
        (("0",), 0),
        (("5", "5"), None),
        (("-5",), None),
        (("+5",), None),
        (("5_0",), None),
        (("\u00b2",), None),
        (("9" * 18,), 10**18 - 1),
        (("9" * 5000,), None),
    ],
)
def test_a_length_is_a_number_or_unknown(values: tuple[str, ...], length: int | None) -> None:
    """With at most eighteen digits: Python's own parser takes more, and fails on 4,301."""
    assert announced(tuple(("content-length", value) for value in values)) == length


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ("7", "7"),
        (" 7 ", "7"),
        ("0", "0"),
        ("301", "300"),
        ("1000000000", "300"),
        ("9" * 5000, "300"),
        ("-1", None),
        ("Wed, 21 Oct 2099 07:28:00 GMT", None),
        ("soon", None),
    ],
)
def test_a_registry_cannot_make_clients_wait_for_ever(sent: str, passed: str | None) -> None:
    """U2: seconds, five minutes at most; img obeys."""
    assert refused((("Retry-After", sent),)) == ((("Retry-After", passed),) if passed else ())


def test_a_date_to_come_back_at_leaves_as_seconds() -> None:
    """Each form of RFC 9110, counted from the registry's own Date; img only reads seconds."""
    date = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
    for form in ("Sun, 06 Nov 1994 08:49:57 GMT", "Sunday, 06-Nov-94 08:49:57 GMT", "Sun Nov  6 08:49:57 1994"):
        assert refused((date, ("Retry-After", form))) == (("Retry-After", "20"),)


def test_a_pause_until_a_date_is_reported_in_seconds() -> None:
    """RFC 9110, section 10.2.3; counted from the registry's own clock."""
    sent = (("Date", "Wed, 21 Oct 2026 07:28:00 GMT"), ("Retry-After", "Wed, 21 Oct 2026 07:28:30 GMT"))
    assert refused(sent) == (("Retry-After", "30"),)


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ('299 - "your token expires soon"', '299 - "your token expires soon"'),
        ('299 - "say \\"a, b\\""', '299 - "say \\"a, b\\""'),
        (
            '299 reg.test:443 "x" "Wed, 21 Oct 2026 07:28:00 GMT"',
            '299 reg.test:443 "x" "Wed, 21 Oct 2026 07:28:00 GMT"',
        ),
        ('299 - "a", 299 - "b"', '299 - "a", 299 - "b"'),
        ('299 - "sch\u00f6n \u2014 \U0001f600"', '299 - "sch\u00f6n \u2014 \U0001f600"'),
        ('299 - "sch\u00c3\u00b6n"', '299 - "sch\u00f6n"'),
        ('299 - "a\tb\x1b[31m"', '299 - "a?b?[31m"'),
        ('299 - "a\udcffb"', '299 - "a?b"'),
        ('110 - "stale"', None),
        ("299 - unquoted", None),
        ('299 - "open', None),
        ('299 - "a"; x', None),
        (f'299 - "{"x" * 4096}"', None),
    ],
)
def test_a_warning_of_the_registry_arrives(sent: str, passed: str | None) -> None:
    """OCI distribution specification, "Warnings": code 299; one line of text, from whichever client it comes."""
    expected = () if passed is None else (("Warning", passed),)
    assert downward((("warning", sent), ("Set-Cookie", "x"))) == expected
    assert refused((("WARNING", sent),)) == expected


def test_warnings_have_4096_bytes_in_all() -> None:
    """What the specification allows a registry."""
    text = f'299 - "{"x" * 1500}"'
    assert downward((("Warning", text),) * 5) == (("Warning", text),) * 2


def test_a_warning_of_our_own_is_in_the_form_of_the_specification() -> None:
    """Whatever the message contains, it is one quoted string."""
    name, value = warning("no rule: 'a' \"b\" \\ \n \u20ac" + "x" * 9000)
    assert (name, value[:38]) == ("Warning", "299 - \"no rule: 'a' 'b' / ? ?" + "x" * 9)
    assert refused(((name, value),)) == ((name, value),)


@pytest.mark.parametrize(
    "name",
    ["Age", "Cache-Control", "Expires", "Vary", "Last-Modified", "Accept-Ranges", "OCI-Tag", "OCI-Chunk-Max-Length"],
)
def test_what_the_standards_let_a_registry_say_arrives(name: str) -> None:
    """About caching, ranges and tags: it concerns the client, and holds no credential."""
    assert downward(((name, "x"),)) == ((name, "x"),)


def test_the_length_of_what_has_no_such_range() -> None:
    """RFC 9110, section 15.5.17; other fields of a refusal do not pass."""
    assert refused((("content-range", "bytes */5"), ("Set-Cookie", "x"))) == (("Content-Range", "bytes */5"),)
