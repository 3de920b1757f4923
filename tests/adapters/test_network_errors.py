"""What went wrong on the network, in our words."""

import errno
import os

import pytest

from credproxy.adapters.network_errors import Call, explain
from credproxy.adapters.tunnel import ProxyError


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(errno.ENETUNREACH, "network is unreachable", id="network"),
        pytest.param(errno.EHOSTUNREACH, "no route to host", id="route"),
    ],
)
def test_without_a_route_the_reason_is_the_systems(number: int, expected: str) -> None:
    """U6: On a machine without a network, breaker and retries treat it like any other refusal (U3)."""
    failure = explain(OSError(number, os.strerror(number)), Call("registry 'ghcr.io'", "ghcr.io")).failure
    assert (failure.code.value, failure.message) == (
        "upstream_unavailable",
        f"registry 'ghcr.io' cannot be reached: {expected}",
    )


def test_a_handshake_without_an_answer_is_not_told_as_a_refused_connection() -> None:
    """A registry that accepts a connection and is silent in TLS: it is only known that the handshake did not complete."""
    failure = explain(TimeoutError(), Call("registry 'ghcr.io'", "ghcr.io")).failure
    assert failure.message == "registry 'ghcr.io' did not complete a connection in time"


def test_a_silence_behind_a_proxy_is_not_attributed_to_the_proxy_alone() -> None:
    """It may have connected to a registry that is silent; its login is not shown."""
    call = Call("registry 'ghcr.io'", "ghcr.io", "http://u:canary@proxy.test:3128")
    failure = explain(ProxyError(cause=TimeoutError()), call).failure
    assert (failure.message, failure.hint) == (
        "no connection to registry 'ghcr.io' through proxy 'proxy.test:3128' could be made in time",
        "is the proxy running, and does it reach 'ghcr.io'?",
    )
