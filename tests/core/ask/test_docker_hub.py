"""Docker Hub's names."""

import pytest

from credproxy.core.ask.docker_hub import api_host, is_hub


@pytest.mark.parametrize(
    "authority", ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]
)
def test_hub_names_are_one_registry(authority: str) -> None:
    """SC-11: whichever a client uses; all are contacted by their own name except the one without an API (TX-2)."""
    assert api_host(authority) == ("registry-1.docker.io" if authority == "docker.io" else authority)
    assert is_hub(authority)


@pytest.mark.parametrize(
    "authority", ["auth.docker.io", "docker.io.evil.test", "xdocker.io", "docker.io:5000", "ghcr.io"]
)
def test_other_hosts_keep_their_own_key(authority: str) -> None:
    """The token server, a port, or a name that only looks alike is not Docker Hub."""
    assert not is_hub(authority)
    assert api_host(authority) == authority
