"""Where the next page of a list is: Link fields as in RFC 8288, and never a silently shortened list."""

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.core.errors import Code, Failed
from credproxy.gateway.link_header import LONGEST, next_query
from credproxy.gateway.redirect import first
from credproxy.gateway.request_reader import wanted
from tests.gateway.world import code, incoming


LIST = "/v2/org/app/tags/list"
WANTED = wanted(incoming(f"{LIST}?n=50"))


def query(*links: str, prefix: str = "", origin: str = "https://reg.test") -> str | None:
    """The query of the next page of a list that was asked for with ``?n=50``."""
    reach = Reach(Origin(origin), Dial(own=True), prefix)
    hop = first(reach, LIST, query="n=50", upstream="registry 'reg.test'")
    return next_query(tuple(("Link", link) for link in links), hop, reach=reach, wanted=WANTED)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (f'<{LIST}?n=50&next_page=gAAAA%3D%3D>; rel="next"', "n=50&next_page=gAAAA%3D%3D"),
        (f'<https://reg.test{LIST}?last=b&n=50>; rel="next"', "last=b&n=50"),
        (f'<HTTPS://REG.test:443{LIST}?last=b>; rel="next"', "last=b"),
        (f'<//reg.test{LIST}?last=b>; rel="next"', "last=b"),
        ("<list?last=b>;rel=next", "last=b"),
        ("<?last=b>;rel=next", "last=b"),
        ("<../tags/./list?last=b>;rel=next", "last=b"),
        (f"<{LIST}?last=b#fragment>;rel=next", "last=b"),
        ("</v2/org/%61pp/tags/list?last=b>;rel=next", "last=b"),
        (f"<{LIST}>; rel=next", ""),
        (f"< {LIST}?last=a b >; rel=next", "last=a%20b"),
        (f"<{LIST}?last=a,b;c>; rel=next", "last=a,b;c"),
        (f'<{LIST}?last=b>; REL="Next"', "last=b"),
        (f'<{LIST}?last=b>; rel="up next  foo"', "last=b"),
        (f'<{LIST}?last=b> ; title="a, \\"b\\"; rel=prev" ; rel=next ; type="x/y"', "last=b"),
        (f"<{LIST}?last=b>; rel = next", "last=b"),
        (f"<{LIST}?last=b>; flag; rel=next;", "last=b"),
        (f"<{LIST}?last=a>; rel=prev, <{LIST}?last=b>; rel=next", "last=b"),
        (f", ,<{LIST}?last=a>; rel=first ,, <{LIST}?last=b>; rel=next,", "last=b"),
        (f"<{LIST}?last=b>; rel=next; rel=prev", "last=b"),
        (f'<{LIST}?last=b>; rel=next; anchor="?n=50"', "last=b"),
        (f"<{LIST}?last=b>; rel=prev", None),
        (f"<{LIST}?last=b>; rel=prev; rel=next", None),
        (f"<{LIST}?last=b>; rel=nextish", None),
        (f"<{LIST}?last=b>; rev=next", None),
        (f"<{LIST}?last=b>; rel='next'", "last=b"),
        (f"<{LIST}?last=b>", "last=b"),
        (f'<{LIST}?last=b>; title="more"', "last=b"),
        (f"<{LIST}?last=c>, <{LIST}?last=b>; rel=next", "last=b"),
        (f"<{LIST}?n=50>", None),
        (f"<{LIST}>", None),
        (f"<https://other.test{LIST}?last=b>", None),
        ("</v2/org/other/tags/list?last=b>", None),
        (f'<{LIST}?last=b>; rel=next; anchor="/other"', None),
        (f'<{LIST}?last=b>; rel=next; anchor="#part"', None),
        (f'<{LIST}?last=b>; rel=next; anchor="/other?n=50"', None),
        (f'<{LIST}?last=b>; rel=next; anchor="?n=51"', None),
        (f'<{LIST}?last=b>; rel=next; anchor="https://other.test{LIST}?n=50"', None),
        (f'<{LIST}?last=b>; rel=next; anchor="https://[x"', None),
        ("<https://[x?last=b>", None),
        ("<https://docs.test/>; rel=help", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_next_page_in_each_form_of_the_standard(link: str, expected: str | None) -> None:
    """RFC 8288, sections 3 and 3.2 to 3.4, and appendix B: the first one of a duplicate parameter counts.

    A link without a relation is not valid. Clients still take it for the next page, so it counts if it leads to the
    same list; otherwise the list would be shorter than without the gateway.
    """
    assert query(link) == expected


def test_several_lines_are_several_links() -> None:
    """And the first of two next pages is taken."""
    assert query("<https://docs.test/>; rel=help", "<?last=b>; rel=next", "<?last=c>; rel=next") == "last=b"


@pytest.mark.parametrize("path", [LIST, f"/art/api/docker/x{LIST}"])
def test_with_a_path_prefix_a_link_is_written_with_it_or_without(path: str) -> None:
    """Registries behind one do both; the client gets the path that it requested."""
    assert query(f"<{path}?last=b>; rel=next", prefix="/art/api/docker/x") == "last=b"


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (f"<https://other.test{LIST}?last=b>; rel=next", "at a place other than the registry, https://other.test"),
        (f"<https://reg.test:5000{LIST}?last=b>; rel=next", "at a place other than the registry, https://reg.test"),
        (f"<http://reg.test{LIST}?last=b>; rel=next", "at a place other than the registry, http://reg.test"),
        ("</v2/org/other/tags/list?last=b>; rel=next", "at a path other than that of the list"),
        ("</v2/org%2Fapp/tags/list?last=b>; rel=next", "at a path other than that of the list"),
        (f"<{LIST}/?last=b>; rel=next", "at a path other than that of the list"),
        (f"<{LIST}?n=50>; rel=next", "where this page is"),
        ("<>; rel=next", "where this page is"),
        ("<ftp://reg.test/>; rel=next", "at a place that has the scheme 'ftp', where http or https is wanted"),
        ("<//[x/>; rel=next", "at a place that names no host, or a port that is not a number"),
    ],
)
def test_a_next_page_that_cannot_be_asked_is_an_error(link: str, message: str) -> None:
    """A final one: the registry says the same to each client that asks again, and 502 would be repeated for 35 s."""
    with pytest.raises(Failed) as caught:
        query(link)
    assert code(caught.value) is Code.REDIRECT_REFUSED
    assert (
        caught.value.failure.message
        == f"registry 'reg.test' has the next page of the list of tags of 'org/app' {message}"
    )
    assert "shorter" in caught.value.failure.hint


@pytest.mark.parametrize(
    "link",
    [
        f'{LIST}?last=b; rel="next"',
        f"<{LIST}?last=b; rel=next",
        f'<{LIST}?last=b>; rel="next',
        f"<{LIST}?last=b> rel=next",
        f"<{LIST}?last=b>; rel=next foo",
        f"<{LIST}?last=a>; rel=prev <{LIST}?last=b>; rel=next",
    ],
)
def test_what_may_be_a_next_page_and_cannot_be_read_is_an_error(link: str) -> None:
    """Otherwise the client would take page one for the whole list."""
    with pytest.raises(Failed, match="not in its form") as caught:
        query(link)
    assert code(caught.value) is Code.REDIRECT_REFUSED


def test_a_query_that_fits_in_no_request_is_an_error() -> None:
    """413: it would be refused when it comes back."""
    assert query(f"<?last={'x' * (LONGEST - 5)}>; rel=next") is not None
    with pytest.raises(Failed) as caught:
        query(f"<?last={'x' * (LONGEST - 4)}>; rel=next")
    assert code(caught.value) is Code.ANSWER_TOO_LARGE


@given(st.lists(st.sampled_from(["<", ">", "?a", ";", ",", '"', "\\", "rel", "=", "next", "prev", " ", LIST, "//x"])))
def test_whatever_a_registry_writes_is_read_or_refused(parts: list[str]) -> None:
    """No other error, and a query without line breaks."""
    try:
        found = query("".join(parts))
    except Failed:
        return
    assert found is None or (found.isascii() and found.isprintable() and not set(found) & set('<>" '))
