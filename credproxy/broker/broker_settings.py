"""The broker's part of the configuration."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Seconds, a count, bytes. Source: docs/reference/configuration.md."""

    empty_ttl: float = 60.0
    flight_timeout: float = 30.0
    bazel_71_compat: bool = False
    entries: int = 100_000
    bytes: int = 64 * 1024 * 1024
