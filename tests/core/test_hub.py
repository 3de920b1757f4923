"""Docker Hub's names."""

import pytest

from credproxy.core.hub import HUB_KEY, hub_key, is_hub


@pytest.mark.parametrize(
    "authority", ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]
)
def test_sc11_hub_names_share_one_key(authority: str) -> None:
    """Every client's name for Docker Hub finds the login that docker stored."""
    assert is_hub(authority)
    assert hub_key(authority) == HUB_KEY == "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    "authority", ["auth.docker.io", "docker.io.evil.test", "xdocker.io", "docker.io:5000", "ghcr.io"]
)
def test_other_hosts_keep_their_own_key(authority: str) -> None:
    """The token server, a port, or a name that only looks alike is not Docker Hub."""
    assert not is_hub(authority)
    assert hub_key(authority) == authority
