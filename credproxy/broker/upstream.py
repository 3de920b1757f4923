"""The one layer that repeats requests: an HttpClient around another (reliability.md sections 1.4, 5.4, 5.5).

Per origin it keeps a breaker, a budget of retries and the pause that a 429 asked for. One ``send`` is

- refused at once while the breaker is open, or while a pause does not fit the patience of those who wait;
- at most three attempts of at most 20 s, where a repeat is safe and the failure may pass;
- for a GET that is silent for 4.0 s a second attempt beside it: the first good answer wins.

The port gives whole responses, so "silent" here is "not answered", where 1.4 says "no response header".
"""

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit

import structlog
from cachetools import LRUCache

from credproxy.broker.breaker import Breaker, Phase
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.http import Request, Response
from credproxy.core.lifetime import clamp
from credproxy.core.retry_after import LONGEST_PAUSE, retry_after
from credproxy.ports import Clock, HttpClient, Sample, Terms


ATTEMPTS = 3
ATTEMPT_LIMIT = 20.0
SECOND_AFTER = 4.0
_BUDGET = 10.0
_EARNED = 0.1
_MARGIN = 0.1
"""Seconds by which an attempt ends before its flight, so that the message names the server and the breaker hears."""

_AMBIGUOUS = "run the build again; its refresh token may have been spent: if this goes on, log in anew"
"""Of a request that is sent once whatever becomes of it (U14)."""

_TRANSIENT = frozenset({500, 502, 503, 504})
_TOO_MANY = 429
_SERVER_ERRORS = 500
_ORIGINS = 1024

log = structlog.get_logger("credproxy.broker")

Outcome = Response | Failure


class Origin:
    """What is known of one ``scheme://host:port``.

    Attributes:
        breaker: whether it is asked at all.
        budget: retries that may be spent; each good answer earns a tenth of one.
        closed_until: boot-clock seconds before which a 429 forbids to ask.
        throttles: 429 in a row.
    """

    __slots__ = ("breaker", "budget", "closed_until", "name", "throttles")

    def __init__(self, name: str) -> None:
        self.name = name
        self.breaker = Breaker()
        self.budget = _BUDGET
        self.closed_until = float("-inf")
        self.throttles = 0

    def spend(self) -> bool:
        """Take one retry out of the budget, if there is one."""
        if self.budget < 1.0:
            return False
        self.budget -= 1.0
        return True

    def answered(self) -> None:
        """A good answer: it earns a part of a retry and ends a row of throttles."""
        self.budget = min(_BUDGET, self.budget + _EARNED)
        self.throttles = 0


class Upstream:
    """Sends through another client, carefully.

    Args:
        client: sends one request once.
        clock: for limits, delays and pauses.
        sample: draws jitter.
    """

    def __init__(self, client: HttpClient, *, clock: Clock, sample: Sample) -> None:
        self._client = client
        self._clock = clock
        self._sample = sample
        self._origins: LRUCache[str, Origin] = LRUCache(_ORIGINS)

    async def send(self, request: Request, terms: Terms) -> Response:
        """Give the response, a 5xx that stayed included; never a 429.

        Raises:
            Failed: what the client raised last; rate_limited with ``retry_after``; upstream_unavailable, with
                ``retry_after`` where the breaker is open.
        """
        origin = self.origin(request.url)
        ticket = origin.breaker.admit(self._clock.boot())
        if ticket is None:
            wait = origin.breaker.wait(self._clock.boot())
            raise failed(
                Code.UPSTREAM_UNAVAILABLE,
                f"{_subject(request, origin)} failed too often and is left alone for {wait:.0f} s",
                "try again then; credproxy status shows it",
                wait,
            )
        verdict: bool | None = None
        try:
            outcome = await self._attempts(origin, request, terms)
            verdict = _verdict(outcome)
        finally:
            self._report(origin, ticket, verdict)
        if isinstance(outcome, Failure):
            raise Failed(outcome)
        return outcome

    def origin(self, url: str) -> Origin:
        """The origin of a URL, new if it was not known."""
        parts = urlsplit(url)
        name = f"{parts.scheme}://{parts.netloc}"
        known = self._origins.get(name)
        if known is None:
            known = self._origins[name] = Origin(name)
        return known

    def find(self, name: str) -> Origin | None:
        """The origin of that name, if it was ever asked."""
        return self._origins.get(name)

    def origins(self) -> list[Origin]:
        """Every origin that was asked."""
        return list(self._origins.values())

    async def _attempts(self, origin: Origin, request: Request, terms: Terms) -> Outcome:
        done = 0
        while True:
            refusal = await self._pause_over(origin, request, terms)
            if refusal is not None:
                return refusal
            outcome = await self._attempt(origin, request, terms)
            done += 1
            throttled = isinstance(outcome, Response) and outcome.status == _TOO_MANY
            if not throttled and not _may_pass(outcome):
                return outcome
            if isinstance(outcome, Failure) and not request.repeatable:
                return replace(outcome, hint=_AMBIGUOUS)
            if done == ATTEMPTS or not request.repeatable or not origin.spend():
                return self._throttled(origin, request) if throttled else outcome
            if throttled:
                continue  # the pause that it asked for is the delay
            # TX-10 has other figures (0.1 s, factor 3); reliability.md 5.4 is the later statement.
            delay = self._sample() * min(2.0, 0.1 * 2.0 ** (done - 1))
            if self._clock.boot() + delay + _MARGIN >= terms.deadline:
                return outcome
            await self._clock.sleep(delay)

    async def _pause_over(self, origin: Origin, request: Request, terms: Terms) -> Failure | None:
        """Wait until a 429's pause is over; a failure at once if those who wait would not live to see it."""
        while (left := origin.closed_until - self._clock.boot()) > 0:
            # Upwards only, and each for itself: all who wait would else come back in the same instant.
            left *= 1 + 0.1 * self._sample()
            if self._clock.boot() + left > min(terms.patience, terms.deadline):
                return self._throttled(origin, request)
            await self._clock.sleep(left)
        return None

    async def _attempt(self, origin: Origin, request: Request, terms: Terms) -> Outcome:
        if request.method != "GET" or not request.repeatable:
            return await self._once(origin, request, terms)
        async with asyncio.TaskGroup() as group:
            racing = {group.create_task(self._once(origin, request, terms))}
            try:
                async with self._clock.timeout(SECOND_AFTER):
                    await asyncio.wait(racing)
            except TimeoutError:
                if self._clock.boot() >= origin.closed_until and origin.spend():
                    log.info("second attempt", subject=_subject(request, origin))
                    racing.add(group.create_task(self._once(origin, request, terms)))
            outcome = await _first_good(racing)
            for task in racing:
                task.cancel()
        return outcome

    async def _once(self, origin: Origin, request: Request, terms: Terms) -> Outcome:
        limit = min(ATTEMPT_LIMIT, terms.deadline - _MARGIN - self._clock.boot())
        try:
            async with self._clock.timeout(max(0.0, limit)):
                response = await self._client.send(request, terms)
        except TimeoutError:
            message = f"{_subject(request, origin)} has not answered within {max(0.0, limit):.0f} s"
            return Failure(Code.UPSTREAM_UNAVAILABLE, message, "is it up, and is the network?")
        except Failed as error:
            return error.failure
        if response.status == _TOO_MANY:
            self._throttle(origin, response)
        elif response.status < _SERVER_ERRORS:
            origin.answered()
        return response

    def _throttle(self, origin: Origin, response: Response) -> None:
        # Without a usable Retry-After: 1-2 s, doubled per 429 in a row.
        asked = retry_after(response.headers, response.wall) or 0.0
        base = min(LONGEST_PAUSE, 2.0 * 2.0 ** min(origin.throttles, 10))
        pause = clamp(max(asked, base / 2 * (1 + self._sample())), 1.0, LONGEST_PAUSE)
        origin.throttles += 1
        origin.closed_until = max(origin.closed_until, self._clock.boot() + pause)
        log.warning("throttled", origin=origin.name, seconds=round(pause, 1))

    def _throttled(self, origin: Origin, request: Request) -> Failure:
        left = max(1.0, origin.closed_until - self._clock.boot())
        message = f"{_subject(request, origin)} limits the rate of requests and is left alone for {left:.0f} s"
        return Failure(Code.RATE_LIMITED, message, "try again then", left)

    def _report(self, origin: Origin, ticket: int, verdict: bool | None) -> None:  # noqa: FBT001  of three values
        before = origin.breaker.phase
        origin.breaker.report(ticket, self._clock.boot(), self._sample(), good=verdict)
        after = origin.breaker.phase
        if after is Phase.OPEN and verdict is False and before is not after:
            seconds = round(origin.breaker.until - self._clock.boot(), 1)
            log.warning("breaker opened", origin=origin.name, seconds=seconds)
        elif after is Phase.CLOSED and before is not after:
            log.info("breaker closed", origin=origin.name)


async def _first_good(racing: set[asyncio.Task[Outcome]]) -> Outcome:
    pending = racing
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        outcomes = [task.result() for task in done]
        good = [outcome for outcome in outcomes if _verdict(outcome) and not _is_429(outcome)]
        if good or not pending:
            return (good or outcomes)[0]


def _subject(request: Request, origin: Origin) -> str:
    return request.subject or f"server {origin.name!r}"


def _is_429(outcome: Outcome) -> bool:
    return isinstance(outcome, Response) and outcome.status == _TOO_MANY


def _may_pass(outcome: Outcome) -> bool:
    if isinstance(outcome, Response):
        return outcome.status in _TRANSIENT
    return outcome.code is Code.UPSTREAM_UNAVAILABLE


def _verdict(outcome: Outcome) -> bool | None:
    """What an outcome says of its origin: a 4xx is a good answer, a bad certificate or a pause says nothing (5.5)."""
    if isinstance(outcome, Response):
        return outcome.status < _SERVER_ERRORS
    return {Code.ANSWER_TOO_LARGE: True, Code.UPSTREAM_UNAVAILABLE: False}.get(outcome.code)
