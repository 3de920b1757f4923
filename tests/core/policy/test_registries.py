"""Which registries a rule means: rules_img's own table, ports, and Docker Hub's names."""

import pytest

from credproxy.core.policy.registries import ANY_PORT, Registries


@pytest.mark.parametrize(
    ("pattern", "host", "wanted"),
    [
        ("docker.acme.corp", "docker.acme.corp", True),
        ("Docker.Acme.Corp", "docker.acme.corp", True),
        ("docker.acme.corp", "docker.acme.cor", False),
        ("docker.acme.corp", "evil-docker.acme.corp", False),
        ("docker.acme.corp", "docker.acme.corp.evil", False),
        ("*.acme.corp", "docker.acme.corp", True),
        ("*.acme.corp", "a.b.acme.corp", True),
        ("*.acme.corp", "acme.corp", False),
        ("*.acme.corp", "evil-acme.corp", False),
        ("*.acme.corp", "xacme.corp", False),
        ("*.acme.corp", "acme.corp.evil", False),
        ("*", "anything.example.com", True),
        ("*", "localhost:5000", True),
    ],
)
def test_a_host_and_a_pattern(pattern: str, host: str, *, wanted: bool) -> None:
    """rules_img ``policy_test.go``, TestMatchHost; the registry asked about is canonical already."""
    assert Registries(pattern).cover(host) is wanted
    assert Registries(pattern + ANY_PORT).cover(host) is wanted


@pytest.mark.parametrize(
    ("pattern", "registry", "wanted"),
    [
        ("reg.test", "reg.test:5000", False),
        ("reg.test:443", "reg.test", True),
        ("reg.test:5000", "reg.test:5000", True),
        ("reg.test:5000", "reg.test", False),
        ("reg.test:*", "reg.test:5000", True),
        ("reg.test:*", "reg.test", True),
        ("reg.test:*", "evil.test:5000", False),
        ("*.test", "reg.test:5000", False),
        ("*.test:*", "reg.test:5000", True),
        ("[::1]:*", "[::1]", True),
        ("[::1]:*", "[::1]:5000", True),
        ("[::1]:*", "[::1:5000]", False),
    ],
)
def test_ports(pattern: str, registry: str, *, wanted: bool) -> None:
    """A host of the configuration means one port; one of a policy file, which has none, means all."""
    assert Registries(pattern).cover(registry) is wanted


@pytest.mark.parametrize("pattern", ["docker.io", "index.docker.io", "registry-1.docker.io", "*.docker.io"])
@pytest.mark.parametrize(
    "registry", ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]
)
def test_docker_hub_is_one_registry(pattern: str, registry: str) -> None:
    """SC-13: A rule that denies one name must not be bypassed under another."""
    assert Registries(pattern).cover(registry)
    assert Registries(pattern + ANY_PORT).cover(registry)
    assert not Registries(pattern).cover("docker.io.evil.test")


def test_only_an_exact_name_is_docker_hub_alone() -> None:
    """``library/`` is added to a rule's repository only if no other registry can be meant."""
    assert Registries("docker.io").is_hub
    assert Registries("index.docker.io:*").is_hub
    assert not Registries("*.docker.io").is_hub
    assert not Registries("*").is_hub
    assert not Registries("ghcr.io").is_hub
