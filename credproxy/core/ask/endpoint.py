"""Which endpoint of a registry a path names, and for which repository.

::

    /v2  /v2/                                   ROOT
    /v2/_catalog                                CATALOG
    /v2/<name>/tags/list                        READ
    /v2/<name>/blobs/<digest>                   READ
    /v2/<name>/referrers/<digest>               READ
    /v2/<name>/manifests/<tag or digest>        MANIFEST
    /v2/<name>/blobs/uploads[/[<any>]]          UPLOAD    (also blobs/upload/<any>: GHCR)
    /artifacts-uploads/namespaces/<project>/repositories/<repository>/uploads/<id>
                                                UPLOAD    of <project>/<repository> (Google Artifact Registry)
    any other path with ?_state=<state>         UPLOAD    of the repository that the state names (distribution)
    anything else                               OTHER
    two readings that differ                    AMBIGUOUS

The registry chooses the location of an upload in progress. If neither path nor state names a repository, none is guessed.

A name has no percent-escape, so the bytes that were authorised and those that a registry sees cannot differ.
Source: docs/design/exchanges.md#endpoints, SC-7 to SC-10; distribution registry/handlers/hmac.go (``_state``).
"""

import base64
import json
import re
from collections.abc import Iterator
from enum import Enum
from typing import TypeGuard
from urllib.parse import unquote, unquote_plus

import msgspec

from credproxy.core.ask.names import RepositoryName
from credproxy.core.unreadable_json import UNREADABLE


class Kind(Enum):
    """What is asked of the registry. OTHER and AMBIGUOUS get no credential."""

    ROOT = "root"
    CATALOG = "catalog"
    READ = "read"
    MANIFEST = "manifest"
    UPLOAD = "upload"
    OTHER = "other"
    AMBIGUOUS = "ambiguous"

    __hash__ = object.__hash__  # Enum's own is in Python, and slow for a key of many look-ups


class Endpoint(msgspec.Struct, frozen=True):
    """One reading of a path.

    Attributes:
        kind: see Kind. READ covers tags, blobs and referrers; a MANIFEST may be read or pushed (TX-26).
        repository: the name exactly as in the path, never with ``library/`` put in front (SC-12).
        mount_from: the repository that an UPLOAD mounts a blob from.
    """

    kind: Kind
    repository: RepositoryName | None = None
    mount_from: RepositoryName | None = None


OTHER = Endpoint(Kind.OTHER)
_AMBIGUOUS = Endpoint(Kind.AMBIGUOUS)
_FIXED = {"/v2": Endpoint(Kind.ROOT), "/v2/": Endpoint(Kind.ROOT), "/v2/_catalog": Endpoint(Kind.CATALOG)}

_SEGMENTS = 128
_NAME_LENGTH = 255
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*(?::|%3[Aa])[A-Za-z0-9=_-]+")
_ELSEWHERE = "/artifacts-uploads/namespaces/"
_ARTIFACTS = re.compile(_ELSEWHERE + r"(?:([^/%:]+)(?::|%3[Aa]))?([^/%:]+)/repositories/([^/%]+)/uploads/[^/]+")
_STATE_DIGEST = 32
"""Bytes in front of a state's JSON: its HMAC-SHA256, which only the registry can check."""

_STATE_LENGTH = 4096
"""Characters of a state that are read; those of distribution have some 300."""

_DOTS = re.compile(r"(?:^|[/\\])\.\.?(?=[/\\;]|$)")


def classify(path: str, query: str = "", *, prefix: str | None = None) -> Endpoint:
    """Say what a path asks a registry for.

    Args:
        path: raw, still percent-encoded, starting with ``/``.
        query: raw, without ``?``; only ``mount`` and ``from`` of an upload are read (SC-9).
        prefix: what comes before ``/v2`` on this host, such as ``/artifactory/api/docker/remote`` (SC-10).
    """
    if path.startswith(_ELSEWHERE) and (elsewhere := _artifacts(path)) is not None:
        return elsewhere
    found = _classified(path, query, prefix)
    return _stated(path, query) if found.kind is Kind.OTHER else found


def _classified(path: str, query: str, prefix: str | None) -> Endpoint:
    """What the paths of the specification name."""
    if prefix:
        before = f"/{prefix.strip('/')}"
        if not path.startswith(before):
            return OTHER
        path = path[len(before) :]
    if path in _FIXED:
        return _FIXED[path]
    if not path.startswith("/v2/") or path.count("/") > _SEGMENTS + 1 or _climbs(path):
        return OTHER
    readings = _readings(path[4:].split("/"))
    first = next(readings, None)
    if first is None:
        return OTHER
    if next(readings, None) is not None:
        return _AMBIGUOUS
    return _mounted(first, query) if first.kind is Kind.UPLOAD and query else first


def _artifacts(path: str) -> Endpoint | None:
    """The location of an upload at Google Artifact Registry; a domain-scoped project has a colon where image names have a slash."""
    parts = _ARTIFACTS.fullmatch(path)
    if parts is None or _climbs(path):
        return None
    name = "/".join(part for part in parts.groups() if part)
    return Endpoint(Kind.UPLOAD, name) if is_repository(name) else None


def _stated(path: str, query: str) -> Endpoint:
    """The upload that distribution's state belongs to, at a path that some proxy has chosen; OTHER without a state."""
    states = [field[7:] for field in query.split("&") if field.startswith("_state=")]
    if len(states) != 1 or len(states[0]) > _STATE_LENGTH or _climbs(path):
        return OTHER
    try:
        state = json.loads(base64.urlsafe_b64decode(unquote(states[0]))[_STATE_DIGEST:])
    except UNREADABLE:
        return OTHER
    name = state.get("Name") if isinstance(state, dict) else None
    return Endpoint(Kind.UPLOAD, name) if isinstance(name, str) and is_repository(name) else OTHER


def is_repository(name: str) -> TypeGuard[RepositoryName]:
    """True for a repository's name in the grammar of the OCI distribution specification."""
    return len(name) <= _NAME_LENGTH and all(_COMPONENT.fullmatch(part) for part in name.split("/"))


def _climbs(path: str) -> bool:
    """True for a ``.`` or ``..`` segment, percent-encoded or not (SC-7)."""
    if "." in path and _DOTS.search(
        path
    ):  # most blob paths hold none, and the search takes a fifth of the parsing time
        return True
    return "%" in path and _DOTS.search(unquote(path)) is not None


def _readings(segments: list[str]) -> Iterator[Endpoint]:
    """Every valid reading, each with another repository: one walk over the segments, so the cost is linear (SC-8)."""
    if "" in segments[:-1]:
        return
    last = len(segments) - 1
    length = -1
    for index, segment in enumerate(segments):
        if index and length <= _NAME_LENGTH:
            kind = _operation(segments, index, last)
            if kind is not None:
                yield Endpoint(kind, RepositoryName("/".join(segments[:index])))
        length += len(segment) + 1
        if _COMPONENT.fullmatch(segment) is None:
            return


def _operation(segments: list[str], index: int, last: int) -> Kind | None:
    """What the segments from ``index`` on ask for, if those before it are the name."""
    operation = segments[index]
    if operation not in _OPERATIONS or index == last:
        return None
    argument = segments[index + 1]
    if operation == "blobs" and (argument == "uploads" or (argument == "upload" and index + 1 < last)):
        return Kind.UPLOAD
    if index + 1 != last:
        return None
    return _OPERATIONS[operation] if _ARGUMENTS[operation](argument) else None


def _is_reference(text: str) -> bool:
    return _TAG.fullmatch(text) is not None or is_digest(text)


def is_digest(text: str) -> bool:
    """True for ``algorithm:encoded``; the colon may be percent-encoded."""
    return _DIGEST.fullmatch(text) is not None


_OPERATIONS = {"tags": Kind.READ, "blobs": Kind.READ, "referrers": Kind.READ, "manifests": Kind.MANIFEST}
_ARGUMENTS = {"tags": "list".__eq__, "blobs": is_digest, "referrers": is_digest, "manifests": _is_reference}


def _mounted(upload: Endpoint, query: str) -> Endpoint:
    """The upload with the repository it mounts from, if the query can be read in one way only (SC-9)."""
    if ";" in query:
        return _AMBIGUOUS
    found: dict[str, str] = {}
    for field in query.split("&"):
        name, _, value = field.partition("=")
        key = unquote_plus(name)
        if key in {"mount", "from"}:
            if key in found:
                return _AMBIGUOUS
            found[key] = unquote_plus(value)
    source = found.get("from")
    if source is not None and not is_repository(source):
        return _AMBIGUOUS
    if "mount" not in found:
        return upload
    return Endpoint(Kind.UPLOAD, upload.repository, source) if is_digest(found["mount"]) else _AMBIGUOUS
