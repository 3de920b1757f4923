"""What went wrong on the network, in our words."""

import errno
import os

import pytest

from credproxy.adapters.reasons import Call, explain


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(errno.ENETUNREACH, "network is unreachable", id="network"),
        pytest.param(errno.EHOSTUNREACH, "no route to host", id="route"),
    ],
)
def test_u6_without_a_route_the_reason_is_the_systems(number: int, expected: str) -> None:
    """A machine that is not connected: the breaker and the retries treat it as any other refusal (U3)."""
    failure = explain(OSError(number, os.strerror(number)), Call("registry 'ghcr.io'", "ghcr.io")).failure
    assert (failure.code.value, failure.message) == (
        "upstream_unavailable",
        f"registry 'ghcr.io' cannot be reached: {expected}",
    )
