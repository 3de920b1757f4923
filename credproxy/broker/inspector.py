"""Inspects the broker's parts for people; changes nothing, not even which grant was used last."""

from collections.abc import Sequence

from credproxy.broker.bugs import Bugs
from credproxy.broker.entry import Entry
from credproxy.broker.era import Era
from credproxy.broker.flight import Flight
from credproxy.broker.lookup import key_of
from credproxy.broker.negative_cache import Remembered
from credproxy.broker.origin_state import OriginState
from credproxy.broker.renewal import Renewal
from credproxy.broker.report import (
    EntryReport,
    Explanation,
    FlightReport,
    NegativeReport,
    OriginReport,
    ReportedFailure,
    Status,
)
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.runway import Runway
from credproxy.broker.table import Routed
from credproxy.core.ask.lifetime import remaining, state
from credproxy.core.ask.target import Question
from credproxy.core.errors import Failure
from credproxy.ports.clock import Clock


SHOWN = 1000
"""Entries in a status: a page that a person can still search, and a few hundred KiB at most."""


class Inspector:
    """Turns state into reports."""

    def __init__(
        self,
        *,
        clock: Clock,
        runway: Runway,
        renewal: Renewal,
        upstream: RepeatingClient,
        bugs: Bugs,
    ) -> None:
        self._clock = clock
        self._runway = runway
        self._renewal = renewal
        self._upstream = upstream
        self._bugs = bugs
        self._began = clock.boot()

    def status(self, era: Era) -> Status:
        """Give everything at a glance, with the memory of an era."""
        boot = self._clock.boot()
        return Status(
            generation=era.number,
            uptime=_round(boot - self._began),
            cached=len(era.cache),
            bytes=era.cache.size,
            evicted=era.cache.evicted,
            renewing=self._renewal.running,
            bugs=self._bugs.count,
            entries=[self._entry(entry) for entry in era.cache.latest(SHOWN)],
            flights=[_flight(flight, boot) for flight in self._runway.all()],
            failures=[_remembered(record, boot) for record in era.negative.current(boot)],
            origins=[_origin(origin, boot) for origin in self._upstream.origins()],
        )

    def explain(
        self,
        era: Era,
        question: Question,
        *,
        found: Routed | Failure,
        why: Sequence[str] = (),
        broken: Failure | None = None,
    ) -> Explanation:
        """Give what was decided for a question, why there is no credential, and what is known for its key.

        Args:
            era: that made the decisions.
            question: what was asked about.
            found: what was decided.
            why: why there is no plan, a sentence for each reason.
            broken: why an exchange could not begin; it counts if nothing in memory answers instead.
        """
        target = question.target
        uri, form = f"{target.origin}{target.path}", target.form.value
        if isinstance(found, Failure):
            return Explanation(uri, form, era.number, "", "error", problem=_problem(found))
        plan, certificate = found.plan, found.reach.dial.client_cert or ""
        trouble = None if found.trouble is None else _problem(found.trouble)
        if plan is None:
            return Explanation(
                uri, form, era.number, found.rule, "{}", reasons=tuple(why), problem=trouble, certificate=certificate
            )
        boot = self._clock.boot()
        key = key_of(question.caller, plan.key)
        entry = era.cache.peek(key)
        flight = era.flights.find(key) or era.making.under_way(question.caller, plan)
        failure = era.negative.get(key, boot) or era.making.failure(question.caller, plan)
        origin = self._upstream.find(plan.upstream)
        empty = entry is not None and entry.empty
        if entry is None or remaining(entry.lifetime, boot, wall=self._clock.wall()) <= 0:
            # In the order of ``ask``: what is remembered comes before anything is looked up.
            trouble = next((_problem(each) for each in (failure, broken) if each is not None), trouble)
            error = failure is not None or broken is not None
        else:
            error = False
        answer = "error" if error else "{}" if empty else "credential"
        reasons = (entry.note,) if empty and entry is not None else ()
        if entry is None and not error and plan.guess:
            answer, reasons = "unknown", (plan.guess,)
        return Explanation(
            target=uri,
            form=form,
            generation=era.number,
            rule=found.rule,
            answer=answer,
            reasons=reasons,
            subject=plan.subject,
            upstream=plan.upstream,
            detail=dict(plan.detail),
            problem=trouble,
            certificate=certificate,
            entry=None if entry is None else self._entry(entry),
            flight=None if flight is None else _flight(flight, boot),
            failure=None if failure is None else _problem(failure),
            origin=None if origin is None else _origin(origin, boot),
        )

    def _entry(self, entry: Entry) -> EntryReport:
        boot, wall = self._clock.boot(), self._clock.wall()
        lifetime = entry.lifetime
        return EntryReport(
            socket=entry.caller.socket,
            uid=entry.caller.uid,
            subject=entry.subject,
            detail=dict(entry.detail),
            state=state(lifetime, entry.window, boot=boot, wall=wall).value,
            age=_round(boot - lifetime.since),
            left=_round(remaining(lifetime, boot, wall=wall)),
            idle=_round(boot - entry.used),
            uses=entry.uses,
            failures=0 if entry.upkeep is None else entry.upkeep.failures,
            empty=entry.empty,
            note=entry.note,
        )


def _problem(failure: Failure) -> ReportedFailure:
    return ReportedFailure(failure.code.value, failure.message, failure.hint, failure.retry_after)


def _flight(flight: Flight, boot: float) -> FlightReport:
    phase = "queued" if flight.started is None else "flying" if flight.waiters else "unattended"
    seconds = 0.0 if flight.started is None else boot - flight.started
    return FlightReport(flight.plan.subject, flight.plan.upstream, phase, len(flight.waiters), _round(seconds))


def _remembered(record: Remembered, boot: float) -> NegativeReport:
    failure = record.failure
    return NegativeReport(record.authority, failure.code.value, failure.message, _round(record.until - boot))


def _origin(origin: OriginState, boot: float) -> OriginReport:
    return OriginReport(
        origin=origin.name,
        breaker=origin.breaker.phase.value,
        left=_round(max(0.0, origin.breaker.until - boot)),
        throttled=_round(max(0.0, origin.closed_until - boot)),
        retries=_round(origin.budget),
        actions=origin.for_actions,
        ahead=None if origin.skew is None else round(origin.skew),
    )


def _round(seconds: float) -> float:
    return round(seconds, 1)
