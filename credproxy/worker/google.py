"""google-auth: access tokens of Google's, from a file of credentials or from the machine's metadata server.

Credentials are built from what the file says, and not by ``google.auth.default``, which asks other services for a project
and does so past any transport. Source: google/auth/_default.py of google-auth 2.63; cloud.google.com/docs/authentication,
"How Application Default Credentials works".
"""

import calendar
import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from google.auth import (
    aws,
    compute_engine,
    exceptions,
    external_account_authorized_user as workforce,
    identity_pool,
    impersonated_credentials,
    pluggable,
    transport,
)
from google.oauth2 import credentials as user, service_account

from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.worker_messages import GoogleToken, LibraryToken
from credproxy.worker.egress import Egress, EgressAnswer
from credproxy.worker.google_refusals import incomplete, told


LOG_IN: Final = "gcloud auth application-default login"

METADATA: Final = "metadata"
"""The type of credentials that no file has: this machine's."""

_MOST = 1024 * 1024
"""Bytes of a file of credentials that are read."""

_AWS = "urn:ietf:params:aws:token-type:aws4_request"


class _Credentials(Protocol):
    """What is used of the library's."""

    token: str | None
    expiry: datetime | None

    def refresh(self, request: "GoogleTransport", /) -> None:
        """Ask for a token."""
        ...


class _GoogleAnswer(transport.Response):
    """An answer, as the library reads it."""

    def __init__(self, answer: EgressAnswer) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        """Its status."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case, as the library looks for them."""
        return self._answer.headers

    @property
    def data(self) -> bytes:
        """Its body."""
        return self._answer.body


class GoogleTransport(transport.Request):
    """The library's way to the network."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> _GoogleAnswer:
        """Send a request.

        Raises:
            Failed: not an error of the library's, which would try again for longer than anybody waits.
        """
        content = body.encode() if isinstance(body, str) else body
        return _GoogleAnswer(self._egress.send(method, url, headers=headers or {}, body=content, timeout=timeout))


@dataclass(frozen=True, slots=True)
class _LoadedLogin:
    """Credentials that were read: checking a private key takes a tenth of a second. One thread uses them at a time.

    Attributes:
        kind: their type.
        account, project: see LibraryToken.
    """

    credentials: _Credentials
    kind: str
    account: str
    project: str
    used: threading.Lock = field(default_factory=threading.Lock)


def google_token(question: GoogleToken, limit: float) -> LibraryToken:
    """Ask for a token.

    Raises:
        Failed: credential_unreadable, bad_credentials, denied; upstream_unavailable and what else Egress raises.
    """
    path = question.credentials
    name = f"the login in {path!r}" if path else "this machine's service account"
    kind = METADATA
    request = GoogleTransport(Egress(limit, proxy=question.proxy, ca_bundle=question.ca_bundle))
    try:
        kept = _kept(path, _stamp(path), question.scopes)
        kind, found = kept.kind, kept.credentials
        with kept.used:
            found.refresh(request)
            token, expiry = found.token or "", found.expiry
    except (exceptions.GoogleAuthError, ValueError) as error:
        raise told(error, name, kind=kind) from None
    until = None if expiry is None else float(calendar.timegm(expiry.utctimetuple()))
    return LibraryToken(token, until, kept.account, kept.project)


def _stamp(path: str) -> tuple[int, int, int]:
    """What changes with a file."""
    try:
        about = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (about.st_mtime_ns, about.st_ino, about.st_size)


@functools.lru_cache(64)
def _kept(path: str, stamp: tuple[int, int, int], scopes: tuple[str, ...]) -> _LoadedLogin:
    """Read credentials, once for each state of their file. Raises Failed(credential_unreadable)."""
    del stamp
    info = _read(path) if path else {"type": METADATA}
    kind = str(info.get("type", ""))
    make = _MAKERS.get(kind)
    if make is None:
        name = f"the login in {path!r}"
        raise unreadable(name, f"has the type {kind[:40]!r}; known are {', '.join(_MAKERS)}", hint=LOG_IN)
    try:
        made = make(dict(info), list(scopes))
    except (exceptions.GoogleAuthError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise incomplete(f"the login in {path!r}", type(error).__name__) from None
    account = str(info.get("client_email") or info.get("account") or "")
    return _LoadedLogin(made, kind, account, str(info.get("quota_project_id") or ""))


def _read(path: str) -> Mapping[str, object]:
    """Read a file of credentials. Raises Failed(credential_unreadable)."""
    name = f"the file {path!r}"
    try:
        with Path(path).open("rb") as file:
            found: object = json.loads(file.read(_MOST))
    except OSError as error:
        raise unreadable(name, f"cannot be read: {(error.strerror or '').lower()}", hint=LOG_IN) from None
    except ValueError:  # whose text may quote the file
        found = None
    if not isinstance(found, dict):
        raise unreadable(name, "is not a JSON object with a login of Google's", hint=LOG_IN)
    return found


_Maker = Callable[[dict[str, object], list[str]], _Credentials]


def _of_user(info: dict[str, object], _: list[str]) -> _Credentials:
    """A user's refresh token has the scopes that were agreed to, and is refused any others."""
    made: _Credentials = user.Credentials.from_authorized_user_info(info)  # type: ignore[no-untyped-call]
    return made


def _of_service_account(info: dict[str, object], scopes: list[str]) -> _Credentials:
    made: _Credentials = service_account.Credentials.from_service_account_info(info, scopes=scopes)  # type: ignore[no-untyped-call]
    return made


def _of_external_account(info: dict[str, object], scopes: list[str]) -> _Credentials:
    """An identity of another cloud's or of a provider's, which lies in a file, at a URL, or is what a program prints."""
    source = info.get("credential_source")
    made: _Credentials
    if info.get("subject_token_type") == _AWS:
        made = aws.Credentials.from_info(info, scopes=scopes)  # type: ignore[no-untyped-call]
    elif isinstance(source, dict) and source.get("executable") is not None:
        made = pluggable.Credentials.from_info(info, scopes=scopes)  # type: ignore[no-untyped-call]
    else:
        made = identity_pool.Credentials.from_info(info, scopes=scopes)  # type: ignore[no-untyped-call]
    return made


def _of_workforce(info: dict[str, object], _: list[str]) -> _Credentials:
    made: _Credentials = workforce.Credentials.from_info(info)  # type: ignore[no-untyped-call]
    return made


def _impersonated(info: dict[str, object], scopes: list[str]) -> _Credentials:
    made: _Credentials = impersonated_credentials.Credentials.from_impersonated_service_account_info(
        info, scopes=scopes
    )  # type: ignore[no-untyped-call]
    return made


def _of_machine(_: dict[str, object], scopes: list[str]) -> _Credentials:
    made: _Credentials = compute_engine.Credentials(scopes=scopes)  # type: ignore[no-untyped-call]
    return made


_MAKERS: Final[Mapping[str, _Maker]] = {
    "authorized_user": _of_user,
    "service_account": _of_service_account,
    "external_account": _of_external_account,
    "external_account_authorized_user": _of_workforce,
    "impersonated_service_account": _impersonated,
    METADATA: _of_machine,
}
