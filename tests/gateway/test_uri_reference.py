"""URI references: RFC 3986's own examples, what browsers repair, and one spelling for one URL."""

import pytest
from hypothesis import given, strategies as st

from credproxy.gateway.uri_reference import Location, UnfitReference, resolve, same_path


BASE = "http://a/b/c/d;p?q"


def url(reference: str, base: str = BASE) -> str:
    """Where a reference leads, in full."""
    place = resolve(base, reference)
    assert isinstance(place, Location), place
    return place.url


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("g#s/../x", "http://a/b/c/g"),
        ("http://a/x/../y", "http://a/y"),
        ("//h/x/./y", "http://h/x/y"),
        ("g?", "http://a/b/c/g?"),
        ("?", "http://a/b/c/d;p?"),
        ("x//y", "http://a/b/c/x//y"),
    ],
)
def test_references_of_the_standard_lead_where_it_says(reference: str, expected: str) -> None:
    """RFC 3986, sections 5.4.1 and 5.4.2, and what libraries get wrong: dots after an authority, an empty query."""
    assert url(reference) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/a b", "/a%20b"),
        (" /a\t", "/a"),
        ('/{a}|"b"<c>^`\\', "/%7Ba%7D%7C%22b%22%3Cc%3E%5E%60%5C"),
        ("/\u00e4\u20ac", "/%C3%A4%E2%82%AC"),
        ("/\u00e4", "/%C3%A4"),
        ("/\u00c3\u00a4", "/%C3%A4"),
        ("/\udcc3\udca4\u20ac", "/%C3%A4%E2%82%AC"),
        ("/%zz%", "/%zz%"),
        ("/x?a=[1]&b=%2f+", "/x?a=[1]&b=%2f+"),
        ("/x?X-Amz-Signature=%41&y=~;z", "/x?X-Amz-Signature=%41&y=~;z"),
    ],
)
def test_what_a_browser_repairs_is_repaired_and_the_rest_stays_as_it_was_written(reference: str, expected: str) -> None:
    """Other characters are percent-encoded, from whichever client they come; a signature's own bytes are not touched."""
    assert url(reference, "https://reg.test/v2/") == f"https://reg.test{expected}"


@pytest.mark.parametrize(
    "reference",
    [
        "https://b\u00fccher.example",
        "https://B\u00dcCHER.example:443",
        "https://xn--bcher-kva.example./",
        "https://b%C3%BCcher.example",
        "https://b\u00c3\u00bccher.example",
        "https://b\u00fccher\u3002example",
    ],
)
def test_an_international_name_has_one_spelling(reference: str) -> None:
    """IDNA, as in resolvers and certificates."""
    place = resolve(BASE, reference)
    assert isinstance(place, Location)
    assert place.origin == "https://xn--bcher-kva.example"
    assert place.path == "/"


def test_a_place_has_parts() -> None:
    """A host without its port, an address with its brackets."""
    place = resolve(BASE, "https://[0:0::1]:5000/x?y")
    assert place == Location("https", "[::1]:5000", "/x", "y")
    assert isinstance(place, Location)
    assert (place.origin, place.host) == ("https://[::1]:5000", "[::1]")
    assert Location("https", "[::1]", "/", None).host == "[::1]"


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("mailto:x", "has the scheme 'mailto', where http or https is wanted"),
        ("1a:x", "has no scheme, where http or https is wanted"),
        ("https:x", "names no host, or a port that is not a number"),
        ("https:///x", "names no host, or a port that is not a number"),
        ("https://h:x/", "names no host, or a port that is not a number"),
        ("https://h:000/", "names the port 0"),
        ("https://h:65536/", "names a host or a port that does not exist, or writes it in an unusual way"),
        ("https://127.1/", "names a host or a port that does not exist, or writes it in an unusual way"),
        ("https://u@h/", "holds a user name or a password"),
        ("/a\nb", "holds a control character"),
        ("/a\x7fb", "holds a control character"),
        ("/\u20ac\ud800", "holds an invalid character"),
    ],
)
def test_what_leads_nowhere_is_refused_for_what_it_is(reference: str, reason: str) -> None:
    """The message says what is wrong, and quotes nothing else of what may be a signed URL."""
    assert resolve(BASE, reference) == UnfitReference(reason)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/v2/a/tags/list", "/v2/%61/tags/list", True),
        ("/v2/a%2db", "/v2/a%2Db", True),
        ("/v2/a%2fb", "/v2/a%2Fb", True),
        ("/v2/a%2Fb", "/v2/a/b", False),
        ("/v2/a", "/v2/A", False),
        ("/v2/a", "/v2/a/", False),
    ],
)
def test_two_spellings_of_a_path(one: str, other: str, same: bool) -> None:  # noqa: FBT001  parametrized
    """RFC 3986, section 6.2.2: escapes of unreserved characters, and the case of escapes; an escaped slash is different."""
    assert same_path(one, other) is same


@given(st.text(max_size=40), st.sampled_from([BASE, "https://reg.test/v2/a/tags/list?n=1"]))
def test_whatever_is_written_leads_to_one_line_of_ascii_or_nowhere(reference: str, base: str) -> None:
    """And the result resolves to itself."""
    place = resolve(base, reference)
    if isinstance(place, Location):
        assert place.url.isascii()
        assert place.url.isprintable()
        assert " " not in place.url
        assert resolve(base, place.url) == place
