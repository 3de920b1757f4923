"""Why a URI asks a registry for nothing that could have a credential, in words, for ``explain``.

Source: core/ask/endpoint.py, docs/design/exchanges.md#endpoints.
"""

from urllib.parse import unquote

from credproxy.core.ask.endpoint import Endpoint, Kind, classify
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.target import Form, Target


_API = "/v2/NAME/manifests/…, /v2/NAME/blobs/…, /v2/NAME/tags/list or /v2/NAME/referrers/…"
_NOT_API = f"the path is not part of a registry's API: {_API}"

NOT_A_URI_OF_REGISTRIES = (
    "a registry has no URI of this form: it takes a [[host]] of another provider, such as exec, header or remoteapis"
)

SERVER_NOT_ANSWERED = "this is a token server: the daemon asks it itself, so its URL gets no credential"
_URL_NOT_ANSWERED = "this is the URL of a token server: the daemon asks it itself, so it gets no credential"

OF_REGISTRIES = frozenset({_NOT_API, NOT_A_URI_OF_REGISTRIES, SERVER_NOT_ANSWERED, _URL_NOT_ANSWERED})
"""Reasons that tell nothing about a host of another kind."""

_STORAGE = (
    "amazonaws.com",
    "blob.core.windows.net",
    "cloudfront.net",
    "googleapis.com",
    "r2.cloudflarestorage.com",
)
_WITH_REPOSITORY = frozenset({Kind.READ, Kind.MANIFEST, Kind.UPLOAD})


def is_storage(host: str) -> bool:
    """Whether redirects with presigned URLs lead to this host, or to one that ``*.suffix`` covers."""
    if host.startswith("*.") and any(f".{name}".endswith(host[1:]) for name in _STORAGE):
        return True
    return any(f".{host.removeprefix('*.')}".endswith(f".{name}") for name in _STORAGE)


def storage_reason(target: Target) -> str:
    """Why storage gets no credential; "" if the target is not known to be storage."""
    if is_signed(target):
        return REASON
    if is_storage(target.host):
        return f"{target.host!r} is a storage host: a URL that leads there carries its own signature"
    return ""


def endpoint_reason(target: Target, prefix: str | None) -> str:
    """Why the path of a target gets no credential from a registry.

    Args:
        target: a full URL, for which ``classify`` finds nothing that needs a token.
        prefix: what comes before ``/v2`` by the rule; None for nothing.
    """
    path = target.path
    if prefix and not path.startswith(prefix):
        return f'the path does not begin with the rule\'s path_prefix = "{prefix}"'
    found = classify(path, target.query, prefix=prefix)
    if found.kind is Kind.CATALOG:
        return "the list of all repositories gets a token only with allow_catalog = true in the registry's [[host]]"
    if found.kind is Kind.ROOT:
        return "the registry's root belongs to no repository; a question for its bare host gets the login"
    if found.kind is Kind.AMBIGUOUS:
        return "the path can be read as one of several repositories, so it is not clear whose token is meant"
    return _mistaken(target, prefix) or _NOT_API


def next_step(target: Target, prefix: str | None) -> str:
    """What a person does so that there is a login for a host that no built-in rule is for; "" if none would help.

    Args:
        target: as it was asked about.
        prefix: what comes before ``/v2`` by its rule; None for nothing.
    """
    if target.form is Form.HOST:
        return f"credproxy login {target.authority}"
    if target.form is not Form.URL:
        return ""
    if _names(classify(target.path, target.query, prefix=prefix)):
        return f"credproxy login {target.authority}"
    if endpoint_reason(target, prefix) != _NOT_API:
        return ""
    return f"machine {target.host} login NAME password SECRET in the netrc file, or a [[host]] for it"


def _mistaken(target: Target, prefix: str | None) -> str:
    """What was probably meant by a path that is not part of the API."""
    path = target.path
    if "scope=" in target.query or "service=" in target.query:
        return _URL_NOT_ANSWERED
    lower = classify(path.lower(), target.query, prefix=prefix)
    if _names(lower):
        name = path[len(prefix or "") + len("/v2/") :][: len(lower.repository or "")]
        return f"the repository {name!r} has upper-case letters, which no registry accepts in a name"
    before, api, rest = path.partition("/v2/")
    if prefix is None and before and api and _names(classify(f"/v2/{rest}", target.query)):
        return f'{before!r} comes before /v2/: a [[host]] for the registry needs path_prefix = "{before}"'
    if path.startswith("/v1/"):
        return "this is the registry API of version 1, which is obsolete"
    if "%" in path and _names(classify(unquote(path), target.query, prefix=prefix)):
        return "the repository's name is percent-encoded: what is authorised would not be what the registry reads"
    return ""


def _names(endpoint: Endpoint) -> bool:
    return endpoint.kind in _WITH_REPOSITORY
