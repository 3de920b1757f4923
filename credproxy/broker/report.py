"""What the broker reports about itself. Never a secret, never a URI's query.

The structs are the JSON of ``/v1/status`` and ``/v1/explain``; seconds throughout.
"""

from msgspec import Struct


class ReportedFailure(Struct, frozen=True, omit_defaults=True):
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
    """One exchange: ``queued``, ``flying``, or ``unattended`` when no caller waits for it."""

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
    """One upstream origin: its breaker (``left`` until it is asked again) and the pause that a 429 asked for.

    ``actions`` marks what build actions caused, which is counted apart. ``ahead`` is how many seconds this machine's
    clock is ahead of the server's; None if that is unknown.
    """

    origin: str
    breaker: str
    left: float
    throttled: float
    retries: float
    actions: bool = False
    ahead: int | None = None


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
        rule: the ``match`` of the host rule; "" if none matched.
        answer: ``{}`` if the URI gets no credential, with a ``problem`` if a file or a store that may have one
            cannot be read; ``error`` with a ``problem``; else ``credential``, with a ``problem`` where it is exchanged
            anonymously for such a reason; or ``unknown`` where only a program can tell, which ``reasons`` names.
        reasons: why there is no credential, a sentence each.
        certificate: path of the client certificate that its rule has the host shown; "" for none of a rule.
        entry: what is cached for its key; ``flight``: what is under way; ``failure``: what is remembered;
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
    reasons: tuple[str, ...] = ()
    problem: ReportedFailure | None = None
    certificate: str = ""
    entry: EntryReport | None = None
    flight: FlightReport | None = None
    failure: ReportedFailure | None = None
    origin: OriginReport | None = None
