"""Where a registry's answer may lead, and what is sent there."""

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.core.errors import Code, Failed
from credproxy.gateway.redirect import Hop, first, follow, renewed
from credproxy.gateway.request_reader import wanted
from tests.gateway.world import BLOB, code, incoming


DIAL = Dial(networks=("10.0.0.0/8",), own=True, addresses=("10.1.1.1",), ca_bundle="/ca.pem", tls_verify=False)
ELSEWHERE = Dial(networks=("10.0.0.0/8",), ca_bundle="/ca.pem")
TLS = Reach(Origin("https://reg.test"), DIAL)
PORT = Reach(Origin("https://reg.test:5000"), DIAL)
PLAIN = Reach(Origin("http://reg.test"), DIAL)
CANARY = "canary-4711"
WANTED = wanted(incoming(BLOB))


def led(location: str, reach: Reach = TLS) -> Hop:
    """Follow a Location of the registry's own answer."""
    return follow(
        first(reach, "/v2/a/blobs/x", query="", upstream="registry 'reg.test'"), location, reach=reach, wanted=WANTED
    )


def test_the_first_hop_is_the_registry() -> None:
    """With its credential, under its own egress policy."""
    hop = first(TLS, "/v2/a/tags/list", query="n=1", upstream="registry 'reg.test'")
    assert hop == Hop("https://reg.test/v2/a/tags/list?n=1", DIAL, own=True, subject="registry 'reg.test'")
    assert first(TLS, "/v2/", query="", upstream="registry 'reg.test'").url == "https://reg.test/v2/"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/elsewhere?x=1", "https://reg.test/elsewhere?x=1"),
        ("y", "https://reg.test/v2/a/blobs/y"),
        ("../../z", "https://reg.test/v2/z"),
        ("?x", "https://reg.test/v2/a/blobs/x?x"),
        ("", "https://reg.test/v2/a/blobs/x"),
        ("https://reg.test/y#fragment", "https://reg.test/y"),
        ("//reg.test/y", "https://reg.test/y"),
        ("https://reg.test:443/y", "https://reg.test/y"),
        ("https://reg.test:0443/y", "https://reg.test/y"),
        ("https://reg.test:/y", "https://reg.test/y"),
        ("HTTPS://REG.test/Y", "https://reg.test/Y"),
        ("https://reg.test./y", "https://reg.test/y"),
        ("https://reg%2Etest/y", "https://reg.test/y"),
        ("https://reg.test/x/../y", "https://reg.test/y"),
        ("https://reg.test?x", "https://reg.test/?x"),
        ("/\\evil.test/y", "https://reg.test/%5Cevil.test/y"),
    ],
)
def test_another_place_of_the_registrys_own_origin_keeps_the_credential(location: str, url: str) -> None:
    """Scheme, host and port are the same (SEC-7), in whatever spelling; a fragment stays here."""
    assert led(location) == Hop(url, DIAL, own=True, subject="registry 'reg.test'")


@pytest.mark.parametrize(
    ("location", "reach"),
    [
        ("https://cdn.test/y", TLS),
        ("https://reg.test:444/y", TLS),
        ("https://reg.test.y.test/y", TLS),
        ("https://reg.test:80/y", TLS),
        ("https://reg-test/y", TLS),
        ("https://reg.test.evil.test/y", TLS),
        ("https://xreg.test/y", TLS),
        ("//reg.test:5000/y", TLS),
        ("https://reg.test/y", PORT),
        ("https://reg.test:5001/y", PORT),
        ("https://reg.test/y", PLAIN),
        ("http://reg.test:443/y", PLAIN),
        ("http://reg.test:8080/y", PLAIN),
        ("https://evil.test/https://reg.test/", TLS),
    ],
)
def test_any_other_origin_loses_it(location: str, reach: Reach) -> None:
    """SEC-7, T26: also another port, a longer name; the dial guard is on, and certificates are always checked."""
    hop = led(location, reach)
    assert not hop.own
    assert hop.dial == ELSEWHERE
    assert hop.subject.endswith("where registry 'reg.test' keeps it,")


@pytest.mark.parametrize("path", ["/v2/secret/blobs/x", "/v2/a/b/blobs/x", "/v2/a/../secret/blobs/x", "/api/a", "/"])
def test_a_storage_host_chooses_no_path_of_the_registry(path: str) -> None:
    """It could send us back to what policy did not allow: that is requested without a credential."""
    hop = follow(led("https://cdn.test/y"), f"https://reg.test{path}", reach=TLS, wanted=WANTED)
    assert (hop.own, hop.dial) == (False, ELSEWHERE)


@pytest.mark.parametrize(
    ("query", "back", "own"),
    [("", "", True), ("", "?acl", False), ("?v=1", "?v=1", True), ("?v=1", "?v=2", False), ("?v=1", "", False)],
)
def test_a_storage_host_chooses_no_query_of_an_object(query: str, back: str, own: bool) -> None:  # noqa: FBT001  a table
    """Policy has allowed the object with one query, and ``?acl`` or ``?versionId=`` are something else."""
    url = f"https://reg.test/pub/x{query}"
    found = wanted(incoming(f"/v1/fetch?url={quote(url, safe='')}"))
    begun = first(TLS, "/pub/x", query=query[1:], upstream="host 'reg.test'")
    elsewhere = follow(begun, "https://cdn.test/y", reach=TLS, wanted=found)
    hop = follow(elsewhere, f"https://reg.test/pub/x{back}", reach=TLS, wanted=found)
    assert (hop.own, hop.dial) == ((True, DIAL) if own else (False, ELSEWHERE))


@pytest.mark.parametrize("prefix", ["", "/art/api/docker/x"])
def test_back_at_the_repository_that_was_allowed_the_credential_is_there_again(prefix: str) -> None:
    """A URL on the registry gets the registry's credential, also after one on another host."""
    reach = Reach(Origin("https://reg.test"), DIAL, prefix)
    place = f"{prefix}{BLOB}"
    hop = follow(led("https://cdn.test/y", reach), f"https://reg.test:443{place}", reach=reach, wanted=WANTED)
    assert hop == Hop(f"https://reg.test{place}", DIAL, own=True, subject="registry 'reg.test'")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (f"http://cdn.test/?{CANARY}", Code.DOWNGRADE),
        (f"http://reg.test/?{CANARY}", Code.DOWNGRADE),
        (f"HTTP://cdn.test/?{CANARY}", Code.DOWNGRADE),
        (f"https://{CANARY}@cdn.test/", Code.REDIRECT_REFUSED),
        (f"https://u:{CANARY}@reg.test/", Code.REDIRECT_REFUSED),
        (f"https://reg.test\\@evil.test/{CANARY}", Code.REDIRECT_REFUSED),
        (f"ftp://cdn.test/{CANARY}", Code.REDIRECT_REFUSED),
        (f"file:///etc/{CANARY}", Code.REDIRECT_REFUSED),
        (f"unix:/run/{CANARY}", Code.REDIRECT_REFUSED),
        (f"javascript:{CANARY}", Code.REDIRECT_REFUSED),
        (f"data:,{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://:443/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn.test:0/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://evil.test\\.reg.test/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://a..b/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://reg.test%3A444/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://reg%2ftest/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn .test/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https:{CANARY}", Code.REDIRECT_REFUSED),
        (f"https:///{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn.test/\ud800{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://.reg.test/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://{'a' * 64}.test/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://2130706433/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://127.1/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://0x7f.0.0.1/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://[fe80::1%25eth0]/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn.test:65536/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn.test:{CANARY}/", Code.REDIRECT_REFUSED),
        (f"https://[::1/{CANARY}", Code.REDIRECT_REFUSED),
        (f"//[::1/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://[{CANARY}]/", Code.REDIRECT_REFUSED),
        (f"https://cdn\u2100.test/{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn.test/\r\nX: {CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn.test/\x00{CANARY}", Code.REDIRECT_REFUSED),
        (f"https://cdn.test/\x7f{CANARY}", Code.REDIRECT_REFUSED),
        (f"ht\ntps://cdn.test/{CANARY}", Code.REDIRECT_REFUSED),
    ],
)
def test_what_is_not_followed(location: str, expected: Code) -> None:
    """T26: no downgrade, no userinfo, no other scheme; a presigned URL is a secret, and never in a message (SC-14)."""
    with pytest.raises(Failed) as caught:
        led(location)
    assert code(caught.value) is expected
    assert CANARY not in "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.failure)
    assert caught.value.__context__ is None


def test_plain_http_stays_possible_where_the_registry_is_plain() -> None:
    """The operator said ``insecure``; other hosts reached from there still get no private addresses."""
    assert led("http://cdn.test/y", PLAIN) == Hop(
        "http://cdn.test/y", ELSEWHERE, own=False, subject="host 'cdn.test', where registry 'reg.test' keeps it,"
    )
    over_tls = follow(led("https://cdn.test/y", PLAIN), "https://cdn2.test/", reach=PLAIN, wanted=WANTED)
    with pytest.raises(Failed):
        follow(over_tls, "http://cdn.test/y", reach=PLAIN, wanted=WANTED)


@given(st.text(alphabet="htps:/\\@.[]#?%ab1\x00\r\n \u2100reg.test", max_size=40))
def test_only_the_origin_itself_is_given_the_credential(location: str) -> None:
    """SEC-7: for any Location, a URL of the registry begins with its origin, and no other error is raised."""
    try:
        hop = led(location)
    except Failed:
        return
    assert hop.url.startswith(("http://", "https://"))
    if hop.own:
        assert hop.url.startswith(("https://reg.test/", "https://reg.test?")) or hop.url == "https://reg.test"
    assert hop.url.isascii()
    assert hop.url.isprintable()


def test_a_remembered_hop_is_made_again() -> None:
    """A reload may have changed the registry's origin and its egress policy: the login goes to the new one only."""
    there, dial = (
        first(TLS, "/v2/a/blobs/uploads/x", query="", upstream="reg.test"),
        Dial(ca_bundle="/new.pem", own=True),
    )
    assert renewed(there, Reach(Origin("https://reg.test"), dial)) == Hop(
        there.url, dial, own=True, subject=there.subject
    )
    moved = renewed(there, Reach(Origin("http://reg.test"), dial))
    assert (moved.own, moved.dial) == (False, Dial(ca_bundle="/new.pem"))
    away = led("https://cdn.test/upload")
    assert renewed(away, Reach(Origin("https://cdn.test"), dial)).own is False
