"""Which endpoint and repository a path names, row by row of docs/design/exchanges.md#endpoints."""

import base64
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.endpoint import Endpoint, Kind, classify, is_repository
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.uri import parse_uri


D = "sha256:" + "a" * 64
OTHER = Endpoint(Kind.OTHER)
AMBIGUOUS = Endpoint(Kind.AMBIGUOUS)


def read(name: str) -> Endpoint:
    """A read of that repository."""
    return Endpoint(Kind.READ, RepositoryName(name))


def manifest(name: str) -> Endpoint:
    """A manifest of that repository."""
    return Endpoint(Kind.MANIFEST, RepositoryName(name))


def upload(name: str, source: str | None = None) -> Endpoint:
    """An upload to that repository."""
    return Endpoint(Kind.UPLOAD, RepositoryName(name), None if source is None else RepositoryName(source))


def asked(uri: str) -> Endpoint:
    """Classify what a client sends."""
    target = parse_uri(uri)
    return classify(target.path, target.query)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # 3.2, row by row
        pytest.param("/v2", Endpoint(Kind.ROOT), id="3.2-root"),
        pytest.param("/v2/", Endpoint(Kind.ROOT), id="3.2-root-slash"),
        pytest.param("/v2/_catalog", Endpoint(Kind.CATALOG), id="3.2-catalog"),
        pytest.param("/v2/a/tags/list", read("a"), id="3.2-tags"),
        pytest.param(f"/v2/a/blobs/{D}", read("a"), id="3.2-blob"),
        pytest.param("/v2/a/manifests/latest", manifest("a"), id="3.2-manifest-tag"),
        pytest.param(f"/v2/a/manifests/{D}", manifest("a"), id="3.2-manifest-digest"),
        pytest.param(f"/v2/a/referrers/{D}", read("a"), id="3.2-referrers"),
        pytest.param("/v2/a/blobs/uploads", upload("a"), id="3.2-uploads"),
        pytest.param("/v2/a/blobs/uploads/", upload("a"), id="3.2-uploads-slash"),
        pytest.param("/v2/a/blobs/uploads/some-session", upload("a"), id="3.2-upload-session"),
        pytest.param("/v2/a/blobs/uploads/x/y%3D%3D", upload("a"), id="3.2-upload-session-path"),
        pytest.param("/v2/a/blobs/upload/1/x", upload("a"), id="3.2-upload-ghcr"),
        pytest.param("/v2/a/blobs/upload/", upload("a"), id="3.2-upload-ghcr-slash"),
        pytest.param("/v2/a/blobs/upload", OTHER, id="3.2-upload-without-slash"),
        pytest.param("/v2/token", OTHER, id="3.2-other-token"),
        pytest.param("/v2/auth", OTHER, id="3.2-other-auth"),
        pytest.param("/v2/_oci/ext/discover", OTHER, id="3.2-other-oci"),
        pytest.param("/artifactory/api/docker/r/v2/a/tags/list", OTHER, id="3.2-other-prefix"),
        # 3.3, the table
        pytest.param(f"/v2/foo/manifests/blobs/{D}", read("foo/manifests"), id="3.3-T-26-name-with-manifests"),
        pytest.param("/v2/blobs/manifests/latest", manifest("blobs"), id="3.3-name-blobs"),
        pytest.param("/v2/manifests/manifests/manifests", manifest("manifests"), id="3.3-name-manifests"),
        pytest.param("/v2/tags/tags/list", read("tags"), id="3.3-name-tags"),
        pytest.param("/v2/tags/list", OTHER, id="3.3-no-name"),
        pytest.param("/v2/a/blobs/uploads/manifests/latest", AMBIGUOUS, id="3.3-T-24-manifest-or-upload"),
        pytest.param("/v2/a/blobs/uploads/b/blobs/uploads/x", AMBIGUOUS, id="3.3-two-uploads"),
        pytest.param("/v2/a/blobs/latest", OTHER, id="3.3-no-digest"),
        # 3.3, "More"
        pytest.param("/v2/a/b/c/d/tags/list", read("a/b/c/d"), id="3.3-deep-name"),
        pytest.param("/v2/a__b/c.d/e--f/manifests/x", manifest("a__b/c.d/e--f"), id="3.3-separators"),
        pytest.param("/v1/users/", OTHER, id="3.3-v1"),
        pytest.param("/v2//a/manifests/x", OTHER, id="3.3-empty-segment-first"),
        pytest.param("/v2/a_-b/manifests/x", OTHER, id="3.3-mixed-separators"),
        pytest.param("/v2" + "/a" * 198 + "/tags/list", OTHER, id="3.3-200-segments"),
        pytest.param("/v2/a/" + "blobs/uploads/" * 500, OTHER, id="3.3-500-uploads"),
        # docs/design/cases.md
        pytest.param("/v2/a%2Fb/manifests/x", OTHER, id="T-22-escaped-slash"),
        pytest.param("/v2/a/../b/manifests/x", OTHER, id="T-23-dots"),
        pytest.param("/v2/a/%2e%2e/b/manifests/x", OTHER, id="T-23-escaped-dots"),
        pytest.param("/v2/a/.%2E/b/manifests/x", OTHER, id="T-23-half-escaped-dots"),
        pytest.param("/v2/A/manifests/x", OTHER, id="T-29-upper-case"),
        pytest.param("/v2/ubuntu/manifests/latest", manifest("ubuntu"), id="T-84-no-library"),
        pytest.param(f"/v2/a/blobs/{D.replace(':', '%3A')}", read("a"), id="T-101-escaped-colon"),
        pytest.param(f"/v2/a/manifests/{D.replace(':', '%3a')}", manifest("a"), id="T-101-lower-case-escape"),
        # SC-7 and the name's grammar
        pytest.param("", OTHER, id="empty"),
        pytest.param("/", OTHER, id="slash"),
        pytest.param("/v2x/a/tags/list", OTHER, id="v2-with-more"),
        pytest.param("/V2/a/tags/list", OTHER, id="v2-upper-case"),
        pytest.param("//v2/a/tags/list", OTHER, id="two-slashes-first"),
        pytest.param("/v2/_catalog/", OTHER, id="catalog-slash"),
        pytest.param("/v2/a/_catalog", OTHER, id="catalog-of-a-name"),
        pytest.param("/v2/a/./b/manifests/x", OTHER, id="SC-7-dot"),
        pytest.param("/v2/a/blobs/uploads/..", OTHER, id="SC-7-dots-in-a-session"),
        pytest.param("/v2/a/blobs/uploads/..%2F..%2Fb", OTHER, id="SC-7-dots-behind-an-escaped-slash"),
        pytest.param("/v2/a/blobs/uploads/%2e%2e%5cb", OTHER, id="SC-7-dots-before-an-escaped-backslash"),
        pytest.param("/v2/a/blobs/uploads/..;x/b", OTHER, id="SC-7-dots-with-a-parameter"),
        pytest.param("/v2/a/blobs/uploads//x", OTHER, id="SC-7-empty-segment-in-a-session"),
        pytest.param("/v2/a//tags/list", OTHER, id="SC-7-empty-segment-in-the-name"),
        pytest.param("/v2/a/tags/list/", OTHER, id="trailing-slash"),
        pytest.param("/v2/a/tags", OTHER, id="tags-alone"),
        pytest.param("/v2/a/tags/list/x", OTHER, id="more-after-tags-list"),
        pytest.param("/v2/a/manifests/", OTHER, id="no-reference"),
        pytest.param("/v2/a/manifests/x/y", OTHER, id="T14-reference-with-slash"),
        pytest.param("/v2/a/manifests/.x", OTHER, id="T14-tag-with-dot-first"),
        pytest.param("/v2/a/manifests/" + "x" * 128, manifest("a"), id="T14-longest-tag"),
        pytest.param("/v2/a/manifests/" + "x" * 129, OTHER, id="T14-tag-too-long"),
        pytest.param("/v2/a/manifests/a%00", OTHER, id="T14-escaped-nul"),
        pytest.param("/v2/a/manifests/x;y", OTHER, id="T14-semicolon"),
        pytest.param("/v2/a/blobs/sha256:", OTHER, id="digest-without-value"),
        pytest.param(f"/v2/a/blobs/{D}/x", OTHER, id="more-after-a-blob"),
        pytest.param("/v2/a/blobs/sha512:" + "b" * 128, read("a"), id="other-digest"),
        pytest.param("/v2/a./manifests/x", OTHER, id="component-with-dot-last"),
        pytest.param("/v2/a..b/manifests/x", OTHER, id="component-with-two-dots"),
        pytest.param("/v2/a___b/manifests/x", OTHER, id="component-with-three-underscores"),
        pytest.param("/v2/-a/manifests/x", OTHER, id="component-with-hyphen-first"),
        pytest.param("/v2/_a/manifests/x", OTHER, id="component-with-underscore-first"),
        pytest.param("/v2/b%C3%BCcher/manifests/x", OTHER, id="component-outside-ascii"),
        pytest.param("/v2/" + "a" * 255 + "/manifests/x", manifest("a" * 255), id="longest-name"),
        pytest.param("/v2/" + "a" * 256 + "/manifests/x", OTHER, id="name-too-long"),
        pytest.param("/v2/a" + "/a" * 126 + "/manifests/x", OTHER, id="SC-7-129-segments"),
        pytest.param("/v2/a" + "/a" * 125 + "/manifests/x", manifest("a" + "/a" * 125), id="SC-7-128-segments"),
    ],
)
def test_path_is_classified(path: str, expected: Endpoint) -> None:
    """The rows of 3.2 and 3.3, and what surrounds them."""
    assert classify(path) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(f"mount={D}&from=src/app", upload("z", "src/app"), id="3.2-mount"),
        pytest.param(f"from=src%2Fapp&mount={quote(D, safe='')}", upload("z", "src/app"), id="mount-encoded-by-ggcr"),
        pytest.param(f"mount={D}", upload("z"), id="mount-without-from"),
        pytest.param("from=src", upload("z"), id="from-without-mount"),
        pytest.param(f"digest={D}&_state=abc%3D", upload("z"), id="other-keys-unread"),
        pytest.param(f"mount={D}&From=x/../y", upload("z"), id="key-in-other-case-unread"),
        pytest.param(f"mount={D}&from=a&from=b", AMBIGUOUS, id="T-25-two-from"),
        pytest.param(f"mount={D};from=a", AMBIGUOUS, id="T-25-semicolon"),
        pytest.param(f"mount={D}&from=a&fro%6d=b", AMBIGUOUS, id="SC-9-two-from-one-escaped"),
        pytest.param(f"mount={D}&mount={D}&from=a", AMBIGUOUS, id="SC-9-two-mounts"),
        pytest.param(f"mount={D}&from=../x", AMBIGUOUS, id="3.3-from-climbs"),
        pytest.param(f"mount={D}&from=", AMBIGUOUS, id="SC-9-from-empty"),
        pytest.param(f"mount={D}&from=A", AMBIGUOUS, id="SC-9-from-upper-case"),
        pytest.param(f"mount={D}&from=a+b", AMBIGUOUS, id="SC-9-from-with-a-space"),
        pytest.param(f"mount={D}&from=a%252Fb", AMBIGUOUS, id="SC-9-from-escaped-twice"),
        pytest.param("mount=latest&from=a", AMBIGUOUS, id="SC-9-mount-no-digest"),
        pytest.param("a;b", AMBIGUOUS, id="SC-9-semicolon-anywhere"),
    ],
)
def test_mount_is_read_in_one_way_or_not_at_all(query: str, expected: Endpoint) -> None:
    """SC-9: a second repository enters the scope only if every server would see the same one."""
    assert classify("/v2/z/blobs/uploads/", query) == expected


def test_query_of_a_read_is_not_looked_at() -> None:
    """Paging of a tag list, or a ``from`` there, changes nothing (SC-9)."""
    assert asked("https://r.test/v2/a/b/c/d/tags/list?n=10&last=x") == read("a/b/c/d")
    assert asked("https://r.test/v2/a/tags/list?mount=x&from=b;c") == read("a")


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("/artifactory/api/docker/r", "/artifactory/api/docker/r/v2/a/tags/list", read("a")),
        ("/artifactory/api/docker/r/", "/artifactory/api/docker/r/v2/", Endpoint(Kind.ROOT)),
        ("artifactory", "/artifactory/v2/a/manifests/x", manifest("a")),
        ("/artifactory", "/v2/a/tags/list", OTHER),
        ("/artifactory", "/artifactoryx/v2/a/tags/list", OTHER),
        ("/artifactory", "/artifactory/../v2/a/tags/list", OTHER),
        ("/artifactory", "/artifactory/x/v2/a/tags/list", OTHER),
        ("/artifactory", "/artifactory", OTHER),
        ("", "/v2/a/tags/list", read("a")),
    ],
)
def test_prefix_stands_before_v2(prefix: str, path: str, expected: Endpoint) -> None:
    """With a configured prefix the registry is there and nowhere else on the host (SC-10)."""
    assert classify(path, prefix=prefix) == expected


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("https://auth.docker.io/token?scope=repository:a:pull&service=registry.docker.io", id="T-85"),
        pytest.param("https://bucket.s3.amazonaws.com/x?X-Amz-Signature=SECRET", id="T-86"),
        pytest.param("https://bcr.bazel.build/modules/m/1/MODULE.bazel", id="module-registry"),
        pytest.param("https://c.test/build.bazel.remote.execution.v2.Capabilities", id="remote-cache"),
    ],
)
def test_uri_of_no_registry_endpoint_is_other(uri: str) -> None:
    """Token endpoints, stores and caches name no repository (SC-14, SC-15)."""
    assert asked(uri) == OTHER


SEGMENTS = st.sampled_from(
    ["a", "b", "blobs", "uploads", "upload", "manifests", "tags", "list", "referrers", D, "latest", "_catalog", ""]
)
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATTERNS = [
    (Kind.READ, "tags/list"),
    (Kind.READ, f"(?:blobs|referrers)/{D}"),
    (Kind.MANIFEST, f"manifests/(?:[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}|{D})"),
    (Kind.UPLOAD, "blobs/(?:uploads|uploads?/(?:[^/]+/)*[^/]*)"),
]


def _naive(path: str) -> Endpoint:
    """Try every split of the path against every pattern of the table: slow, and obviously right."""
    fixed = {"/v2": Kind.ROOT, "/v2/": Kind.ROOT, "/v2/_catalog": Kind.CATALOG}
    if path in fixed:
        return Endpoint(fixed[path])
    rest = path.removeprefix("/v2/")
    found = {
        Endpoint(kind, RepositoryName(rest[:cut]))
        for cut in range(len(rest))
        if rest[cut] == "/" and re.fullmatch(rf"{_NAME}(?:/{_NAME})*", rest[:cut])
        for kind, pattern in _PATTERNS
        if re.fullmatch(pattern, rest[cut + 1 :])
    }
    return OTHER if not found else found.pop() if len(found) == 1 else AMBIGUOUS


@given(st.lists(SEGMENTS, max_size=9))
def test_every_reading_counts(segments: list[str]) -> None:
    """One walk finds what trying every split would find: one reading, or ambiguity (SC-8)."""
    path = "/v2/" + "/".join(segments)
    assert classify(path) == _naive(path)


@given(st.text(alphabet="ab/._-%2eF:;\\ABv", max_size=60), st.text(alphabet="mountfrom=&;%ab/D.", max_size=40))
def test_any_path_is_classified_and_authorises_only_what_it_shows(path: str, query: str) -> None:
    """T-105: No path raises, and a repository occurs in the path byte by byte: authorised equals forwarded (T14)."""
    full = f"/v2/{path}"
    endpoint = classify(full, query)
    if endpoint.repository is not None:
        assert full.startswith(f"/v2/{endpoint.repository}/")
        assert is_repository(endpoint.repository)
        assert ".." not in full.split("/")
    if endpoint.mount_from is not None:
        assert is_repository(endpoint.mount_from)


@given(st.text(max_size=100))
def test_any_text_is_classified(text: str) -> None:
    """T-105: Not even what parse_uri would refuse makes it fail."""
    classify(text, text, prefix=text)


ARTIFACTS = "/artifacts-uploads/namespaces/my-project/repositories/images/uploads"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{ARTIFACTS}/AF2XiV-x_y==", upload("my-project/images")),
        ("/artifacts-uploads/namespaces/corp.example:proj/repositories/r/uploads/x", upload("corp.example/proj/r")),
        ("/artifacts-uploads/namespaces/corp.example%3Aproj/repositories/r/uploads/x", upload("corp.example/proj/r")),
        ("/v2/my-project/images/pkg/blobs/uploads/AJMTJPA", upload("my-project/images/pkg")),
        (f"{ARTIFACTS}/", OTHER),
        (f"{ARTIFACTS}/x/y", OTHER),
        (f"{ARTIFACTS}/..", OTHER),
        (f"{ARTIFACTS}/%2e%2e", OTHER),
        (f"/x{ARTIFACTS}/x", OTHER),
        ("/artifacts-uploads/namespaces/../repositories/r/uploads/x", OTHER),
        ("/artifacts-uploads/namespaces/a%2Fb/repositories/r/uploads/x", OTHER),
        ("/artifacts-uploads/namespaces/A/repositories/r/uploads/x", OTHER),
        ("/artifacts-downloads/namespaces/my-project/repositories/images/downloads/x", OTHER),
    ],
)
def test_a_begun_upload_at_artifact_registry_is_of_the_repository_in_its_path(path: str, expected: Endpoint) -> None:
    """Its first URL is outside of /v2; a download's URL carries its own permission and needs none."""
    assert asked(f"https://europe-docker.pkg.dev{path}") == expected
    assert classify(path, "", prefix="/some/prefix") == expected or path.startswith("/v2/")


def state(value: object, padded: bytes = b"x" * 32) -> str:
    """A state as distribution writes it: 32 bytes of HMAC, then JSON, in base64 for URLs."""
    return quote(base64.urlsafe_b64encode(padded + json.dumps(value).encode()).decode())


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"/uploads/17?_state={state({'Name': 'a/b', 'UUID': 'u', 'Offset': 0})}", upload("a/b")),
        (f"/uploads/17?_nouploadcache=false&_state={state({'Name': 'a/b'})}&digest={D}", upload("a/b")),
        (f"/v2/put/session/17?_state={state({'Name': 'a/b'})}", upload("a/b")),
        (f"/v2/c/blobs/uploads/17?_state={state({'Name': 'a/b'})}", upload("c")),
        (f"/v2/c/manifests/x?_state={state({'Name': 'a/b'})}", manifest("c")),
        (f"/v2/a/blobs/uploads/manifests/latest?_state={state({'Name': 'a'})}", AMBIGUOUS),
        (f"/x/../uploads/17?_state={state({'Name': 'a/b'})}", OTHER),
        (f"/uploads/17?_state={state({'Name': 'a/b'})}&_state={state({'Name': 'c'})}", OTHER),
        (f"/uploads/17?_state={state({'Name': '../b'})}", OTHER),
        (f"/uploads/17?_state={state({'Name': 7})}", OTHER),
        (f"/uploads/17?_state={state(['a'])}", OTHER),
        (f"/uploads/17?_state={state({'Name': 'a/b'}, b'short')}", OTHER),
        ("/uploads/17?_state=!!!", OTHER),
        ("/uploads/17?_state=", OTHER),
        (f"/uploads/17?_state={'A' * 5000}", OTHER),
        ("/uploads/17", OTHER),
    ],
)
def test_a_begun_upload_elsewhere_is_of_the_repository_in_its_state(uri: str, expected: Endpoint) -> None:
    """If the path says what it is, that counts; if neither does, nothing is guessed."""
    assert asked(f"https://reg.test{uri}") == expected


@given(st.text(max_size=200))
def test_no_state_raises(text: str) -> None:
    """It is part of a URI, so it may be anything."""
    assert classify("/uploads/x", f"_state={text}").kind in {Kind.OTHER, Kind.UPLOAD}
