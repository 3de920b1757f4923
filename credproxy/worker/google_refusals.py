"""What a refusal by Google means, in our words: the library's texts quote answers, and an answer may hold anything.

Source: google/oauth2/_client.py and google/oauth2/reauth.py of google-auth 2.63; developers.google.com/identity/protocols/oauth2,
"Refresh token expiration".
"""

import re
from typing import Final

from google.auth import exceptions

from credproxy.core.ask.stored import unreadable
from credproxy.core.errors import Code, Failed, failed


_LOG_IN = "gcloud auth application-default login"
_CODE = re.compile(r"[a-z][a-z_]{1,40}")
_TEXT = 4096

_CLOCK = ("reasonable timeframe", "iat and exp", "issued in the future", "not yet valid")
"""What Google says of an assertion whose times are wrong."""

_NONE = re.compile(r"metadata service\. status: 4[0-9]{2}\b")
"""What the library says of a machine without a service account."""

_REAUTHENTICATE = ("invalid_rapt", "rapt_required", "reauth")
"""An organisation wants its users to log in again every few hours."""

_NO_SUBJECT = ("was not found", "unable to retrieve identity pool subject token")
"""What the library says of a file that is not there, and of a URL that gives none."""

_SWITCHED_OFF = ("service_disabled", "has not been used in project")

_ANOTHER_CLIENT = f"{_LOG_IN}, without --client-id-file or with that of another client"
_MEANINGS: Final = {
    "disabled_client": ("the OAuth client that it was made with is disabled", _ANOTHER_CLIENT),
    "deleted_client": ("the OAuth client that it was made with was deleted", _ANOTHER_CLIENT),
    "admin_policy_enforced": (
        "its organisation does not trust the application with that",
        "ask for it: Admin console, Security, API controls, App access control",
    ),
    "invalid_scope": (
        "one of the scopes is not known, or not for it",
        'name others in its source: scopes = ["https://..."]',
    ),
}
"""What a code of Google's means, and what helps."""

_FAULT: Final = {
    "service_account": "its key was deleted or its account disabled: make another key in the console, or with gcloud iam "
    "service-accounts keys create",
    "metadata": "see which service account the machine has: gcloud compute instances describe NAME",
    "external_account": "see whether the pool's provider still trusts the issuer of the subject token",
    "impersonated_service_account": "grant roles/iam.serviceAccountTokenCreator on the account that is impersonated",
}


def incomplete(name: str, problem: str) -> Failed:
    """Say that no credentials can be made of a file.

    Args:
        name: of the login, for messages.
        problem: the type of the library's error.
    """
    return unreadable(
        name, f"lacks something that its type needs, or has a key that cannot be used ({problem})", hint=_LOG_IN
    )


def told(error: Exception, name: str, *, kind: str) -> Failed:
    """Say why there is no token.

    Args:
        error: of the library.
        name: of the credentials, for messages.
        kind: their type.
    """
    text = _said(error)
    again = _FAULT.get(kind, _LOG_IN)
    if kind == "metadata" or getattr(error, "retryable", False):
        return _not_now(text, name, again)
    if isinstance(error, ValueError) and not isinstance(error, exceptions.RefreshError):
        return incomplete(name, type(error).__name__)
    if kind == "external_account" and any(part in text for part in _NO_SUBJECT):
        hint = "see whether it is where the file's credential_source says: a CI job has one while it runs"
        return unreadable(f"the subject token of {name}", "cannot be had", hint=hint)
    if any(part in text for part in _CLOCK):
        message = f"Google does not accept the time in what {name} signed: this machine's clock is wrong"
        return failed(Code.BAD_CREDENTIALS, message, hint="set the clock: timedatectl set-ntp true")
    if any(part in text for part in _REAUTHENTICATE):
        message = f"Google wants {name} to be confirmed by a new login, as an organisation may demand every few hours"
        return failed(Code.BAD_CREDENTIALS, message, hint=_LOG_IN)
    return _refusal(text, name, again=again)


def _not_now(text: str, name: str, again: str) -> Failed:
    """Say whether waiting helps: not where a machine has no service account."""
    if _NONE.search(text) is not None:
        message = f"the metadata server has no token for {name}: there is none, or it does not have the scopes"
        return failed(Code.DENIED, message, hint=again)
    return failed(Code.UPSTREAM_UNAVAILABLE, f"Google gives no token for {name} now", hint="try again in a minute")


def _refusal(text: str, name: str, *, again: str) -> Failed:
    """Say what Google's answer means."""
    if any(part in text for part in _SWITCHED_OFF):
        message = f"the API that {name} acts for another account by is not switched on in its project"
        return failed(Code.DENIED, message, hint="gcloud services enable iamcredentials.googleapis.com")
    if "unable to acquire impersonated" in text:
        message = f"Google does not let {name} act for the service account that it names"
        return failed(Code.DENIED, message, hint=_FAULT["impersonated_service_account"])
    for code, (problem, remedy) in _MEANINGS.items():
        if code in text:
            return failed(Code.DENIED, f"Google refuses {name}: {problem} ({code})", hint=remedy)
    code = next((found for found in _CODE.findall(text) if "_" in found), "")
    expired = "invalid_grant" in text
    message = f"Google refuses {name}" + (
        ": it has expired or was revoked" if expired else f" ({code})" if code else ""
    )
    return failed(Code.BAD_CREDENTIALS, message, hint=again)


def _said(error: Exception) -> str:
    """What was answered, to be searched and never to be shown."""
    return " ".join(str(part) for part in error.args)[:_TEXT].lower()
