"""``provider = "azure"``: Azure Storage and Azure DevOps.

Registries are answered by ``oci``, with the same login. Source: learn.microsoft.com/rest/api/storageservices, "Authorize with
Microsoft Entra ID"; learn.microsoft.com/azure/devops, "Authenticate to Azure DevOps with Microsoft Entra".
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, Self

from credproxy.core.ask.azure_hosts import is_azure_storage
from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import Secret, Stored, UserPassword, secret_of
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place, unreadable, usable
from credproxy.core.ask.target import Target
from credproxy.core.formats.checks import Problem
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width, one_header
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.azure import AzureSource
from credproxy.core.kinds.sources.env import EnvSource


STORAGE_VERSION: Final = "2021-12-02"
"""Of the storage API: one since 2017-11-09 takes a token, and without the header none does."""

_STORAGE_DRESS = "storage"

_DEVOPS = (
    EnvSource("AZURE_DEVOPS_EXT_PAT", username="azure-devops"),
    EnvSource("SYSTEM_ACCESSTOKEN"),
    AzureSource(),
)
"""A personal access token, as az and its extension for DevOps take it; the token of a job of Azure Pipelines; a login."""


class AzureHost(DressedHost, frozen=True, tag_field="provider", tag="azure"):
    """Azure Storage and Azure DevOps: a token of the login of az, of the environment, or of the machine."""

    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    ignores_case: ClassVar[bool] = True
    calls: ClassVar[str] = "token"
    lacks: ClassVar[str] = "login of Azure's"
    empty: ClassVar[str] = "holds no token"
    remedy: ClassVar[str] = "log in again: az login"

    credentials: Sources = (AzureSource(),)

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """Storage and DevOps, if there is a login."""
        storage = (cls(host) for host in ("*.blob.core.windows.net", "*.dfs.core.windows.net"))
        devops = ("pkgs.dev.azure.com", "dev.azure.com", "*.pkgs.visualstudio.com")
        return (*storage, *(cls(host, credentials=_DEVOPS) for host in devops))

    def mistakes(self) -> Iterator[Problem]:
        """``insecure``: a token must not be sent in plain http."""
        if self.insecure:
            yield ("insecure",), "Azure is asked over TLS alone: leave it out"

    @property
    def public_match(self) -> str:
        """A container of blobs."""
        host = self.match.removeprefix("*.")
        return f"ACCOUNT.{host}/CONTAINER" if host.startswith("blob.") else ""

    def setup(self, target: Target) -> str:
        """Log in with az, unless the rule names another place."""
        del target
        found = next((source for _, source in self.secrets() if isinstance(source, AzureSource)), None)
        return another_place("credentials") if found is None else found.log_in

    def withheld(self, target: Target) -> str:
        """Why a URL with a shared access signature gets nothing."""
        return REASON if is_signed(target) else ""

    def width(self, target: Target) -> Width:
        """Whether storage is asked."""
        return (_STORAGE_DRESS if is_azure_storage(target) else "",)

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """A token as Bearer, with the version of the API for storage; a personal access token of DevOps as Basic."""
        if isinstance(stored, UserPassword):
            usable(stored, name, hint=self.remedy)
            if width == (_STORAGE_DRESS,):
                raise unreadable(
                    name, "is a login with a password, which Azure Storage does not take", hint=self.remedy
                )
            return (("Authorization", (basic(stored),)),)
        bearer = one_header("Authorization", "Bearer ", secret=secret_of(stored), where=name, remedy=self.remedy)
        return (*bearer, ("x-ms-version", (Secret(STORAGE_VERSION),))) if width == (_STORAGE_DRESS,) else bearer

    def about(self, width: Width) -> Mapping[str, str]:
        """What a 403 may mean."""
        role = "Storage Blob Data Reader" if width == (_STORAGE_DRESS,) else "Reader of the feed"
        return {"if_403": f"the login may lack a role: {role}"}
