"""What Google's URLs say: which ones belong to Cloud Storage, which objects they name, and which hosts serve images.

::

    storage.googleapis.com/BUCKET/OBJECT                      BUCKET.storage.googleapis.com/OBJECT
    storage.googleapis.com/download/storage/v1/b/BUCKET/o/OBJECT?alt=media      and /storage/v1/..., where / is %2F in OBJECT
    www.googleapis.com/download/storage/v1/...                                  likewise
    LOCATION-docker.pkg.dev, gcr.io, LOCATION.gcr.io          registries; other formats are at LOCATION-FORMAT.pkg.dev

Source: cloud.google.com/storage/docs/request-endpoints; cloud.google.com/artifact-registry/docs/reference.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from credproxy.core.ask.target import Form, Target


STORAGE: Final = "storage.googleapis.com"
OF_USERS: Final = (".run.app", ".cloudfunctions.net")
"""Domains of services that users of Google Cloud run: these take an ID token, which is good for nothing else."""

_WWW = "www.googleapis.com"
_FIREBASE = "firebasestorage.googleapis.com"
_TOKENS = frozenset({"access_token", "oauth_token"})
"""Parameters with an access token. Source: cloud.google.com/apis/docs/system-parameters."""

_API = re.compile(r"/(?:download/|upload/)?storage/v1/(?:b/([^/]+)(?:/o(?:/([^/]+))?)?)?")
API_BEGINS: Final = ("/storage/", "/download/storage/", "/upload/storage/")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_NAME = re.compile(r"[A-Za-z0-9._~!$&()+,;=:@/ -]+")
"""Names that are the same as text in a condition; others are not narrowed to."""


class StoredObject(NamedTuple):
    """An object of Cloud Storage."""

    bucket: str
    name: str


def is_storage(target: Target) -> bool:
    """Whether a URL is one of Cloud Storage."""
    host = target.host
    if host == _WWW:
        return target.path.startswith(API_BEGINS)
    return host == STORAGE or host.endswith(f".{STORAGE}")


def carries_token(target: Target) -> bool:
    """Whether the query of a URL has a token in it, as Firebase's URLs for downloads have."""
    names = {name for name, _ in parse_qsl(target.query, keep_blank_values=True)}
    return bool(names & _TOKENS) or (target.host == _FIREBASE and "token" in names)


def is_registry(target: Target) -> bool:
    """Whether the host speaks the protocol of registries: all of gcr.io, and of Artifact Registry the hosts for images."""
    host = target.host
    return host == "gcr.io" or host.endswith((".gcr.io", "-docker.pkg.dev"))


def stored_object(target: Target) -> StoredObject | None:
    """The object that a URL names; None for any other URL, and for one whose name could be read in two ways."""
    if target.form is not Form.URL or target.port is not None or target.scheme != "https" or not is_storage(target):
        return None
    if target.path.startswith(API_BEGINS):
        found = _API.fullmatch(target.path) if target.host in {STORAGE, _WWW} else None
        bucket, name = (found[1] or "", unquote(found[2] or "")) if found is not None else ("", "")
    elif target.host == STORAGE:
        bucket, _, rest = target.path[1:].partition("/")
        name = unquote(rest)
    else:
        bucket, name = target.host.removesuffix(f".{STORAGE}"), unquote(target.path[1:])
    parts = name.split("/")
    if _BUCKET.fullmatch(bucket) is None or _NAME.fullmatch(name) is None or {"", ".", ".."} & set(parts):
        return None
    return StoredObject(bucket, name)


def folder_patterns(target: Target, bucket: str, *, prefix: str) -> tuple[str, ...]:
    """All URLs, as patterns of rules for build actions, of a bucket's objects whose names begin with a prefix.

    The first is the form in which a target names them.

    Args:
        target: a URL of an object there; nothing for one in the form of the JSON API.
        bucket: its bucket.
        prefix: "" or whole segments, with the slash behind them.
    """
    if target.path.startswith(API_BEGINS):
        return ()  # a pattern has whole segments, and there a slash of an object's name is not one
    path = prefix.replace(" ", "%20")
    forms = (f"https://{STORAGE}/{bucket}/{path}**", f"https://{bucket}.{STORAGE}/{path}**")
    api = tuple(f"https://{host}{begins}v1/b/{bucket}/o/**?*" for host in (STORAGE, _WWW) for begins in API_BEGINS[:2])
    return (*(forms if target.host == STORAGE else forms[::-1]), *api)


def objects_of(pattern: str) -> StoredObject | None:
    """The bucket, and how the names of its objects begin, of a pattern that ``folder_patterns`` gave first."""
    host, _, path = pattern.removeprefix("https://").removesuffix("**").partition("/")
    bucket, prefix = path.split("/", 1) if host == STORAGE else (host.removesuffix(f".{STORAGE}"), path)
    found = StoredObject(bucket, unquote(prefix))
    return found if _BUCKET.fullmatch(bucket) is not None else None
