"""``source = "acr"``: a login for an Azure container registry, made with the login of Azure's own tools.

Source: github.com/Azure/acr/blob/main/docs/AAD-OAuth.md.
"""

from typing import ClassVar

from credproxy.core.ask.azure_hosts import is_registry_host
from credproxy.core.kinds.sources.azure import AzureLogin


class AcrSource(AzureLogin, frozen=True, tag_field="source", tag="acr"):
    """A refresh token of the registry, for which it takes an access token of Microsoft Entra ID. For ``provider = "oci"``."""

    hosts: ClassVar[str] = "NAME.azurecr.io"

    def serves(self, host: str) -> bool:
        """Registries of Azure's, which get the login's token."""
        return is_registry_host(host)
