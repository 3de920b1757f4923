"""Builds google-auth's credentials for a question, from what a file says.

Not by ``google.auth.default``, which asks other services for a project and does so past any transport. Source:
google/auth/_default.py of google-auth 2.63; cloud.google.com/docs/authentication, "How Application Default Credentials works".
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from google.auth import (
    aws,
    compute_engine,
    downscoped,
    exceptions,
    external_account_authorized_user as workforce,
    identity_pool,
    impersonated_credentials,
    pluggable,
)
from google.oauth2 import credentials as user, service_account

from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.worker_messages import GoogleObjects, GoogleToken
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.worker.google_refusals import incomplete
from credproxy.worker.google_transport import GoogleTransport


LOG_IN: Final = "gcloud auth application-default login"

METADATA: Final = "metadata"
"""The type of credentials that no file has: this machine's."""

PLATFORM: Final = "https://www.googleapis.com/auth/cloud-platform"
"""The scope with which another account is acted for, and of which a narrower token is made; it does not leave the worker."""

_MOST = 1024 * 1024
"""Bytes of a file of credentials that are read."""

_AWS = "urn:ietf:params:aws:token-type:aws4_request"
_READER = "inRole:roles/storage.objectViewer"


class GoogleCredentials(Protocol):
    """The part of the library's credentials that is used."""

    token: str | None
    expiry: datetime | None

    def refresh(self, request: GoogleTransport, /) -> None:
        """Ask for a token."""
        ...


Make = Callable[[dict[str, object], list[str]], GoogleCredentials]


def read_login(path: str) -> Mapping[str, object]:
    """Read a file of credentials; one without a path has the type METADATA.

    Raises:
        Failed(credential_unreadable): it is not there, or not what it should be.
    """
    if not path:
        return {"type": METADATA}
    name = f"the file {path!r}"
    try:
        with Path(path).open("rb") as file:
            found: object = json.loads(file.read(_MOST))
    except OSError as error:
        raise unreadable(name, f"cannot be read: {(error.strerror or '').lower()}", hint=LOG_IN) from None
    except UNREADABLE:  # whose text may quote the file
        found = None
    if not isinstance(found, dict):
        raise unreadable(name, "is not a JSON object with a login of Google's", hint=LOG_IN)
    return found


def credentials_for(question: GoogleToken, info: Mapping[str, object]) -> GoogleCredentials:
    """Build what asks for the token of a question.

    Args:
        question: with no audience, or one for which ``makes_id_tokens``.
        info: of its file.

    Raises:
        Failed(credential_unreadable): the file lacks something, or has a type that is not known or cannot do this.
    """
    name = f"the login in {question.credentials!r}"
    kind = str(info.get("type", ""))
    makers = _ID_TOKENS if question.audience and not question.impersonate else _ACCESS_TOKENS
    make = makers.get(kind)
    if make is None and kind in _ACCESS_TOKENS:
        problem = "is not one that Google gives tokens for an audience to"
        raise unreadable(name, problem, hint='act for a service account that may: impersonate = "NAME@PROJECT..."')
    if make is None:
        raise unreadable(name, f"has the type {kind[:40]!r}; known are {', '.join(_ACCESS_TOKENS)}", hint=LOG_IN)
    another = question.impersonate or question.objects is not None
    wanted = [question.audience] if makers is _ID_TOKENS else [PLATFORM] if another else list(question.scopes)
    try:
        made = make(dict(info), wanted)
        if question.impersonate and not question.audience:
            scopes = [PLATFORM] if question.objects is not None else list(question.scopes)
            made = _acting_for(question.impersonate, made, scopes)
        return made if question.objects is None else _narrowed(made, question.objects)
    except (exceptions.GoogleAuthError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise incomplete(name, type(error).__name__) from None


def _acting_for(account: str, source: GoogleCredentials, scopes: list[str]) -> GoogleCredentials:
    made: GoogleCredentials = impersonated_credentials.Credentials(
        source_credentials=source, target_principal=account, target_scopes=scopes
    )
    return made


def _narrowed(source: GoogleCredentials, objects: GoogleObjects) -> GoogleCredentials:
    """Limit a token to reading objects: not even their names may be listed, which the bucket's own permissions are for.

    Source: cloud.google.com/iam/docs/downscoping-short-lived-credentials.
    """
    begins = f"projects/_/buckets/{objects.bucket}/objects/{objects.prefix}"
    rule = downscoped.AccessBoundaryRule(
        available_resource=f"//storage.googleapis.com/projects/_/buckets/{objects.bucket}",
        available_permissions=[_READER],
        availability_condition=downscoped.AvailabilityCondition(f"resource.name.startsWith('{begins}')"),
    )
    boundary = downscoped.CredentialAccessBoundary(rules=[rule])
    made: GoogleCredentials = downscoped.Credentials(source_credentials=source, credential_access_boundary=boundary)
    return made


def _of_user(info: dict[str, object], _: list[str]) -> GoogleCredentials:
    """A user's refresh token has the scopes that were agreed to, and is refused any others."""
    made: GoogleCredentials = user.Credentials.from_authorized_user_info(info)
    return made


def _of_service_account(info: dict[str, object], scopes: list[str]) -> GoogleCredentials:
    made: GoogleCredentials = service_account.Credentials.from_service_account_info(info, scopes=scopes)
    return made


def _of_external_account(info: dict[str, object], scopes: list[str]) -> GoogleCredentials:
    """An identity from another cloud or an identity provider: it is in a file, at a URL, or printed by a program."""
    source = info.get("credential_source")
    made: GoogleCredentials
    if info.get("subject_token_type") == _AWS:
        made = aws.Credentials.from_info(info, scopes=scopes)
    elif isinstance(source, dict) and source.get("executable") is not None:
        made = pluggable.Credentials.from_info(info, scopes=scopes)
    else:
        made = identity_pool.Credentials.from_info(info, scopes=scopes)
    return made


def _of_workforce(info: dict[str, object], _: list[str]) -> GoogleCredentials:
    made: GoogleCredentials = workforce.Credentials.from_info(info)
    return made


def _impersonated(info: dict[str, object], scopes: list[str]) -> GoogleCredentials:
    kind = impersonated_credentials.Credentials
    made: GoogleCredentials = kind.from_impersonated_service_account_info(info, scopes=scopes)
    return made


def _of_machine(_: dict[str, object], scopes: list[str]) -> GoogleCredentials:
    made: GoogleCredentials = compute_engine.Credentials(scopes=scopes)
    return made


def _id_of_service_account(info: dict[str, object], audience: list[str]) -> GoogleCredentials:
    kind = service_account.IDTokenCredentials
    made: GoogleCredentials = kind.from_service_account_info(info, target_audience=audience[0])
    return made


def _id_of_machine(_: dict[str, object], audience: list[str]) -> GoogleCredentials:
    made: GoogleCredentials = compute_engine.IDTokenCredentials(
        request=None, target_audience=audience[0], use_metadata_identity_endpoint=True
    )
    return made


_ACCESS_TOKENS: Final[Mapping[str, Make]] = {
    "authorized_user": _of_user,
    "service_account": _of_service_account,
    "external_account": _of_external_account,
    "external_account_authorized_user": _of_workforce,
    "impersonated_service_account": _impersonated,
    METADATA: _of_machine,
}

_ID_TOKENS: Final[Mapping[str, Make]] = {"service_account": _id_of_service_account, METADATA: _id_of_machine}
