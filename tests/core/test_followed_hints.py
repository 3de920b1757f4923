"""Hints about typed input are followed literally: the corrected input is accepted."""

from collections.abc import Callable, Mapping
from typing import Protocol

import pytest

from credproxy.core.ask.message import decode_request, encode_docker
from credproxy.core.ask.uri import check_canonical, parse_server_url, parse_uri
from credproxy.core.config.parse import ConfigError, load
from credproxy.core.errors import Failed
from credproxy.core.formats.netrc import parse_netrc
from credproxy.core.paths import actions_socket, helper_socket
from tests.hints import filled, text_of


class FindSocket(Protocol):
    """Where a socket is."""

    def __call__(self, environ: Mapping[str, str], uid: int, *, is_directory: Callable[[str], bool]) -> str:
        """As core.paths.helper_socket."""
        ...


def hint(call: Callable[[], object]) -> str:
    """The hint of what must fail."""
    with pytest.raises(Failed) as caught:
        call()
    return caught.value.failure.hint


URIS = [
    ("", text_of("ask for a URL or for a bare host[:port]"), ["https://reg.test/v2/", "reg.test", "reg.test:5000"]),
    ("https://", text_of("ask for a URL or for a bare host[:port]"), ["https://reg.test/v2/"]),
    ("https://reg.test:99999/", text_of("ask for a URL or for a bare host[:port]"), ["https://reg.test:9999/"]),
    ("1://reg.test/", text_of("ask for a URL or for a bare host[:port]"), ["reg.test"]),
    ("ftp://reg.test/a", text_of("use https:// or a bare host[:port]"), ["https://reg.test/a", "reg.test"]),
    ("ftp:/reg.test/a", text_of("use https:// or a bare host[:port]"), ["https://reg.test/a", "reg.test"]),
    ("https:/reg.test/a", text_of("write '//' between the first ':' and the host"), ["https://reg.test/a"]),
    ("HTTP:reg.test", text_of("write '//' between the first ':' and the host"), ["HTTP://reg.test"]),
    (
        "reg.test/a",
        text_of("put https:// in front, or ask for the bare host[:port]"),
        ["https://reg.test/a", "reg.test"],
    ),
    (
        "https://rég.test/a b",
        text_of("percent-encode it; an international name in its xn-- form"),
        ["https://xn--rg-bja.test/a%20b"],
    ),
    ("https://a@b@reg.test/", text_of("leave it out: credentials come from the configuration"), ["https://reg.test/"]),
]


@pytest.mark.parametrize(("raw", "said", "followed"), URIS)
def test_a_uri_is_written_as_the_hint_says(raw: str, said: str, followed: list[str]) -> None:
    """In each of the forms that it names."""
    assert hint(lambda: parse_uri(raw)) == said
    for form in followed:
        assert parse_uri(form).host.endswith(".test")


def test_a_uri_is_asked_for_in_its_canonical_form() -> None:
    """The hint holds it."""
    raw = "https://REG.test:443/v2/"
    (form,) = filled(hint(lambda: check_canonical(raw, parse_uri(raw))), "ask for {}")
    check_canonical(form.strip("'"), parse_uri(form.strip("'")))


def test_a_server_url_is_given_as_the_hint_says() -> None:
    """Either form."""
    filled(hint(lambda: parse_server_url("https://reg.test/other/")), "give host[:port] or https://host[:port]")
    assert parse_server_url("reg.test:5000").authority == parse_server_url("https://reg.test:5000").authority


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"uri": 5}', b'{"uri": "a", "uri": "b"}'])
def test_a_request_is_sent_as_the_hint_says(body: bytes) -> None:
    """The hint contains a request."""
    advice = hint(lambda: decode_request(body))
    filled(advice, 'send {"uri": "https://registry.example.com/v2/..."}')
    assert decode_request(advice.removeprefix("send ").encode()) == "https://registry.example.com/v2/..."


def test_a_netrc_file_is_saved_in_the_encoding_that_the_hint_names() -> None:
    """Editors of another system write UTF-16."""
    text = "machine reg.test login me password x\n"
    filled(hint(lambda: parse_netrc(text.encode("utf-16"), "the file")), "save it as UTF-8")
    assert parse_netrc(text.encode("utf-8"), "the file").hosts == {"reg.test"}


def test_a_login_that_docker_shall_have_is_stored_in_the_encoding_that_the_hint_names() -> None:
    """A netrc file may hold other bytes, and Basic carries them."""

    def told(content: bytes) -> bytes | None:
        return encode_docker("reg.test", parse_netrc(content, "the file").logins["reg.test"])

    entry = "machine reg.test login mé password x\n"
    filled(hint(lambda: told(entry.encode("latin-1"))), "store it in UTF-8")
    assert told(entry.encode("utf-8")) is not None


@pytest.mark.parametrize(
    ("find", "variable"), [(helper_socket, "CREDPROXY_SOCKET"), (actions_socket, "CREDPROXY_ACTIONS_SOCKET")]
)
def test_a_place_for_a_socket_is_set_as_the_hint_says(find: FindSocket, variable: str) -> None:
    """A user without an entry in /etc/passwd, in a container. Each of the three remedies is enough."""

    def place(**environ: str) -> str:
        return find(environ, 54321, is_directory=lambda path: path == "/run/mine")

    assert filled(hint(place), "set HOME, XDG_RUNTIME_DIR or {}") == (variable,)
    assert place(HOME="/home/me").startswith("/home/me/")
    assert place(XDG_RUNTIME_DIR="/run/mine").startswith("/run/mine/")
    assert place(**{variable: "/here/x.sock"}) == "/here/x.sock"
    filled(hint(lambda: place(**{variable: "here"})), "set it to an absolute path, or unset it")


MATCHES = [
    ("https://reg.test", text_of("leave it out: plain http is allowed with insecure = true"), "reg.test"),
    ("reg.test/a*", text_of("write whole segments: everything below them is included"), "reg.test/a"),
    ("reg.test/a/../b", text_of("write it out"), "reg.test/b"),
    ("", text_of("write host, host:port, *.suffix or *, each with an optional /path"), "reg.test:5000/a"),
    ("*test", text_of("write host, host:port, *.suffix or *, each with an optional /path"), "*.test"),
]


@pytest.mark.parametrize(("written", "said", "followed"), MATCHES)
def test_a_match_is_written_as_the_hint_says(written: str, said: str, followed: str) -> None:
    """As ``config check`` prints it, after the problem."""

    def read(match: str) -> str:
        return load(f'[[host]]\nmatch = "{match}"\nprovider = "none"\n', "f").host[0].match

    with pytest.raises(ConfigError) as caught:
        read(written)
    assert str(caught.value.mistakes[0]).endswith(said)
    assert read(followed) == followed
