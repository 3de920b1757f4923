"""Requests and answers of the gateway, as values."""

from credproxy.core.errors import Code, Failed
from credproxy.gateway.asked import ORIGINAL_HOST, Asked


D = "sha256:" + "a" * 64
REGISTRY = "reg.test"


def asked(
    target: str,
    method: str = "GET",
    *headers: tuple[str, str],
    host: str | tuple[str, ...] = REGISTRY,
    uid: int = 1000,
) -> Asked:
    """A request as the server makes it; ``host`` are the values of its Original-Host lines."""
    path, _, query = target.partition("?")
    hosts = (host,) if isinstance(host, str) else host
    lines = (("Host", "localhost"), *((ORIGINAL_HOST, value) for value in hosts), *headers)
    return Asked(method, path, query, lines, uid)


def code(error: Failed) -> Code:
    """What kind of failure it is."""
    return error.failure.code
