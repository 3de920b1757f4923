"""The form of a URL that S3 compares signatures of."""

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.aws_url import signed_form
from credproxy.core.ask.uri import parse_uri


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/b/plain.txt", "/b/plain.txt"),
        ("/b/d/a(b)+c!.txt", "/b/d/a%28b%29%2Bc%21.txt"),
        ("/b/a@b=c&d.txt", "/b/a%40b%3Dc%26d.txt"),
        ("/b/%7Ey", "/b/~y"),
        ("/b/t~x", "/b/t~x"),
        ("/b/sp%20ace", "/b/sp%20ace"),
        ("/b/%C3%A9", "/b/%C3%A9"),
        ("/b/%ff", "/b/%FF"),
        ("/b/q%25x", "/b/q%25x"),
        ("/b//./x", "/b//./x"),
        ("/b/x?response-content-type=text/plain", "/b/x?response-content-type=text%2Fplain"),
        ("/b/x?x-id", "/b/x?x-id="),
        ("/b/x?b=2&a=1&a=", "/b/x?a=&a=1&b=2"),
        ("/b/x?a=b+c", "/b/x?a=b%20c"),
        ("/b/x?versionId=a%2Bb", "/b/x?versionId=a%2Bb"),
        ("/?list-type=2&prefix=a/b", "/?list-type=2&prefix=a%2Fb"),
    ],
)
def test_reserved_characters_are_encoded_once(sent: str, signed: str) -> None:
    """Clients send them as they are; tests/real/test_s3.py has a server that says the same."""
    assert signed_form(parse_uri(f"https://s3.test{sent}")) == f"https://s3.test{signed}"


def test_another_authority_is_signed_where_the_server_knows_itself_by_it() -> None:
    """Behind a proxy that changes the Host."""
    assert signed_form(parse_uri("https://files.test/b/x"), "s3.test:9000") == "https://s3.test:9000/b/x"


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\?#%@"), max_size=30))
def test_the_form_of_the_form_is_the_form(path: str) -> None:
    """A client that encodes itself, as the SDKs do, gets the same signature."""
    once = signed_form(parse_uri(f"https://s3.test/b/{path}"))
    assert signed_form(parse_uri(once)) == once
