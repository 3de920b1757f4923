"""A request as bytes: nothing in it can become another line (T14)."""

import pytest

from credproxy.adapters.request_bytes import written
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Request


def test_a_request_is_written_as_it_goes_over_the_wire() -> None:
    """Headers in order, a secret among them; the host is the URL's own."""
    headers = (("Accept", "a/b"), ("Authorization", Secret("Basic eA==")), ("User-Agent", "tab\tand \xe9"))
    request = Request("GET", "https://reg.test:5000/v2/a/blobs/x?y=1", headers)
    assert written(request) == (
        b"GET /v2/a/blobs/x?y=1 HTTP/1.1\r\nHost: reg.test:5000\r\nAccept: a/b\r\n"
        b"Authorization: Basic eA==\r\nUser-Agent: tab\tand \xe9\r\n\r\n"
    )


def test_a_place_without_a_path_is_the_root() -> None:
    """As in browsers."""
    assert written(Request("GET", "http://reg.test")).startswith(b"GET / HTTP/1.1\r\nHost: reg.test\r\n")


def test_a_proxy_is_asked_for_the_whole_url_and_gets_its_login() -> None:
    """For plain HTTP; through a tunnel it sees neither."""
    dial = Dial(proxy="http://u:p@proxy.test:3128")
    assert written(Request("GET", "http://reg.test/x", dial=dial)) == (
        b"GET http://reg.test/x HTTP/1.1\r\nHost: reg.test\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    )
    assert b"Proxy" not in written(Request("GET", "https://reg.test/x", dial=dial))


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("https://reg.test/a b", "Accept", "x"),  # another word of the first line
        ("https://reg.test/\x7f", "Accept", "x"),
        ("https://reg.test/\xe9", "Accept", "x"),
        ("https://reg.test\x00/", "Accept", "x"),
        ("https://reg.test/", "Accept", "x\r\nHost: other.test"),
        ("https://reg.test/", "Accept", "x\n"),
        ("https://reg.test/", "Accept", "x\r\n folded"),
        ("https://reg.test/", "Accept", "x\x00"),
        ("https://reg.test/", "Accept", "\u4e2d"),  # not in Latin-1
        ("https://reg.test/", "Accept: x\r\nHost", "x"),
        ("https://reg.test/", "Accept ", "x"),
        ("https://reg.test/", "", "x"),
    ],
)
def test_an_ambiguous_request_is_not_sent(url: str, name: str, value: str) -> None:
    """And the error quotes nothing of it, which may be a secret."""
    with pytest.raises(ValueError, match=r"^got a (path|header) that cannot be") as caught:
        written(Request("GET", url, ((name, Secret(value)),)))
    assert "other.test" not in str(caught.value)
