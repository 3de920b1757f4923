"""google-auth: Google's access tokens and ID tokens, from a file of credentials or from the machine's metadata server."""

import calendar
import functools
import json
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import msgspec
from google.auth import exceptions

from credproxy.core.ask.worker_messages import GoogleToken, LibraryToken
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.worker.egress import Egress, Network
from credproxy.worker.google_credentials import GoogleCredentials, credentials_for, read_login
from credproxy.worker.google_refusals import told
from credproxy.worker.google_transport import GoogleTransport


_IDENTITIES = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{}:generateIdToken"


@dataclass(frozen=True, slots=True)
class _LoadedLogin:
    """Credentials that were read: checking a private key takes a tenth of a second. One thread uses them at a time.

    Attributes:
        kind: their type.
        account, project: see LibraryToken.
    """

    credentials: GoogleCredentials
    kind: str
    account: str
    project: str
    used: threading.Lock = field(default_factory=threading.Lock)


def google_token(question: GoogleToken, limit: float, *, network: Network = Network()) -> LibraryToken:  # noqa: B008  a value
    """Ask for a token.

    Args:
        question: whose, and what it is for.
        limit: seconds for all requests together.
        network: how names are resolved, and connections made.

    Raises:
        Failed: credential_unreadable, bad_credentials, denied; upstream_unavailable and what else Egress raises.
    """
    path = question.credentials
    name = f"the login in {path!r}" if path else "this machine's service account"
    egress = Egress(limit, proxy=question.proxy, ca_bundle=question.ca_bundle, network=network)
    # How it is reached is not part of what is kept.
    kept = _loaded(msgspec.structs.replace(question, proxy=None, ca_bundle=None), _stamp(path))
    try:
        with kept.used:
            kept.credentials.refresh(GoogleTransport(egress))
            token, expiry = kept.credentials.token or "", kept.credentials.expiry
    except (exceptions.GoogleAuthError, ValueError) as error:
        raise told(error, name, kind=kept.kind) from None
    if question.audience and question.impersonate:
        token = _id_token(question, token, egress, name)
        return LibraryToken(token, None, question.impersonate)
    until = None if expiry is None else float(calendar.timegm(expiry.utctimetuple()))
    return LibraryToken(token, until, question.impersonate or kept.account, kept.project)


def _id_token(question: GoogleToken, token: str, egress: Egress, name: str) -> str:
    """Have Google make an ID token for another account; the library would do so past its transport.

    Source: cloud.google.com/iam/docs/reference/credentials/rest, projects.serviceAccounts.generateIdToken.
    """
    url = _IDENTITIES.format(quote(question.impersonate, safe="@"))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"audience": question.audience, "includeEmail": True}).encode()
    answer = egress.send("POST", url, headers=headers, body=body)
    try:
        found: object = json.loads(answer.body)["token"] if answer.status == HTTPStatus.OK else None
    except (LookupError, TypeError, *UNREADABLE):
        found = None
    if not isinstance(found, str):
        refusal = exceptions.RefreshError("unable to acquire impersonated credentials")
        raise told(refusal, name, kind="impersonated_service_account")
    return found


def _stamp(path: str) -> tuple[int, int, int]:
    """What changes with a file."""
    try:
        about = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (about.st_mtime_ns, about.st_ino, about.st_size)


@functools.lru_cache(64)
def _loaded(question: GoogleToken, stamp: tuple[int, int, int]) -> _LoadedLogin:
    """Read credentials, once for each state of their file. Raises Failed(credential_unreadable)."""
    del stamp
    info = read_login(question.credentials)
    made = credentials_for(question, info)
    account = str(info.get("client_email") or info.get("account") or "")
    return _LoadedLogin(made, str(info["type"]), account, str(info.get("quota_project_id") or ""))
