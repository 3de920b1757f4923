"""Reads a request: below ``/v2/``, or for an object.

::

    GET HEAD DELETE       /v2/<name>/blobs/<digest>
    GET HEAD PUT DELETE   /v2/<name>/manifests/<tag or digest>
    GET HEAD              /v2/<name>/tags/list
    GET HEAD              /v2/<name>/referrers/<digest>
    POST                  /v2/<name>/blobs/uploads/           may mount from another repository
    GET PATCH PUT DELETE  /v2/<name>/blobs/uploads/<id>       the id is the gateway's own

It is judged in the form in which it is forwarded: a path with a percent sign, an ambiguous query and a host that is not
in canonical form are refused, because a registry that reads them differently would see another repository (T14, F14).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

from credproxy.core.ask.endpoint import OTHER, Endpoint, Kind, classify, is_digest
from credproxy.core.ask.http import Method
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Granted, Object, Repository
from credproxy.core.ask.uri import canonical_authority, check_canonical, parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.policy.objects import is_object
from credproxy.core.policy.rules import Operation
from credproxy.gateway.incoming import ORIGINAL_HOST, Incoming
from credproxy.gateway.wanted import LISTS, MOUNT, Wanted, What


FETCH = "/v1/fetch"
"""The path for requesting objects."""

_REMEMBERED = 300
"""Longest host, in characters, whose canonical form is cached."""

_PLAIN = re.compile(r"[!-:<-~]*")  # printable and no semicolon, which some take for an ampersand (SC-9)

_SENT = re.compile(r"[!$-;=?-\[\]_a-z~]+")  # what RFC 3986 lets a query hold, and brackets

_PULL = ("pull",)
_PUSH = ("pull", "push")
_DELETE = ("pull", "delete")

_METHODS: dict[str, Method] = {
    "GET": "GET", "HEAD": "HEAD", "POST": "POST", "PUT": "PUT", "PATCH": "PATCH", "DELETE": "DELETE"
}  # a table  # fmt: skip
_Allowed = dict[Method, tuple[Operation, tuple[str, ...]]]
_LISTING: _Allowed = {"GET": ("manifest:read", _PULL), "HEAD": ("manifest:read", _PULL)}

_OPERATIONS: dict[What, _Allowed] = {
    What.BLOB: {"GET": ("blob:read", _PULL), "HEAD": ("blob:read", _PULL), "DELETE": ("blob:write", _DELETE)},
    What.MANIFEST: {
        "GET": ("manifest:read", _PULL),
        "HEAD": ("manifest:read", _PULL),
        "PUT": ("manifest:write", _PUSH),
        "DELETE": ("manifest:write", _DELETE),
    },
    What.TAGS: _LISTING,
    What.REFERRERS: _LISTING,
    What.UPLOADS: {"POST": ("blob:write", _PUSH)},
    What.SESSION: {
        "GET": ("blob:write", _PUSH),
        "PATCH": ("blob:write", _PUSH),
        "PUT": ("blob:write", _PUSH),
        "DELETE": ("blob:write", _PUSH),
    },
}

_DROPPED = frozenset({"origin"})
"""Accepted and not forwarded: go-containerregistry names the source's registry, which does not concern the target."""


_PAGED = frozenset(
    {
        "n", "last", "artifactType",  # the specification's
        "orderby", "next_page", "page", "page_size", "pageSize", "pageToken", "page_token", "per_page", "limit", "offset",
        "marker", "next", "nextToken", "next_token", "continuationToken", "cursor", "before", "after",
    }
)  # a table  # fmt: skip
"""Parameters with which registries page their lists: Azure (``orderby``), Quay (``next_page``), Harbor (``page``), GitLab
(``per_page``, ``before``), ECR (``nextToken``), Nexus (``continuationToken``), Google (``pageToken``), and their like.
Policy decides about the path of the list, so none of them reaches another repository."""

_QUERIES: dict[tuple[What, Method], frozenset[str]] = {
    (What.TAGS, "GET"): _PAGED,
    (What.TAGS, "HEAD"): _PAGED,
    (What.REFERRERS, "GET"): _PAGED,
    (What.REFERRERS, "HEAD"): _PAGED,
    (What.UPLOADS, "POST"): frozenset({"mount", "from", "digest", *_DROPPED}),
    (What.SESSION, "PUT"): frozenset({"digest"}),
}


HandedOut = Callable[[Authority, str, str], bool]
"""Whether the gateway itself handed out this query for the next page: registry, path, query."""


def wanted(incoming: Incoming, handed_out: HandedOut = lambda *_: False) -> Wanted:
    """Read a request below ``/v2/``, or one for an object.

    Args:
        incoming: the request.
        handed_out: such a query is accepted as it is, whatever the registry put into it.

    Raises:
        Failed: bad_request, not_found (an endpoint that is not of the protocol), method_not_allowed.
    """
    if incoming.path == FETCH:
        return _object(incoming)
    registry = original_host(incoming)
    if "%" in incoming.path:
        raise failed(Code.BAD_REQUEST, "the path holds a percent-escape", hint="names, tags and digests need none")
    endpoint = classify(incoming.path, incoming.query)
    if endpoint.kind is Kind.AMBIGUOUS:
        raise failed(
            Code.BAD_REQUEST, "the path or its query can be read in two ways", hint="name one repository, once"
        )
    if endpoint.repository is None:
        raise failed(
            Code.NOT_FOUND,
            "this is not an endpoint of a repository",
            hint="the gateway takes /v2/NAME/manifests/..., /blobs/... and the others of the OCI distribution specification",
        )
    what, reference = _what(endpoint, incoming.path)
    method, allowed = _METHODS.get(incoming.method), _OPERATIONS[what]
    if method is None or method not in allowed:
        raise failed(Code.METHOD_NOT_ALLOWED, f"a {what.value} does not take {incoming.method[:20]!r}")
    operation, actions = allowed[method]
    dropped = _DROPPED if endpoint.mount_from is not None else _DROPPED | MOUNT
    next_page = (
        what in LISTS and _SENT.fullmatch(incoming.query) and handed_out(registry, incoming.path, incoming.query)
    )
    taken = {} if next_page else _fields(incoming.query, _QUERIES.get((what, method), frozenset()))
    fields = {name: value for name, value in taken.items() if name not in dropped} if taken else taken
    name = endpoint.repository
    grants: tuple[Granted, ...] = (Repository(name, actions),)
    if endpoint.mount_from is not None:
        grants = (*grants, Repository(endpoint.mount_from, _PULL))
    return Wanted(
        method,
        registry,
        name,
        what,
        reference,
        endpoint,
        operation,
        grants,
        incoming.query if next_page else urlencode(fields, safe=":/") if fields else "",
        (fields.get("digest") or fields.get("mount", "")) if fields else "",
    )


def _object(incoming: Incoming) -> Wanted:
    """Read ``/v1/fetch?url=...``: any URL outside a registry's API."""
    method: Method | None = next((known for known in ("GET", "HEAD") if known == incoming.method), None)
    if method is None:
        raise failed(Code.METHOD_NOT_ALLOWED, f"an object does not take {incoming.method[:20]!r}")
    raw = _url(incoming.query)
    target = parse_uri(raw)
    check_canonical(raw, target)
    if not is_object(target) or classify(target.path, target.query).kind is not Kind.OTHER:
        hint = f"blobs and manifests are asked for below /v2/, with the header {ORIGINAL_HOST}"
        raise failed(Code.BAD_REQUEST, "the URL names no object, or can be read in two ways", hint=hint)
    url = f"{target.origin}{target.path}"
    granted = Object(url, (method,))
    return Wanted(
        method,
        target.authority,
        RepositoryName(""),
        What.OBJECT,
        "",
        OTHER,
        method,
        (granted,),
        target.query,
        object=target,
    )


def _url(query: str) -> str:
    try:
        fields = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=1)
    except ValueError:
        fields = []
    if len(fields) != 1 or fields[0][0] != "url":
        hint = "percent-encode the URL: curl -G --data-urlencode url=https://HOST/PATH --unix-socket ... http://localhost/v1/fetch"
        raise failed(Code.BAD_REQUEST, "the query is not one url=", hint=hint)
    return fields[0][1]


def original_host(incoming: Incoming) -> Authority:
    """The registry that a request is for. Raises Failed(bad_request): none, two, or not in canonical form."""
    found = incoming.all(ORIGINAL_HOST)
    if len(found) != 1:
        how = "is missing" if not found else "is there more than once"
        raise failed(
            Code.BAD_REQUEST,
            f"the header {ORIGINAL_HOST} {how}",
            hint=f"name the registry: curl -H '{ORIGINAL_HOST}: ghcr.io' --unix-socket ...",
        )
    canonical = _canonical(found[0]) if len(found[0]) <= _REMEMBERED else canonical_authority(found[0])
    if canonical is None or canonical != found[0]:
        hint = f"send {canonical}" if canonical else "send host or host:port"
        raise failed(Code.BAD_REQUEST, f"the registry {found[0][:80]!a} is not in canonical form", hint=hint)
    return canonical


@lru_cache(maxsize=256)
def _canonical(text: str) -> Authority | None:
    """Cached, because a build has few registries and many requests."""
    return canonical_authority(text)


def _what(endpoint: Endpoint, path: str) -> tuple[What, str]:
    before, _, last = path.rpartition("/")
    if endpoint.kind is Kind.UPLOAD:
        return _upload(f"/v2/{endpoint.repository}/blobs/uploads", path)
    if endpoint.kind is Kind.MANIFEST:
        return What.MANIFEST, last
    if before.endswith("/tags"):
        return What.TAGS, ""
    return (What.BLOB if before.endswith("/blobs") else What.REFERRERS), last


def _upload(place: str, path: str) -> tuple[What, str]:
    if path in {place, f"{place}/"}:
        return What.UPLOADS, ""
    session = path.removeprefix(f"{place}/")
    if "/" not in session:
        return What.SESSION, session
    raise failed(
        Code.NOT_FOUND, "this is not one of the gateway's uploads", hint="continue at the Location that it was given"
    )


def _fields(query: str, allowed: frozenset[str]) -> dict[str, str]:
    if not query:
        return {}
    if _PLAIN.fullmatch(query) is None:
        raise _unclear("has a character that is not accepted here")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError:
        raise _unclear("cannot be read") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _unclear("names a field twice")
    unknown = sorted(set(found) - allowed)
    if unknown:
        raise _unclear(f"has a field that is not accepted here: {unknown[0][:40]!a}")
    if "digest" in found and not is_digest(found["digest"]):
        raise _unclear("has an invalid digest")
    return found


def _unclear(problem: str) -> Failed:
    return failed(Code.BAD_REQUEST, f"the query {problem}", hint="see the OCI distribution specification")
