"""What a request asks for, or why it is refused: the parsed bytes are those that are forwarded (T14)."""

from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.endpoint import Kind
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Granted, Repository
from credproxy.core.errors import Code, Failed
from credproxy.core.policy.operations import needed
from credproxy.gateway.incoming import ORIGINAL_HOST, Incoming
from credproxy.gateway.request_reader import wanted
from credproxy.gateway.wanted import What
from tests.gateway.world import D, code, incoming


PULL = ("pull",)
PUSH = ("pull", "push")
DELETE = ("pull", "delete")


@pytest.mark.parametrize(
    ("method", "target", "what", "reference", "operation", "grants"),
    [
        ("GET", f"/v2/a/blobs/{D}", What.BLOB, D, "blob:read", PULL),
        ("HEAD", f"/v2/a/b/c/blobs/{D}", What.BLOB, D, "blob:read", PULL),
        ("DELETE", f"/v2/a/blobs/{D}", What.BLOB, D, "blob:write", DELETE),
        ("GET", "/v2/a/manifests/v1.0_x-y", What.MANIFEST, "v1.0_x-y", "manifest:read", PULL),
        ("HEAD", f"/v2/a/manifests/{D}", What.MANIFEST, D, "manifest:read", PULL),
        ("PUT", "/v2/a/manifests/Latest", What.MANIFEST, "Latest", "manifest:write", PUSH),
        ("DELETE", f"/v2/a/manifests/{D}", What.MANIFEST, D, "manifest:write", DELETE),
        ("GET", "/v2/a/tags/list", What.TAGS, "", "manifest:read", PULL),
        ("HEAD", "/v2/a/tags/list", What.TAGS, "", "manifest:read", PULL),
        ("GET", f"/v2/a/referrers/{D}", What.REFERRERS, D, "manifest:read", PULL),
        ("POST", "/v2/a/blobs/uploads/", What.UPLOADS, "", "blob:write", PUSH),
        ("POST", "/v2/a/blobs/uploads", What.UPLOADS, "", "blob:write", PUSH),
        ("GET", "/v2/a/blobs/uploads/Id_1-x", What.SESSION, "Id_1-x", "blob:write", PUSH),
        ("PATCH", "/v2/a/blobs/uploads/Id", What.SESSION, "Id", "blob:write", PUSH),
        ("PUT", f"/v2/a/blobs/uploads/Id?digest={D}", What.SESSION, "Id", "blob:write", PUSH),
        ("DELETE", "/v2/a/blobs/uploads/Id", What.SESSION, "Id", "blob:write", PUSH),
    ],
)
def test_every_endpoint_of_the_protocol(
    method: str, target: str, what: What, reference: str, operation: str, grants: tuple[str, ...]
) -> None:
    """Each method of each endpoint, and what its token has to grant."""
    found = wanted(incoming(target, method))
    assert (found.method, found.registry) == (method, "reg.test")
    assert (found.what, found.reference, found.operation) == (what, reference, operation)
    assert found.grants == ((found.repository, grants),)
    assert found.reads is (method in {"GET", "HEAD"})


@pytest.mark.parametrize(
    ("target", "method"),
    [
        (f"/v2/a/blobs/{D}", "PUT"),
        (f"/v2/a/blobs/{D}", "POST"),
        (f"/v2/a/blobs/{D}", "OPTIONS"),
        (f"/v2/a/blobs/{D}", "get"),
        (f"/v2/a/blobs/{D}", "G\u0130T"),
        ("/v2/a/manifests/x", "PATCH"),
        ("/v2/a/tags/list", "DELETE"),
        (f"/v2/a/referrers/{D}", "PUT"),
        ("/v2/a/blobs/uploads/", "GET"),
        ("/v2/a/blobs/uploads/", "PUT"),
        ("/v2/a/blobs/uploads/Id", "POST"),
        ("/v2/a/blobs/uploads/Id", "HEAD"),
        ("/v2/a/manifests/x", "X" * 5000),
    ],
)
def test_other_methods_are_not_taken(target: str, method: str) -> None:
    """T14: a method is one of a list, in one spelling; only a short part is quoted."""
    with pytest.raises(Failed) as caught:
        wanted(incoming(target, method))
    assert code(caught.value) is Code.METHOD_NOT_ALLOWED
    assert len(caught.value.failure.message) < 100


BAD_PATHS = [
    # encoded once, twice, in either case
    f"/v2/a%2Fb/blobs/{D}",
    f"/v2/a%2fb/blobs/{D}",
    f"/v2/a%252Fb/blobs/{D}",
    f"/v2/%61/blobs/{D}",
    f"/v2/a/blobs/{D.replace(':', '%3A')}",
    f"/v2/%2e%2e/secret/blobs/{D}",
    f"/v2/a/%2e%2e/secret/blobs/{D}",
    f"/v2/a/.%2e/secret/blobs/{D}",
    f"/v2/a/%252e%252e/secret/blobs/{D}",
    f"/v2/a%00/blobs/{D}",
    f"/v2/a%0d%0aX: y/blobs/{D}",
    f"/v2/a%5cb/blobs/{D}",
    "/v2/a/manifests/%2e%2e",
    "/v2/a/manifests/a%2Fb",
    # dots and slashes
    f"/v2/../secret/blobs/{D}",
    f"/v2/a/../secret/blobs/{D}",
    f"/v2/a/./blobs/{D}",
    f"/v2/./a/blobs/{D}",
    f"/v2/a/..;/secret/blobs/{D}",
    f"/v2//a/blobs/{D}",
    f"/v2/a//blobs/{D}",
    f"/v2/a/blobs//{D}",
    f"//v2/a/blobs/{D}",
    f"/v2/a/blobs/{D}/",
    f"/v2/a/blobs/{D}/..",
    f"/v2/a\\b/blobs/{D}",
    f"/v2/a\\..\\secret/blobs/{D}",
    f"/v2/a;x=y/blobs/{D}",
    f"/v2/a/blobs/{D};x=y",
    f"/v2/a/blobs/{D}#/../x",
    # bytes that no name has
    f"/v2/a\x00/blobs/{D}",
    f"/v2/a b/blobs/{D}",
    f"/v2/a\tb/blobs/{D}",
    f"/v2/A/blobs/{D}",
    f"/v2/\u00e4/blobs/{D}",
    f"/v2/a_-b/blobs/{D}",
    f"/v2/-a/blobs/{D}",
    f"/v2/{'a' * 256}/blobs/{D}",
    # invalid references
    "/v2/a/blobs/latest",
    "/v2/a/blobs/sha256",
    "/v2/a/blobs/:",
    "/v2/a/manifests/.hidden",
    "/v2/a/manifests/" + "x" * 129,
    "/v2/a/manifests/x:y:z",
    "/v2/a/referrers/latest",
    # invalid endpoints, or without a repository
    "/v2/_catalog",
    "/v2/a",
    f"/v2/blobs/{D}",
    "/v2/a/tags/list/x",
    "/v2/a/tags",
    "/v2/a/blobs",
    "/v2/a/signatures/x",
    "/v2/a/blobs/upload/x",
    "/v2/a/blobs/uploads/x/y",
    "/v2/a/blobs/uploads//",
    "/v2/a/blobs/uploads/x/",
    "/v2/token",
    "/v1/get",
    "/healthz",
    "v2/a/tags/list",
    "http://reg.test/v2/a/tags/list",
    # two repositories in one path
    f"/v2/a/blobs/uploads/blobs/{D}/blobs/uploads/x",
    "/v2/a/blobs/uploads/blobs/uploads/x",
]


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_that_others_may_read_otherwise(path: str, method: str) -> None:
    """T14, F14: refused, never repaired; policy is not even asked about one of its readings."""
    with pytest.raises(Failed) as caught:
        wanted(incoming(path, method))
    assert code(caught.value) in {Code.BAD_REQUEST, Code.NOT_FOUND}


@given(
    st.text(alphabet="ab/._-%2eEfF:;\\A\x00", max_size=40),
    st.sampled_from([f"/blobs/{D}", "/manifests/x", "/tags/list", "/blobs/uploads/", "/blobs/uploads/x", ""]),
    st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD"]),
)
def test_what_is_allowed_is_what_is_sent(name: str, tail: str, method: str) -> None:
    """T14: an accepted request is sent with the very bytes that were judged, except an upload's id and last slash."""
    path = f"/v2/{name}{tail}"
    try:
        found = wanted(incoming(path, method))
    except Failed:
        return
    begun = f"/v2/{found.repository}/blobs/uploads/"
    assert found.path == (begun if found.endpoint.kind is Kind.UPLOAD else path)
    assert path.startswith(f"/v2/{found.repository}/")
    assert found.operation in needed(method, path, kind=found.endpoint.kind)
    assert found.grants[0][0] == found.repository


HOSTS = [
    "ghcr.io",
    "index.docker.io",
    "docker.io",
    "localhost",
    "reg.test:5000",
    "reg.test:65535",
    "127.0.0.1:80",
    "[::1]",
    "[::1]:5000",
    "xn--bcher-kva.example",
]


@pytest.mark.parametrize("host", HOSTS)
def test_a_registry_in_its_canonical_form(host: str) -> None:
    """With and without a port; the name of the header in any case."""
    assert wanted(incoming("/v2/a/tags/list", host=host)).registry == host
    lines = ((ORIGINAL_HOST.upper(), host), ("Host", "another.test"))
    assert wanted(Incoming("GET", "/v2/a/tags/list", "", lines, 0)).registry == host


BAD_HOSTS = [
    "",
    " ",
    "GHCR.io",
    "ghcr.io.",
    "ghcr.io..",
    ".ghcr.io",
    "ghcr..io",
    "ghcr.io:443",
    "ghcr.io:",
    "ghcr.io:0",
    "ghcr.io:00443",
    "ghcr.io:70000",
    "ghcr.io:port",
    "ghcr.io:5000:5000",
    "https://ghcr.io",
    "//ghcr.io",
    "ghcr.io/",
    "ghcr.io/v2",
    "ghcr.io?x",
    "ghcr.io#x",
    "user@ghcr.io",
    "user:pw@ghcr.io",
    "ghcr.io\\@evil.test",
    "evil.test\\.ghcr.io",
    "ghcr.io, evil.test",
    "ghcr.io evil.test",
    "ghcr.io\r\nHost: evil.test",
    "ghcr.io\x00.evil.test",
    "ghcr%2eio",
    "b\u00fccher.example",
    "ghcr\u3002io",
    "\uff47hcr.io",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.0.0.01",
    "::1",
    "[::1",
    "[::1]x",
    "[0:0:0:0:0:0:0:1]",
    "[::FFFF:10.0.0.1]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]",
    "*.ghcr.io",
    "*",
    "%2Frun%2Fx.sock",
    "a" * 300,
]


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_registry_in_any_other_form(host: str) -> None:
    """T14, T15: not repaired, because policy, resolver and certificate would each read it differently."""
    with pytest.raises(Failed) as caught:
        wanted(incoming("/v2/a/tags/list", host=host))
    assert code(caught.value) is Code.BAD_REQUEST
    assert caught.value.failure.message.isascii()
    assert caught.value.failure.message.isprintable()


@pytest.mark.parametrize("hosts", [(), ("ghcr.io", "ghcr.io"), ("ghcr.io", "evil.test")])
def test_a_registry_is_named_once(hosts: tuple[str, ...]) -> None:
    """The hint is how to name it."""
    with pytest.raises(Failed, match="missing" if not hosts else "more than once") as caught:
        wanted(incoming("/v2/a/tags/list", host=hosts))
    assert "curl -H 'X-Rules_img-Original-Host: ghcr.io'" in caught.value.failure.hint


@pytest.mark.parametrize(
    ("method", "target", "sent"),
    [
        ("GET", "/v2/a/tags/list?n=10&last=x", "n=10&last=x"),
        ("GET", "/v2/a/tags/list?last=", "last="),
        ("HEAD", "/v2/a/tags/list?n=1", "n=1"),
        ("GET", "/v2/a/tags/list?n=50&next_page=gAAAA%3D%3D", "n=50&next_page=gAAAA%3D%3D"),
        ("GET", "/v2/a/tags/list?page=2&page_size=100", "page=2&page_size=100"),
        ("GET", "/v2/a/tags/list?last=b&n=5&orderby=", "last=b&n=5&orderby="),
        ("GET", f"/v2/a/referrers/{D}?continuationToken=x", "continuationToken=x"),
        ("GET", "/v2/a/tags/list?last=a%20b%0D%0Ac", "last=a+b%0D%0Ac"),
        ("GET", "/v2/a/tags/list?%6e=1", "n=1"),
        ("GET", "/v2/a/tags/list?n=1#x", "n=1%23x"),
        ("GET", f"/v2/a/referrers/{D}?artifactType=application/vnd.x%2Bjson", "artifactType=application/vnd.x%2Bjson"),
        ("POST", f"/v2/a/blobs/uploads/?digest={D}", f"digest={D}"),
        ("POST", f"/v2/a/blobs/uploads/?mount={quote(D)}&from=b/c", f"mount={D}&from=b/c"),
        ("POST", f"/v2/a/blobs/uploads/?from=b&mount={D}&origin=other.test", f"from=b&mount={D}"),
        ("POST", "/v2/a/blobs/uploads/?origin=other.test", ""),
        ("PUT", f"/v2/a/blobs/uploads/Id?digest={D}", f"digest={D}"),
    ],
)
def test_a_query_leaves_as_it_was_read(method: str, target: str, sent: str) -> None:
    """Decoded once and encoded again, so that it is unambiguous; ``origin`` does not concern the target."""
    assert wanted(incoming(target, method)).query == sent


BAD_QUERIES = [
    ("GET", "/v2/a/tags/list?x=1"),
    ("GET", "/v2/a/tags/list?N=1"),
    ("GET", "/v2/a/tags/list?n"),
    ("GET", "/v2/a/tags/list?n=1&&last=x"),
    ("GET", "/v2/a/tags/list?n=1&n=2"),
    ("GET", "/v2/a/tags/list?n=1&%6e=2"),
    ("GET", "/v2/a/tags/list?n=1;last=x"),
    ("GET", "/v2/a/tags/list?n=1 x"),
    ("GET", "/v2/a/tags/list?n=\u00e4"),
    ("GET", "/v2/a/tags/list?" + "&".join(f"n{i}=1" for i in range(9))),
    ("GET", f"/v2/a/blobs/{D}?x=1"),
    ("GET", f"/v2/a/blobs/{D}?X-Amz-Signature=s"),
    ("GET", f"/v2/a/manifests/x?digest={D}"),
    ("HEAD", f"/v2/a/blobs/{D}?n=1"),
    ("PUT", "/v2/a/manifests/x?tag=y"),
    ("PUT", "/v2/a/blobs/uploads/Id?digest=none"),
    ("PUT", f"/v2/a/blobs/uploads/Id?digest={D}&_state=x"),
    ("PATCH", f"/v2/a/blobs/uploads/Id?digest={D}"),
    ("POST", "/v2/a/blobs/uploads/?digest=latest"),
    ("POST", f"/v2/a/blobs/uploads/?mount={D}&from=b&from=c"),
    ("POST", f"/v2/a/blobs/uploads/?mount={D}&from=b&fro%6d=c"),
    ("POST", f"/v2/a/blobs/uploads/?mount={D};from=c"),
    ("POST", f"/v2/a/blobs/uploads/?mount={D}&from=../c"),
    ("POST", f"/v2/a/blobs/uploads/?mount={D}&from="),
    ("POST", "/v2/a/blobs/uploads/?mount=x&from=c"),
    ("POST", f"/v2/a/blobs/uploads/?mount={D}&from=b&origin=x&origin=y"),
]


@pytest.mark.parametrize(("method", "target"), BAD_QUERIES)
def test_a_query_that_others_may_read_otherwise(method: str, target: str) -> None:
    """SC-9: only fields of the protocol, each once; nothing smuggled past policy after a semicolon."""
    with pytest.raises(Failed) as caught:
        wanted(incoming(target, method))
    assert code(caught.value) is Code.BAD_REQUEST


def test_a_mount_reads_its_source() -> None:
    """TX-22: policy is asked about it, and the token has to grant it."""
    found = wanted(incoming(f"/v2/a/blobs/uploads/?mount={D}&from=b/c", "POST"))
    expected: tuple[Granted, ...] = (Repository(RepositoryName("a"), PUSH), Repository(RepositoryName("b/c"), PULL))
    assert (found.endpoint.mount_from, found.grants, found.digest) == ("b/c", expected, D)


@pytest.mark.parametrize("query", [f"mount={D}", "from=b"])
def test_half_a_mount_is_an_upload(query: str) -> None:
    """TX-22: without a source a registry may look in every repository that our login can read, so this is not forwarded."""
    found = wanted(incoming(f"/v2/a/blobs/uploads/?{query}", "POST"))
    assert (found.query, found.digest, found.grants) == ("", "", (("a", PUSH),))


@pytest.mark.parametrize(
    "query", ["x=1", "x=1&x=2", "a;b", "x", "q=%zz&&=", "[a]=b", "&".join(f"n{i}=1" for i in range(20))]
)
def test_a_query_that_the_gateway_handed_out_is_taken_as_it_is(query: str) -> None:
    """A registry chooses the query of its next page; policy is asked about the path, which a query cannot change."""
    seen: list[tuple[str, str, str]] = []

    def handed_out(*listing: str) -> bool:
        seen.append((listing[0], listing[1], listing[2]))
        return True

    assert wanted(incoming(f"/v2/a/tags/list?{query}"), handed_out).query == query
    assert seen == [("reg.test", "/v2/a/tags/list", query)]


@pytest.mark.parametrize("target", [f"/v2/a/blobs/{D}?x=1", "/v2/a/manifests/x?x=1", "/v2/a/tags/list?x=\u00e4"])
def test_only_lists_have_pages(target: str) -> None:
    """What could not have been handed out is not even looked up."""
    with pytest.raises(Failed):
        wanted(incoming(target), lambda *_: True)
