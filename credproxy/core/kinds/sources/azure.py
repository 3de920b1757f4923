"""``source = "azure"``: access tokens of Microsoft Entra ID, by the login that Azure's own tools would use.

Source: learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from credproxy.core.ask.azure_hosts import AUTHORITIES, DEVOPS_SCOPE, STORAGE_SCOPE, Cloud, is_devops
from credproxy.core.ask.target import Target
from credproxy.core.ask.urls import proxy_problem
from credproxy.core.ask.worker_messages import AzureWay
from credproxy.core.formats.checks import Problem, absolute
from credproxy.core.formats.toml_types import FilePath, PublicText
from credproxy.core.kinds.cloud_libraries import AZURE
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Bundle, Use, Usual


WAYS: Final[tuple[AzureWay, ...]] = ("environment", "workload", "managed", "cli")

PROFILE: Final = Usual((), folder="AZURE_CONFIG_DIR", below=".azure", file="azureProfile.json", base="home")
"""What ``az login`` writes."""

AUTHORITY: Final = "AZURE_AUTHORITY_HOST"

ASSET: Final = "/sys/class/dmi/id/chassis_asset_tag"
AZURES: Final = "7783-7084-3265-9085-8269-3286-77"
"""What an Azure virtual machine has there. Source: cloud-init, cloudinit/sources/helpers/azure.py."""

_ID = re.compile(r"[0-9A-Za-z.-]{1,100}")
_SCOPE = re.compile(r"[!-~]{1,500}/\.default")


class AzureLogin(SourceBase, frozen=True):
    """An Azure login: the options that every source has that begins with one.

    ``ways`` says where it is looked for, in order; ``tenant`` and ``client_id`` which one is meant if there are several.
    """

    tenant: PublicText | None = None
    client_id: PublicText | None = None
    cloud: Cloud | None = None
    ways: tuple[AzureWay, ...] = WAYS
    proxy: PublicText | None = None
    ca_bundle: FilePath | None = None

    def problems(self) -> Iterator[Problem]:
        """Names of tenants and clients, and places."""
        for key in ("tenant", "client_id"):
            name = getattr(self, key)
            if name is not None and _ID.fullmatch(name) is None:
                yield (key,), "wanted an ID, such as 00000000-0000-0000-0000-000000000000, or a tenant's domain"
        if not self.ways or len(set(self.ways)) < len(self.ways):
            yield ("ways",), f"wanted some of {', '.join(WAYS)}, each once"
        if problem := proxy_problem(self.proxy):
            yield ("proxy",), problem
        yield from absolute("ca_bundle", self.ca_bundle)

    def uses(self) -> Iterator[Use]:
        """The library, and what may be missing."""
        yield AZURE
        if self.ca_bundle is not None:
            yield Bundle(self.ca_bundle)
        if "cli" in self.ways:
            yield PROFILE

    def authority(self, environ: Mapping[str, str]) -> str:
        """The host that gives tokens: of the rule's cloud, or else of the environment's."""
        if self.cloud is None and (named := environ.get(AUTHORITY)):
            return named.partition("://")[2].strip("/") or named.strip("/")
        return AUTHORITIES[self.cloud or "public"]

    @property
    def log_in(self) -> str:
        """The command that stores a login."""
        return "az login" if self.tenant is None else f"az login --tenant {self.tenant}"


class AzureSource(AzureLogin, frozen=True, tag_field="source", tag="azure"):
    """An access token for the API of a host; ``scope`` for another one than those of storage and DevOps."""

    scope: PublicText | None = None

    def problems(self) -> Iterator[Problem]:
        """The scope as well."""
        yield from super().problems()
        if self.scope is not None and _SCOPE.fullmatch(self.scope) is None:
            yield ("scope",), 'wanted an API and "/.default", such as https://storage.azure.com/.default'

    def scope_for(self, target: Target) -> str:
        """Whose API a token for a target is for."""
        return self.scope or (DEVOPS_SCOPE if is_devops(target) else STORAGE_SCOPE)
