"""``source = "acr"``: a login for an Azure container registry, made with the login of Azure's own tools.

Source: github.com/Azure/acr/blob/main/docs/AAD-OAuth.md.
"""

from credproxy.core.kinds.sources.azure import AzureLogin


class AcrSource(AzureLogin, frozen=True, tag_field="source", tag="acr"):
    """A refresh token of the registry, for which it takes an access token of Microsoft Entra ID. For ``provider = "oci"``."""
