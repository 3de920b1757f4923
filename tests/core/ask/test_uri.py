"""How a raw URI is parsed, and what is refused before any URL parser sees it."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.target import Form, Target
from credproxy.core.ask.uri import (
    canonical_authority,
    canonical_uri,
    check_canonical,
    is_loopback,
    is_socket,
    parse_server_url,
    parse_uri,
    plaintext_allowed,
    shown,
    without_userinfo,
)
from credproxy.core.errors import Code, Failed, Failure
from tests.hints import filled


def refused(raw: str) -> str:
    """The message of the refusal."""
    with pytest.raises(Failed) as caught:
        parse_uri(raw)
    assert caught.value.failure.code is Code.BAD_REQUEST
    return caught.value.failure.message


def failure_of(parse: Callable[[str], Target], text: str) -> Failure | None:
    """How it is refused, or None."""
    try:
        parse(text)
    except Failed as error:
        return error.failure
    return None


@pytest.mark.parametrize(
    ("raw", "canonical", "form"),
    [
        pytest.param("https://r.test/v2/a/tags/list", "https://r.test/v2/a/tags/list", Form.URL, id="plain"),
        pytest.param("https://r.test/x?n=1&last=b", "https://r.test/x?n=1&last=b", Form.URL, id="query"),
        pytest.param("https://r.test/x?", "https://r.test/x", Form.URL, id="empty-query"),
        pytest.param("https://r.test/x?a?b", "https://r.test/x?a?b", Form.URL, id="second-question-mark"),
        pytest.param("https://r.test?x=1", "https://r.test/?x=1", Form.URL, id="query-without-path"),
        pytest.param("https://r.test/a%2Fb", "https://r.test/a%2Fb", Form.URL, id="T-22-escape-kept-raw"),
        pytest.param("https://r.test/a/../b", "https://r.test/a/../b", Form.URL, id="T-23-dots-kept-raw"),
        pytest.param("https://r.test//a", "https://r.test//a", Form.URL, id="empty-segment-kept-raw"),
        pytest.param("https://r.test/@scope/x", "https://r.test/@scope/x", Form.URL, id="at-sign-in-path"),
        pytest.param("https://r.test/x#frag?y", "https://r.test/x", Form.URL, id="SC-5-fragment-dropped"),
        pytest.param("https://r.test#f", "https://r.test", Form.HOST, id="SC-5-fragment-without-path"),
        pytest.param("HTTPS://REG.TEST:443/v2/", "https://reg.test/v2/", Form.URL, id="T-34-case-and-port"),
        pytest.param("https://r.example.com./v2/", "https://r.example.com/v2/", Form.URL, id="trailing-dot"),
        pytest.param("https://r.test.:443/", "https://r.test", Form.HOST, id="trailing-dot-and-port"),
        pytest.param("https://r.test:80/x", "https://r.test:80/x", Form.URL, id="port-of-the-other-scheme"),
        pytest.param("http://r.test:80/x", "http://r.test/x", Form.URL, id="http-default-port"),
        pytest.param("http://r.test:443/x", "http://r.test:443/x", Form.URL, id="http-with-443"),
        pytest.param("https://r.test:65535/x", "https://r.test:65535/x", Form.URL, id="highest-port"),
        pytest.param("https://my_reg.test/x", "https://my_reg.test/x", Form.URL, id="SC-6-underscore"),
        pytest.param("https://_dmarc.r--x.test/x", "https://_dmarc.r--x.test/x", Form.URL, id="hyphens"),
        pytest.param("https://127.0.0.1:5000/x", "https://127.0.0.1:5000/x", Form.URL, id="dotted-quad"),
        pytest.param("https://1.2.3.4a/x", "https://1.2.3.4a/x", Form.URL, id="last-label-not-numeric"),
        pytest.param("https://[0:0::1]/x", "https://[::1]/x", Form.URL, id="ipv6-compressed"),
        pytest.param("https://[2001:DB8::A]:5000/", "https://[2001:db8::a]:5000", Form.HOST, id="ipv6-port"),
        pytest.param("registry.example.com", "https://registry.example.com", Form.HOST, id="T-35-bare"),
        pytest.param("reg.test:5000", "https://reg.test:5000", Form.HOST, id="T-39-bare-port"),
        pytest.param("localhost:5000", "https://localhost:5000", Form.HOST, id="T-39-localhost"),
        pytest.param("[::1]:5000", "https://[::1]:5000", Form.HOST, id="T-39-ipv6"),
        pytest.param("[::1]", "https://[::1]", Form.HOST, id="bare-ipv6"),
        pytest.param("REG.TEST.:443", "https://reg.test", Form.HOST, id="bare-canonicalised"),
        pytest.param("https://reg.test", "https://reg.test", Form.HOST, id="T-40-no-path"),
        pytest.param("https://reg.test/", "https://reg.test", Form.HOST, id="T-40-slash"),
        pytest.param("https://reg.test:443/", "https://reg.test", Form.HOST, id="bazel-http-cache-port"),
        pytest.param("https://*.googleapis.com/", "https://*.googleapis.com/", Form.LITERAL, id="SC-6a-siso-wildcard"),
        pytest.param("*.GoogleAPIs.com", "https://*.googleapis.com", Form.LITERAL, id="SC-6a-bare-wildcard"),
        pytest.param("https://%2Frun%2Fx.sock/Svc", "https://%2Frun%2Fx.sock/Svc", Form.LITERAL, id="SC-6a-unix"),
        pytest.param("grpcs://Example.com:443/", "grpcs://example.com/", Form.LITERAL, id="SC-6a-grpcs"),
        pytest.param("grpc://e.test:1985/S", "grpc://e.test:1985/S", Form.LITERAL, id="SC-6a-grpc"),
        pytest.param(
            "https://cache.test/build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
            "https://cache.test/build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
            Form.URL,
            id="siso-grpc-method",
        ),
    ],
)
def test_uri_becomes_its_canonical_form(raw: str, canonical: str, form: Form) -> None:
    """Scheme, host and port are canonical; path and query stay as they were sent."""
    target = parse_uri(raw)
    assert (canonical_uri(target), target.form) == (canonical, form)


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("https://Reg.test:5000/v2/?n=1", Target("https", "reg.test", 5000, "/v2/", "n=1", Form.URL)),
        ("[::1]:443", Target("https", "[::1]", None, "", "", Form.HOST)),
        ("grpc://*.x.test:1/S", Target("grpc", "*.x.test", 1, "/S", "", Form.LITERAL)),
    ],
)
def test_uri_is_split_into_its_parts(raw: str, target: Target) -> None:
    """The port is separate, and only set if it is not the scheme's own."""
    assert parse_uri(raw) == target


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="SC-1-empty"),
        pytest.param("https://r.test/" + "a" * 8192, id="SC-1-too-long"),
        *(
            pytest.param(f"https://r.test/a{character}b", id=f"T-30-{name}")
            for name, character in [
                ("LF", "\n"),
                ("CR", "\r"),
                ("TAB", "\t"),
                ("NUL", "\0"),
                ("space", " "),
                ("DEL", "\x7f"),
                ("ESC", "\x1b"),
                ("NEL", "\x85"),
                ("line-separator", "\u2028"),
                ("no-break-space", "\xa0"),
                ("surrogate", "\ud800"),
            ]
        ),
        pytest.param(" https://r.test/", id="leading-space"),
        pytest.param("https://r.test/\n", id="trailing-newline"),
        pytest.param("reg.test\n", id="bare-trailing-newline"),
        pytest.param(r"https://reg.test\@evil.test/v2/a/manifests/x", id="T-31-backslash"),
        pytest.param(r"https://r/v2/a?y=" + "\\", id="backslash-in-query"),
        pytest.param("https://bücher.example/v2/", id="SC-2-idn"),
        pytest.param("https://reg．test/v2/", id="SC-2-full-width-dot"),  # noqa: RUF001  that is the attack
        pytest.param("https://rеg.test/v2/", id="SC-2-homograph"),  # noqa: RUF001  that is the attack
        pytest.param("https:///v2/a/manifests/x", id="T-32-no-host"),
        pytest.param("https://", id="nothing-after-the-scheme"),
        pytest.param("://r.test/", id="no-scheme"),
        pytest.param("https://u:p@reg.test/v2/", id="T-32-userinfo"),
        pytest.param("https://u@reg.test", id="SC-5-user"),
        pytest.param("https://@reg.test/", id="SC-5-empty-user"),
        pytest.param("u:p@reg.test", id="SC-5-bare-userinfo"),
        pytest.param("https://a@b@reg.test/", id="SC-5-two-at-signs"),
        pytest.param("https://127.1/v2/", id="T-33-short-quad"),
        pytest.param("https://2130706433/v2/", id="T-33-decimal-address"),
        pytest.param("https://0x7f.1/v2/", id="T-33-hex-address"),
        pytest.param("https://0x7f000001/v2/", id="T-33-hex-address-in-one"),
        pytest.param("https://0x7F000001./v2/", id="T-33-hex-address-with-dot"),
        pytest.param("https://127.0.0.0x1/v2/", id="T-33-hex-octet"),
        pytest.param("https://0177.0.0.1/v2/", id="T-33-octal-address"),
        pytest.param("https://127.0.0.01/v2/", id="T-33-leading-zero"),
        pytest.param("https://256.0.0.1/v2/", id="T-33-octet-too-big"),
        pytest.param("https://1.2.3.4.5/v2/", id="T-33-five-octets"),
        pytest.param("https://reg.test:0/v2/", id="T-33-port-0"),
        pytest.param("reg.test:1_0", id="T-33-port-underscore"),
        pytest.param("reg.test:010", id="port-leading-zero"),
        pytest.param("https://r:99999/v2/", id="port-too-big"),
        pytest.param("https://r:65536/v2/", id="port-just-too-big"),
        pytest.param("https://r:/v2/", id="port-empty"),
        pytest.param("https://r:-1/v2/", id="port-negative"),
        pytest.param("https://r:+80/v2/", id="port-plus"),
        pytest.param("https://r:1:2/v2/", id="two-ports"),
        pytest.param("r:2h", id="port-with-letters"),
        pytest.param("registry.example.com/repo", id="SC-3-path-without-scheme"),
        pytest.param("reg.test/", id="SC-3-slash-without-scheme"),
        pytest.param("reg.test?x", id="bare-query"),
        pytest.param("reg.test#x", id="bare-fragment"),
        pytest.param("/v2/", id="only-a-path"),
        pytest.param("//reg.test/v2/", id="network-path"),
        pytest.param("https:/reg.test/v2/", id="one-slash"),
        pytest.param("reg.test/x?u=https://evil.test", id="scheme-in-the-query-only"),
        pytest.param("ftp://reg.test/", id="SC-4-ftp"),
        pytest.param("file:///etc/passwd", id="SC-4-file"),
        pytest.param("javascript://r.test/x", id="SC-4-javascript"),
        pytest.param("unix:///run/x.sock", id="SC-4-unix"),
        pytest.param("mailto:x@r.test", id="mailto"),
        pytest.param("1https://r.test/", id="scheme-with-a-digit-first"),
        pytest.param("https://[/v2/", id="bracket-open"),
        pytest.param("https://a]b/v2/", id="bracket-close"),
        pytest.param("https://[::1/v2/", id="bracket-not-closed"),
        pytest.param("https://[]/v2/", id="brackets-empty"),
        pytest.param("https://[:::1]/v2/", id="ipv6-broken"),
        pytest.param("https://[1.2.3.4]/v2/", id="ipv4-in-brackets"),
        pytest.param("https://[fe80::1%25eth0]/v2/", id="ipv6-zone"),
        pytest.param("https://[::1]x/v2/", id="after-the-bracket"),
        pytest.param("https://::1/v2/", id="ipv6-without-brackets"),
        pytest.param("https://a..b/v2/", id="empty-label"),
        pytest.param("https://.a/v2/", id="leading-dot"),
        pytest.param("https://./v2/", id="only-a-dot"),
        pytest.param("https://a.test../v2/", id="two-trailing-dots"),
        pytest.param("https://-a.test/v2/", id="leading-hyphen"),
        pytest.param("https://a-.test/v2/", id="trailing-hyphen"),
        pytest.param(f"https://{'a' * 64}.test/v2/", id="label-too-long"),
        pytest.param(f"https://{'a.' * 127}test/v2/", id="host-too-long"),
        pytest.param("https://reg%2etest/v2/", id="escape-in-host"),
        pytest.param("https://%72eg.test/v2/", id="escape-first-in-host"),
        pytest.param("https://%2Frun@reg.test/x", id="SC-6a-userinfo-that-looks-like-a-socket"),
        pytest.param("https://%2Frun%zz/x", id="SC-6a-bad-escape"),
        pytest.param("https://*/x", id="only-an-asterisk"),
        pytest.param("https://*./x", id="wildcard-of-nothing"),
        pytest.param("https://*.*.com/x", id="two-wildcards"),
        pytest.param("https://a.*.com/x", id="wildcard-in-the-middle"),
        pytest.param("https://*.[::1]/x", id="wildcard-of-an-address"),
        pytest.param("https://r;x/v2/", id="semicolon-in-host"),
        pytest.param("https://r,x/v2/", id="comma-in-host"),
    ],
)
def test_malformed_uri_is_a_bad_request(raw: str) -> None:
    """What is outside the grammar is refused, not repaired (SC-1 to SC-6)."""
    assert refused(raw).startswith("the uri ")


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", " ", "\x1b", "\ud800"])
def test_message_quotes_the_escaped_text(character: str) -> None:
    """T-30: A control character never reaches a log or a terminal (SEC-9)."""
    message = refused(f"https://r.test/a{character}b")
    assert message.isprintable()
    assert message.isascii()
    assert "https://r.test/a" in message


@pytest.mark.parametrize(
    "raw",
    [
        "https://r.test/ x?X-Amz-Signature=SECRET",
        "https://user:SECRET@r.test/",
        "https://user:SECRET?x@r.test/",
        "https://user:SECRET#x@r.test/",
        "https://user:SECRET/x@r.test/",
        "user:SECRET@r.test",
        "https:/user:SECRET@r.test",
        "https://r.test\\@user:SECRET@evil.test",
        "https://r.test/ x?a=b@c&sig=SECRET",
        "https://r.test/ x#SECRET",
        "https://user:SECRET@r.test/?sig=SECRET@SECRET",
        "reg.test/x?u=https://SECRET",
    ],
)
def test_message_never_holds_query_or_userinfo(raw: str) -> None:
    """A refused URI is quoted without what may be a secret, wherever a password ends (SC-14, CL-30)."""
    assert "SECRET" not in refused(raw)
    assert "SECRET" not in shown(raw)


def test_shown_is_short() -> None:
    """One URI cannot fill a log."""
    assert len(shown("https://r.test/" + "\n" * 8000)) < 700


def test_target_shows_no_query() -> None:
    """T-86: A presigned URL is a bearer secret: its query is in no repr (SC-14)."""
    target = parse_uri("https://bucket.s3.amazonaws.com/x?X-Amz-Signature=SECRET")
    assert "SECRET" not in repr(target)
    assert "SECRET" not in f"{target}"


@given(st.text(max_size=200))
def test_any_text_ends_in_a_target_or_a_bad_request(raw: str) -> None:
    """Input from a peer is never "unexpected" (T-105)."""
    failure = failure_of(parse_uri, raw)
    assert failure is None or (failure.code is Code.BAD_REQUEST and failure.message.isprintable())


PIECES = st.sampled_from(
    [
        *("https", "http", "grpcs", "://", ":", "/", "//", "?", "#", "@", "[", "]", "::1", "%2F", "%2e", "*", "*."),
        *(
            "a",
            "B",
            "reg.test",
            "127.0.0.1",
            ".",
            "..",
            "_",
            "-",
            "443",
            "5000",
            "0",
            "0x7f",
            "\\",
            "\n",
            ";",
            "&",
            "=",
        ),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.from_regex(r"https?://[A-Za-z0-9.:\[\]_-]{1,20}/[!-~]*"))
def test_canonical_form_is_a_fixed_point(raw: str) -> None:
    """T-105: canon(canon(x)) == canon(x): one spelling for policy, cache key and request (T14)."""
    try:
        target = parse_uri(raw)
    except Failed:
        return
    again = parse_uri(canonical_uri(target))
    assert again == target
    assert canonical_uri(again) == canonical_uri(target)
    assert target.authority == canonical_authority(target.authority, target.scheme) or target.form is Form.LITERAL
    assert target.path in raw or (target.path == "/" and target.query)


@given(st.text(max_size=60))
def test_canonical_authority_is_a_fixed_point(text: str) -> None:
    """Keys of configurations and realm hosts come in one spelling, too (SEC-R)."""
    once = canonical_authority(text)
    assert once is None or canonical_authority(once) == once


@pytest.mark.parametrize(
    ("text", "scheme", "expected"),
    [
        ("Reg.Test", "https", "reg.test"),
        ("reg.test:443", "https", "reg.test"),
        ("reg.test:443", "http", "reg.test:443"),
        ("reg.test:80", "http", "reg.test"),
        ("reg.test:443", "", "reg.test:443"),
        ("r.EXAMPLE.com.", "https", "r.example.com"),
        ("[::0001]:5000", "https", "[::1]:5000"),
        ("", "https", None),
        ("reg.test/v1", "https", None),
        ("https://reg.test", "https", None),
        ("u@reg.test", "https", None),
        ("*.reg.test", "https", None),
        ("127.1", "https", None),
    ],
)
def test_canonical_authority(text: str, scheme: str, expected: str | None) -> None:
    """An authority is parsed like the registry's own; an invalid one gives None (SC-6)."""
    assert canonical_authority(text, scheme) == expected


@pytest.mark.parametrize(
    ("raw", "insecure", "allowed"),
    [
        ("http://localhost:5000/v2/", False, True),
        ("http://127.0.0.1/v2/", False, True),
        ("http://127.255.0.9:80/v2/", False, True),
        ("http://[::1]:5000/", False, True),
        ("http://reg.test/v2/", False, False),
        ("http://reg.test/v2/", True, True),
        ("http://localhost.evil.test/v2/", False, False),
        ("http://127.0.0.1.evil.test/v2/", False, False),
        ("http://127.evil/v2/", False, False),
        ("http://[::2]/v2/", False, False),
        ("http://128.0.0.1/v2/", False, False),
        ("https://reg.test/v2/", False, True),
        ("reg.test", False, True),
    ],
)
def test_plain_http_is_for_loopback_or_a_rule(raw: str, insecure: bool, allowed: bool) -> None:  # noqa: FBT001  a table
    """SC-4: http needs ``insecure = true`` except on this machine."""
    assert plaintext_allowed(parse_uri(raw), insecure) is allowed


def test_loopback_is_judged_by_name() -> None:
    """Without a look-up, and a name that merely begins like it does not count."""
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"]))
    assert not any(map(is_loopback, ["localhost.test", "127.0.0.1.test", "127.a", "0.0.0.0", "[::]"]))


def test_socket_authority() -> None:
    """SC-6a: a percent-encoded absolute path, in either case of the escape."""
    assert is_socket("%2Frun%2Fx.sock")
    assert is_socket("%2frun")
    assert not is_socket("run%2Fx.sock")
    assert not is_socket("%2Frun:80")


@pytest.mark.parametrize(
    ("text", "scheme", "authority"),
    [
        ("https://index.docker.io/v1/", "https", "index.docker.io"),
        ("https://index.docker.io/v1", "https", "index.docker.io"),
        ("https://reg.test/v2/", "https", "reg.test"),
        ("https://reg.test", "https", "reg.test"),
        ("reg.test/", "https", "reg.test"),
        ("reg.test", "https", "reg.test"),
        ("localhost:5000\n", "https", "localhost:5000"),
        ("  REG.test:443 ", "https", "reg.test"),
        ("http://localhost:5000", "http", "localhost:5000"),
        ("[::1]:5000", "https", "[::1]:5000"),
    ],
)
def test_server_url_of_docker_is_a_host(text: str, scheme: str, authority: str) -> None:
    """What docker, podman and crane write to a docker-credential program names a registry."""
    assert parse_server_url(text) == Target(scheme, *_split(authority), "", "", Form.HOST)


def _split(authority: str) -> tuple[str, int | None]:
    host, _, port = authority.rpartition(":")
    return (host, int(port)) if host and port.isdigit() else (authority, None)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("https://oauth2accesstoken@reg.test/v2/a/manifests/x", "https://reg.test/v2/a/manifests/x"),
        ("https://u:p@reg.test:5000/x?a=b@c#d@e", "https://reg.test:5000/x?a=b@c#d@e"),
        ("https://@reg.test", "https://reg.test"),
        ("https://:@reg.test/", "https://reg.test/"),
        ("https://:p@reg.test/", "https://reg.test/"),
        ("https://u:p:q@[::1]:5000/", "https://[::1]:5000/"),
        ("https://u%40corp.example:p%2F%3A@reg.test/", "https://reg.test/"),
        ("https://good.test@evil.test/v2/", "https://evil.test/v2/"),
        ("https://good.test:443@evil.test/v2/", "https://evil.test/v2/"),
        ("grpcs://u@reg.test/", "grpcs://reg.test/"),
        ("u@reg.test:5000", "reg.test:5000"),
        ("https://reg.test/@scope/package", "https://reg.test/@scope/package"),
        ("https://reg.test/a?next=https://u:p@other.test/", "https://reg.test/a?next=https://u:p@other.test/"),
        ("https://reg.test#u@other.test", "https://reg.test#u@other.test"),
        ("reg.test", "reg.test"),
    ],
)
def test_a_user_name_and_password_in_front_of_the_host_are_left_out(raw: str, wanted: str) -> None:
    """Only there, and the host is what follows the ``@`` (RFC 3986, section 3.2)."""
    assert without_userinfo(raw) == wanted


@pytest.mark.parametrize(
    "raw",
    [
        "https://a@b@reg.test/",
        "https://SECRET@b@reg.test/",
        "https://good.test\\@evil.test/",
        "https://us\ter@reg.test/",
        "https://us er@reg.test/",
        "https://us%zzer@reg.test/",
        "https://[::1]@reg.test/",
        "https://ü:SECRET@reg.test/",
        "mailto:SECRET@reg.test",
        "u:SECRET@reg.test",
        "",
    ],
)
def test_what_readers_may_take_for_another_host_is_refused(raw: str) -> None:
    """One parser takes the first ``@``, another the last one; the message contains neither name nor password."""
    with pytest.raises(Failed) as caught:
        parse_uri(without_userinfo(raw))
    assert caught.value.failure.code is Code.BAD_REQUEST
    assert "SECRET" not in str(caught.value)


@given(st.text(alphabet="@:/?#%ab.0[]\\", max_size=30))
def test_leaving_it_out_chooses_no_other_host(text: str) -> None:
    """The result has no ``@`` before its host, and the host that every parser finds."""
    raw = f"https://{text}"
    try:
        target = parse_uri(without_userinfo(raw))
    except Failed:
        return
    assert target.host.strip("[]") == (urlsplit(raw).hostname or "").removesuffix(".")


@pytest.mark.parametrize("text", ["u@reg.test", "https://u:p@reg.test", "https://u:p@reg.test/v2/"])
def test_a_server_url_may_hold_a_user_name(text: str) -> None:
    """Docker's clients pass it on as typed."""
    assert parse_server_url(text).authority == "reg.test"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "reg.test/org",
        "https://reg.test/v1/users",
        "https://reg.test/v3/",
        "https://u@p@reg.test",
        "ftp://reg.test",
        "https://reg.test/?x",
        "reg.test#x",
        "reg\n.test",
        "https://reg.test\\@evil.test",
        "*.reg.test",
        "127.1",
        "//reg.test",
    ],
)
def test_other_server_url_is_a_bad_request(text: str) -> None:
    """A path below the registry, or anything odd, is not taken for its host."""
    with pytest.raises(Failed) as caught:
        parse_server_url(text)
    assert caught.value.failure.code is Code.BAD_REQUEST


@given(st.text(max_size=80))
def test_any_server_url_ends_in_a_host_or_a_bad_request(text: str) -> None:
    """The docker protocol's input comes from a peer, too."""
    failure = failure_of(parse_server_url, text)
    assert failure.code is Code.BAD_REQUEST if failure else parse_server_url(text).form is Form.HOST


def test_a_fragment_is_what_is_wrong_with_a_uri_that_has_one() -> None:
    """A message that hides query and fragment would advise to ask for what was asked for."""
    raw = "https://a.test/x?y=canary#z"
    with pytest.raises(Failed, match="has a fragment") as caught:
        check_canonical(raw, parse_uri(raw))
    assert "canary" not in caught.value.failure.message
    filled(caught.value.failure.hint, "leave out the '#' and what follows it")
    kept = raw.partition("#")[0]
    check_canonical(kept, parse_uri(kept))
