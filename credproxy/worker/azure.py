"""azure-identity: access tokens of Microsoft Entra ID, by each of the ways in which a login may be there.

Each way is tried by itself, not by ``DefaultAzureCredential``: that would also start Windows programs and developer tools.
Source: azure/identity of azure-identity 1.27; learn.microsoft.com/entra/identity-platform, "Access tokens".
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypedDict

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.identity import (
    AzureCliCredential,
    CredentialUnavailableError,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from credproxy.core.ask.worker_messages import AzureToken, AzureWay, LibraryToken
from credproxy.worker.azure_refusals import azure_refusal, unavailable
from credproxy.worker.azure_transport import AzureTransport
from credproxy.worker.egress import Egress


_LATEST: Final = 1e12
"""POSIX seconds that an end may be at: a server may have named any number, and not each is a float."""


class _AzureCredential(Protocol):
    """The part of the library's credentials that is used."""

    def get_token(self, *scopes: str) -> AccessToken:
        """Ask for a token."""
        ...


class _HttpOptions(TypedDict):
    """The options of those that speak HTTP."""

    transport: AzureTransport
    authority: str
    disable_instance_discovery: bool
    retry_total: int


def azure_token(question: AzureToken, limit: float) -> LibraryToken:
    """Ask for a token, in one way after the other until one has a login.

    Raises:
        Failed: credential_unreadable, bad_credentials; upstream_unavailable and what else Egress raises.
    """
    egress = Egress(limit, proxy=question.proxy, ca_bundle=question.ca_bundle)
    http = _HttpOptions(
        transport=AzureTransport(egress),
        authority=question.authority,
        # Else a host that is known to nobody but the rule is looked up at login.microsoftonline.com.
        disable_instance_discovery=True,
        retry_total=1,
    )
    tried: dict[AzureWay, Exception] = {}
    for way in question.ways:
        try:
            found = _MAKERS[way](question, http, limit).get_token(question.scope)
        except CredentialUnavailableError as error:  # not this one, ask the next
            tried[way] = error
        except (AzureError, ValueError) as error:
            raise azure_refusal(error, way, scope=question.scope) from None
        else:
            return LibraryToken(found.token, float(min(found.expires_on, _LATEST)))
    raise unavailable(tried)


_MakeAzure = Callable[[AzureToken, _HttpOptions, float], _AzureCredential]


def _of_environment(question: AzureToken, http: _HttpOptions, limit: float) -> _AzureCredential:
    del question, limit
    return EnvironmentCredential(**http)


def _of_workload(question: AzureToken, http: _HttpOptions, limit: float) -> _AzureCredential:
    del limit
    return WorkloadIdentityCredential(tenant_id=question.tenant or None, client_id=question.client_id or None, **http)


def _of_machine(question: AzureToken, http: _HttpOptions, limit: float) -> _AzureCredential:
    del limit
    return ManagedIdentityCredential(
        client_id=question.client_id or None,
        transport=http["transport"],
        retry_total=http["retry_total"],
        _exclude_workload_identity_credential=True,
    )


def _of_program(question: AzureToken, http: _HttpOptions, limit: float) -> _AzureCredential:
    del http
    return AzureCliCredential(tenant_id=question.tenant, process_timeout=max(1, int(limit) - 1))


_MAKERS: Final[Mapping[AzureWay, _MakeAzure]] = {
    "environment": _of_environment,
    "workload": _of_workload,
    "managed": _of_machine,
    "cli": _of_program,
}
