"""Counters for Prometheus. Label values come from the configuration or from closed lists, so they cannot grow."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest


_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8.5, 15, 30)
_AGES = (1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600)
_OUTCOMES = ("fresh", "advisory", "mandatory", "miss", "negative", "none")


class PrometheusMetrics:
    """What the daemon counts, under names that begin with ``credproxy_``. Source: ports.observability.Metrics."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        cache = Counter(
            "credproxy_cache_lookups", "Questions by state of the cache", ["outcome"], registry=self._registry
        )
        # Bound once: labels() costs more than the increment, and this one is on the hot path.
        self._cache = {outcome: cache.labels(outcome) for outcome in _OUTCOMES}
        self._exchanges = Histogram(
            "credproxy_exchange_seconds",
            "Flights by upstream and outcome",
            ["upstream", "outcome"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._programs = Histogram(
            "credproxy_program_seconds",
            "Runs of helper programs by outcome",
            ["program", "outcome"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._reloads = Counter(
            "credproxy_reloads", "Reloads of the configuration by outcome", ["outcome"], registry=self._registry
        )
        self._waits = Histogram(
            "credproxy_flight_wait_seconds", "Waiting for a flight", buckets=_SECONDS, registry=self._registry
        )
        self._ages = Histogram(
            "credproxy_handed_out_age_seconds",
            "Age of what was handed out from memory",
            buckets=_AGES,
            registry=self._registry,
        )

    def cache(self, outcome: str) -> None:
        """Count one cache look-up."""
        self._cache[outcome].inc()

    def exchange(self, upstream: str, outcome: str, *, seconds: float) -> None:
        """Count a flight that ended."""
        self._exchanges.labels(upstream, outcome).observe(seconds)

    def program(self, name: str, outcome: str, *, seconds: float) -> None:
        """Count a program that ended."""
        self._programs.labels(name, outcome).observe(seconds)

    def reload(self, outcome: str) -> None:
        """Count a reload of the configuration."""
        self._reloads.labels(outcome).inc()

    def waited(self, seconds: float) -> None:
        """Record how long a question waited for a flight."""
        self._waits.observe(seconds)

    def age(self, seconds: float) -> None:
        """Record the age of a grant handed out from memory."""
        self._ages.observe(seconds)

    def gauge(self, name: str, about: str, *, value: Callable[[], float]) -> None:
        """Show a value that is read at each scrape; ``name`` is without the prefix."""
        Gauge(f"credproxy_{name}", about, registry=self._registry).set_function(value)

    def render(self) -> tuple[bytes, str]:
        """The page of ``GET /metrics`` and its content type."""
        page: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]  # the library has no type for it
        return page, CONTENT_TYPE_LATEST
