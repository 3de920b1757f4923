"""What the broker tells people about itself. Never a secret, never a URI's query.

The structs are the JSON of ``/v1/status`` and ``/v1/explain``; seconds throughout.
"""

from collections.abc import Mapping

from msgspec import Struct

from credproxy.broker.cache import Entry
from credproxy.broker.flight import Flight
from credproxy.broker.negative import Remembered
from credproxy.broker.upstream import Origin
from credproxy.core.errors import Failure
from credproxy.core.lifetime import remaining, state


class Problem(Struct, frozen=True, omit_defaults=True):
    """A failure as people see it."""

    code: str
    message: str
    hint: str = ""
    retry_after: float | None = None


class EntryReport(Struct, frozen=True):
    """One grant in memory; ``left`` is negative once it has expired, ``idle`` counts from its last use."""

    socket: str
    uid: int
    subject: str
    detail: dict[str, str]
    state: str
    age: float
    left: float
    idle: float
    uses: int
    failures: int
    empty: bool
    note: str


class FlightReport(Struct, frozen=True):
    """One exchange: ``queued``, ``flying``, or ``unattended`` when nobody waits for it."""

    subject: str
    upstream: str
    phase: str
    waiters: int
    seconds: float


class NegativeReport(Struct, frozen=True):
    """One failure that is shared at the moment."""

    host: str
    code: str
    message: str
    left: float


class OriginReport(Struct, frozen=True):
    """One upstream origin: its breaker (``left`` until it is asked again) and the pause that a 429 asked for."""

    origin: str
    breaker: str
    left: float
    throttled: float
    retries: float


class Status(Struct, frozen=True):
    """The broker at one moment; ``entries`` are at most the 1,000 used last, of ``cached``."""

    generation: int
    uptime: float
    cached: int
    bytes: int
    evicted: int
    renewing: int
    bugs: int
    entries: list[EntryReport]
    flights: list[FlightReport]
    failures: list[NegativeReport]
    origins: list[OriginReport]


class Explanation(Struct, frozen=True, omit_defaults=True):
    """Every decision for one URI, none of them carried out.

    Attributes:
        target: the canonical URI without its query.
        form: ``url``, ``host`` or ``literal``.
        rule: the ``match`` of the host rule; "" where none matched.
        answer: ``{}`` where the URI gets no credential, ``error`` with a ``problem``, else ``credential``.
        entry: what is in memory for its key; ``flight``: what is under way; ``failure``: what is remembered;
            ``origin``: its upstream's breaker.
    """

    target: str
    form: str
    generation: int
    rule: str
    answer: str
    subject: str = ""
    upstream: str = ""
    detail: dict[str, str] = {}
    problem: Problem | None = None
    entry: EntryReport | None = None
    flight: FlightReport | None = None
    failure: Problem | None = None
    origin: OriginReport | None = None


def describe_failure(failure: Failure) -> Problem:
    """A failure's report."""
    return Problem(failure.code.value, failure.message, failure.hint, failure.retry_after)


def describe_entry(entry: Entry, boot: float, wall: float) -> EntryReport:
    """An entry's report."""
    lifetime = entry.grant.lifetime
    return EntryReport(
        socket=entry.key.origin.socket,
        uid=entry.key.origin.uid,
        subject=entry.plan.subject,
        detail=_plain(entry.plan.detail),
        state=state(lifetime, entry.window, boot, wall).value,
        age=_round(boot - lifetime.since),
        left=_round(remaining(lifetime, boot, wall)),
        idle=_round(boot - entry.used),
        uses=entry.uses,
        failures=entry.failures,
        empty=entry.grant.empty,
        note=entry.grant.note,
    )


def describe_flight(flight: Flight, boot: float) -> FlightReport:
    """A flight's report."""
    phase = "queued" if flight.started is None else "flying" if flight.waiters else "unattended"
    seconds = 0.0 if flight.started is None else boot - flight.started
    return FlightReport(flight.plan.subject, flight.plan.upstream, phase, len(flight.waiters), _round(seconds))


def describe_remembered(record: Remembered, boot: float) -> NegativeReport:
    """A remembered failure's report."""
    return NegativeReport(
        record.authority, record.failure.code.value, record.failure.message, _round(record.until - boot)
    )


def describe_origin(origin: Origin, boot: float) -> OriginReport:
    """An origin's report."""
    return OriginReport(
        origin=origin.name,
        breaker=origin.breaker.phase.value,
        left=_round(max(0.0, origin.breaker.until - boot)),
        throttled=_round(max(0.0, origin.closed_until - boot)),
        retries=_round(origin.budget),
    )


def _plain(detail: Mapping[str, str]) -> dict[str, str]:
    return dict(detail)


def _round(seconds: float) -> float:
    return round(seconds, 1)
