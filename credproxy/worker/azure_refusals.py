"""What a refusal of Microsoft Entra ID means, in our words: the library's texts quote answers, and those may hold anything.

Source: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

import re
from collections.abc import Mapping
from typing import Final

from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.worker_messages import AzureWay
from credproxy.core.errors import Code, Failed, failed


_LOG_IN = "az login"
_CODE = re.compile(r"AADSTS[0-9]{4,8}")

_NAMES: Final[Mapping[AzureWay, str]] = {
    "environment": "the login in the variables AZURE_...",
    "workload": "the workload identity of this pod",
    "managed": "the managed identity of this machine",
    "cli": "the login of az",
}

_OF_TENANT = "az login --tenant TENANT, of the tenant that has what you want"
_CERTIFICATES = "see which it has: az ad app credential list --cert --id CLIENT_ID"
_FEDERATED = (
    "shows a token that no federated credential of the application is for",
    "compare its issuer, subject and audience with az ad app federated-credential list --id CLIENT_ID",
)
_ANOTHER = "make another one: az ad app credential reset --id CLIENT_ID"
_MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "AADSTS7000215": ("has a client secret that is not the application's", _ANOTHER),
    "AADSTS7000222": ("has a client secret that has expired", _ANOTHER),
    "AADSTS700016": ("names an application that is not in that tenant", "correct the tenant and the client ID"),
    "AADSTS90002": ("names a tenant that is not there", "correct the tenant, or the cloud"),
    "AADSTS700024": ("signed at a time that is not now: is this machine's clock right?", "timedatectl set-ntp true"),
    "AADSTS500011": ("is in a tenant that does not know the API", "name the tenant of what you want: tenant = ..."),
    "AADSTS50076": ("has to be confirmed with a second factor", _LOG_IN),
    "AADSTS50078": ("has to be confirmed with a second factor again", _LOG_IN),
    "AADSTS70043": ("has expired, as the organisation wants it", _LOG_IN),
    "AADSTS700082": ("has expired, since it was not used for long", _LOG_IN),
    "AADSTS50173": ("was revoked, as by a changed password", _LOG_IN),
    "AADSTS50132": ("was revoked, as by a changed password", _LOG_IN),
    "AADSTS50133": ("was revoked, as by a changed password", _LOG_IN),
    "AADSTS70008": ("has expired, since it was not used for long", _LOG_IN),
    "AADSTS50079": ("has to be confirmed with a second factor, which has to be set up", _LOG_IN),
    "AADSTS50034": ("is of a user who is not in that tenant", _OF_TENANT),
    "AADSTS50020": ("is of a user who is not in that tenant", _OF_TENANT),
    "AADSTS90072": ("is of a user who is not in that tenant", _OF_TENANT),
    "AADSTS50057": ("is of a user who is disabled", "log in as another one, or ask an administrator: az login"),
    "AADSTS53003": (
        "is kept out by a rule for conditional access",
        "az login, with a device and a network that it takes",
    ),
    "AADSTS530003": ("is kept out by a rule for conditional access", "az login, on a device that is managed"),
    "AADSTS65001": ("has no consent for the API", "az login --scope SCOPE; an administrator may have to consent"),
    "AADSTS7000112": (
        "names an application that is disabled",
        "have it enabled: az ad sp update --id CLIENT_ID --set accountEnabled=true",
    ),
    "AADSTS700027": ("is signed with a certificate that the application does not have", _CERTIFICATES),
    "AADSTS900023": ("names a tenant that cannot be one", "correct the tenant: az account list --query [].tenantId"),
    "AADSTS70021": _FEDERATED,
    "AADSTS700211": _FEDERATED,
    "AADSTS700212": _FEDERATED,
    "AADSTS700213": _FEDERATED,
    "AADSTS50196": (
        "was used too often, by something that asks again and again",
        "find it, and try again in five minutes",
    ),
}
"""By code: the rest of a sentence about a login, and what is done about it; ``SCOPE`` is the one that was asked for."""


_UNASSIGNED = ("no identity has been assigned", "identity not found")


def azure_refusal(error: Exception, way: AzureWay, *, scope: str) -> Failed:
    """Say why there is no token of a scope."""
    ours = _ours(error)
    if ours is not None:
        return ours
    name, text = _NAMES[way], str(error)
    code = next(iter(_CODE.findall(text)), "")
    if code in _MEANINGS:
        problem, remedy = _MEANINGS[code]
        return failed(Code.BAD_CREDENTIALS, f"{name} {problem} ({code})", hint=remedy.replace("SCOPE", scope))
    if way == "cli" and "az login" in text.lower():
        return failed(Code.BAD_CREDENTIALS, f"{name} has expired, or there is none", hint=_LOG_IN)
    if isinstance(error, ValueError):
        return unreadable(
            name,
            "has a tenant or a client ID that cannot be one",
            hint="correct AZURE_TENANT_ID and AZURE_CLIENT_ID, or the rule",
        )
    said = f" ({code})" if code else ""
    page = f"https://login.microsoftonline.com/error?code={code.removeprefix('AADSTS')}".removesuffix("?code=")
    hint = _LOG_IN if way == "cli" else f"see what Microsoft says of it: {page}"
    return failed(Code.BAD_CREDENTIALS, f"Microsoft Entra ID refuses {name}{said}", hint=hint)


def unavailable(tried: Mapping[AzureWay, Exception]) -> Failed:
    """Say that none of the ways has a login, although each looked as if it had."""
    for error in tried.values():
        ours = _ours(error)
        if ours is not None:
            return ours
    said = "; ".join(f"{_NAMES[way]} {_why(error)}" for way, error in tried.items())
    return failed(Code.BAD_CREDENTIALS, f"there is no login of Azure's: {said}", hint=_LOG_IN)


def _why(error: Exception) -> str:
    text = str(error).lower()
    if "not found on path" in text:
        return "needs the program az on PATH"
    if "az login" in text:
        return "has expired, or there is none"
    return "is not assigned" if any(part in text for part in _UNASSIGNED) else "is not there"


def _ours(error: BaseException) -> Failed | None:
    """A failure of our transport that the library has wrapped."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None or isinstance(seen, Failed):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
