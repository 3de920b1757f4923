"""What Azure's hosts are for: storage, DevOps or registries, in each of its clouds.

Source: learn.microsoft.com/azure/storage/common/storage-account-overview, "Storage account endpoints";
learn.microsoft.com/azure/container-registry, "Sovereign clouds".
"""

import re
from typing import Final, Literal

from credproxy.core.ask.target import Target


Cloud = Literal["public", "china", "government"]

AUTHORITIES: Final[dict[Cloud, str]] = {
    "public": "login.microsoftonline.com",
    "china": "login.chinacloudapi.cn",
    "government": "login.microsoftonline.us",
}

STORAGE_SCOPE: Final = "https://storage.azure.com/.default"
DEVOPS_SCOPE: Final = "499b84ac-1321-427f-aa17-267ca6975798/.default"
REGISTRY_SCOPE: Final = "https://containerregistry.azure.net/.default"

_STORAGE = (
    ".core.windows.net",
    ".core.chinacloudapi.cn",
    ".core.usgovcloudapi.net",
    ".storage.azure.net",
)
_DEVOPS = (".dev.azure.com", ".visualstudio.com")
"""Its services, and the hosts of organisations of old. Source: learn.microsoft.com/azure/devops, "Allowed IP addresses and domain URLs"."""

_REGISTRY = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9]+\.geo)?\.azurecr\.(?:io|cn|us)")
"""Not ``NAME.REGION.data.azurecr.io``: a registry sends clients there for content, with a signature in the URL."""


def is_azure_storage(target: Target) -> bool:
    """Whether a host belongs to Azure Storage."""
    return target.host.endswith(_STORAGE)


def is_devops(target: Target) -> bool:
    """Whether a host belongs to Azure DevOps."""
    return target.host == "dev.azure.com" or target.host.endswith(_DEVOPS)


def is_azure_registry(target: Target) -> bool:
    """Whether a target is at an Azure container registry."""
    return is_registry_host(target.host)


def is_registry_host(host: str) -> bool:
    """Whether a host is an Azure container registry."""
    return _REGISTRY.fullmatch(host) is not None
