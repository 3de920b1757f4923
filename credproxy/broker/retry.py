"""The one layer that repeats requests: an HttpClient around another (docs/design/faults.md#repeating-requests and #circuit-breaker).

Per origin it keeps a breaker, a budget of retries and the pause that a 429 asked for; for build actions all of that separately
from the user's. One ``send`` is

- at most six attempts of at most 20 s, if a repeat is safe and the failure may pass, spread over the patience of those
  that wait, so that a server restart costs no call;
- held back while the breaker is open: for as long as patience lasts in the first 10 s of an outage, refused later;
- refused at once while a pause does not fit that patience;
- for a GET that is silent for 4.0 s, a second attempt in parallel: the first good answer wins.

The port gives whole responses, so "silent" means that the answer has not arrived as a whole.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from cachetools import LRUCache

from credproxy.broker.attempt import Attempt, is_repeatable, is_throttled, may_pass, verdict_of
from credproxy.broker.breaker import Phase
from credproxy.broker.origin_state import PLACES, OriginState
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.http_date import SKEWED, clock_ahead
from credproxy.core.ask.lifetime import clamp
from credproxy.core.ask.retry_after import LONGEST_PAUSE, retry_after
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.ports.clock import Clock, Sample
from credproxy.ports.http_client import HttpClient
from credproxy.ports.terms import Terms


ATTEMPT_LIMIT = 20.0
SECOND_AFTER = 4.0

_DELAYS = (0.1, 0.3, 1.0, 2.0, 2.0)
"""Seconds before each further attempt, half of it random."""

_LAST = 1.5
"""Seconds of patience that are left for the last attempt."""

_GOING_ON = 0.5
"""Seconds of patience that must be left when the breaker closes, for the requests that then go on."""

_FREE = 1.0
"""Seconds of an outage in which retries cost nothing."""

_TICK = 0.01
"""Seconds; the shortest wait: otherwise a time missed by a rounding error would be waited for without end."""

_MARGIN = 0.1
"""Seconds by which an attempt ends before its flight, so that the message names the server and the breaker hears."""

_AMBIGUOUS = "run the build again; its refresh token may have been spent: if this goes on, log in again"
"""The hint for a request that is sent only once (U14)."""

_ORIGINS = 1024

log = structlog.get_logger("credproxy.broker")


class RepeatingClient:
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
        self._users: LRUCache[str, OriginState] = LRUCache(_ORIGINS)
        self._actions: LRUCache[str, OriginState] = LRUCache(_ORIGINS)

    async def send(self, request: Request, terms: Terms) -> Response:
        """Give the response, including a 5xx that persisted; never a 429.

        Raises:
            Failed: what the client raised last; rate_limited with ``retry_after``; upstream_unavailable, with
                ``retry_after`` if the breaker is open; overloaded if build actions send an origin too many requests at once.
        """
        origin = self.origin(request.url, for_actions=terms.for_actions)
        async with self._place(origin, request, terms):
            outcome = await self._attempts(origin, request, terms)
        if isinstance(outcome, Failure):
            raise Failed(outcome)
        return outcome

    def origin(self, url: str, *, for_actions: bool = False) -> OriginState:
        """The state of a URL's origin, created if unknown, as the user or as build actions know it."""
        parts = urlsplit(url)
        name = f"{parts.scheme}://{parts.netloc}"
        known = self._actions if for_actions else self._users
        found = known.get(name)
        if found is None:
            found = known[name] = OriginState(name, self.origin(url) if for_actions else None)
        return found

    def find(self, name: str) -> OriginState | None:
        """The user's origin of that name, if it was ever asked."""
        return self._users.get(name)

    def origins(self) -> list[OriginState]:
        """Every origin that was asked, the user's first."""
        return [*self._users.values(), *self._actions.values()]

    @contextlib.asynccontextmanager
    async def _place(self, origin: OriginState, request: Request, terms: Terms) -> AsyncIterator[None]:
        """Hold one of the slots that build actions have at an origin; the user's flights are counted elsewhere."""
        if not origin.for_actions:
            yield
            return
        try:
            async with self._clock.timeout(_end(terms) - self._clock.boot()):
                await origin.places.acquire()
        except TimeoutError:
            message = f"{PLACES} requests of build actions to {_subject(request, origin)} are under way"
            raise failed(Code.OVERLOADED, message, hint="ask again when they have ended", retry_after=1.0) from None
        try:
            yield
        finally:
            origin.places.release()

    async def _attempts(self, origin: OriginState, request: Request, terms: Terms) -> Attempt:
        outcome: Attempt | None = None
        delays = iter(_DELAYS)
        while True:
            ticket = await self._admitted(origin, request, terms)
            if isinstance(ticket, Failure):
                # The cause says more than that no further attempt is made; for a 429 the pause counts.
                return ticket if outcome is None or is_throttled(outcome) else outcome
            outcome = await self._reported(origin, ticket, request, terms)
            if is_throttled(outcome):
                delay = 0.0 if next(delays, None) is not None and origin.spend() else None
            elif not may_pass(outcome):
                return outcome
            elif origin.breaker.phase is not Phase.CLOSED:
                delay = 0.0  # it says when, and the attempt is a probe for all
            else:
                delay = self._delay(origin, outcome, next(delays, None), terms)
            if delay is None or not is_repeatable(request, outcome):
                return self._final(origin, request, outcome)
            await self._clock.sleep(delay)

    def _delay(self, origin: OriginState, outcome: Attempt, base: float | None, terms: Terms) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        now = self._clock.boot()
        left = _end(terms) - _LAST - now
        if base is None or left <= _TICK or (origin.breaker.outage(now) > _FREE and not origin.spend()):
            return None
        asked = retry_after(outcome.headers, outcome.wall) if isinstance(outcome, Response) else None
        delay = base / 2 * (1 + self._sample())
        # A server that asks for more time than callers have is asked once more at the last moment.
        return min(left, max(delay, asked or 0.0))

    def _final(self, origin: OriginState, request: Request, outcome: Attempt) -> Attempt:
        if is_throttled(outcome):
            return self._throttled(origin, request)
        if isinstance(outcome, Failure) and not is_repeatable(request, outcome):
            return replace(outcome, hint=_AMBIGUOUS)
        return outcome

    async def _admitted(self, origin: OriginState, request: Request, terms: Terms) -> int | Failure:
        """Wait until the origin may be asked; a failure if that is not worth it."""
        while True:
            refusal = await self._pause_over(origin, request, terms)
            if refusal is not None:
                return refusal
            now = self._clock.boot()
            ticket = origin.admit(now)
            if ticket is not None:
                return ticket
            wait = origin.wait(now, _end(terms) - _GOING_ON)
            if wait is None:
                return self._left_alone(origin, request)
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(max(_TICK, wait)):
                    await origin.turned.wait()

    async def _pause_over(self, origin: OriginState, request: Request, terms: Terms) -> Failure | None:
        """Wait until a 429's pause is over; a failure at once if all waiters would be gone by then."""
        while (left := origin.closed_until - self._clock.boot()) > 0:
            # Upwards only, and separately for each: otherwise all waiters would come back at the same instant.
            left *= 1 + 0.1 * self._sample()
            if self._clock.boot() + left > _end(terms):
                return self._throttled(origin, request)
            await self._clock.sleep(left)
        return None

    async def _reported(self, origin: OriginState, ticket: int, request: Request, terms: Terms) -> Attempt:
        verdict: bool | None = None
        try:
            outcome = await self._attempt(origin, request, terms)
            verdict = verdict_of(outcome)
        finally:
            self._report(origin, ticket, verdict)
        return outcome

    async def _attempt(self, origin: OriginState, request: Request, terms: Terms) -> Attempt:
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

    async def _once(self, origin: OriginState, request: Request, terms: Terms) -> Attempt:
        limit = min(ATTEMPT_LIMIT, terms.deadline - _MARGIN - self._clock.boot())
        try:
            async with self._clock.timeout(max(0.0, limit)):
                response = await self._client.send(request, terms)
        except TimeoutError:
            message = f"{_subject(request, origin)} has not answered within {max(0.0, limit):.0f} s"
            return Failure(Code.UPSTREAM_UNAVAILABLE, message, "is it up, and is the network?")
        except Failed as error:
            return error.failure
        self._compare_clocks(origin, response)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._throttle(origin, response)
        elif response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            origin.answered()
        return response

    def _throttle(self, origin: OriginState, response: Response) -> None:
        asked = retry_after(response.headers, response.wall) or 0.0
        if asked:
            base = _DELAYS[min(origin.throttles, len(_DELAYS) - 1)]
        else:  # the server does not say how long: 1-2 s, doubled per consecutive 429
            base = min(LONGEST_PAUSE, 2.0 * 2.0 ** min(origin.throttles, 10))
        pause = clamp(max(asked, base / 2 * (1 + self._sample())), 1.0, high=LONGEST_PAUSE)
        origin.throttles += 1
        origin.close(self._clock.boot() + pause)
        log.warning("throttled", origin=origin.name, seconds=round(pause, 1), actions=origin.for_actions)

    def _throttled(self, origin: OriginState, request: Request) -> Failure:
        left = max(1.0, origin.closed_until - self._clock.boot())
        message = f"{_subject(request, origin)} limits the rate of requests and is left alone for {left:.0f} s"
        return Failure(Code.RATE_LIMITED, message, "try again then", left)

    def _left_alone(self, origin: OriginState, request: Request) -> Failure:
        sides = (origin, origin.senior or origin)
        wait = max(side.breaker.wait(self._clock.boot()) for side in sides)
        return Failure(
            Code.UPSTREAM_UNAVAILABLE,
            f"{_subject(request, origin)} failed too often and is left alone for {wait:.0f} s",
            "try again then; credproxy status shows it",
            wait,
        )

    def _report(self, origin: OriginState, ticket: int, verdict: bool | None) -> None:  # noqa: FBT001  of three values
        if not origin.report(ticket, self._clock.boot(), sample=self._sample(), good=verdict):
            return
        if origin.breaker.phase is Phase.OPEN and verdict is False:
            seconds = round(origin.breaker.until - self._clock.boot(), 1)
            log.warning("breaker opened", origin=origin.name, seconds=seconds, actions=origin.for_actions)
        elif origin.breaker.phase is Phase.CLOSED:
            log.info("breaker closed", origin=origin.name, actions=origin.for_actions)

    def _compare_clocks(self, origin: OriginState, response: Response) -> None:
        """Note how far this machine's clock is ahead; log once per origin if it is far off."""
        ahead = clock_ahead(response.headers, response.wall)
        if ahead is None:
            return
        before, origin.skew = origin.skew, ahead
        if abs(ahead) > SKEWED >= abs(before or 0.0):
            log.warning("clocks differ", origin=origin.name, ahead=round(ahead))


def _end(terms: Terms) -> float:
    """Boot-clock second at which the last waiter stops waiting."""
    return min(terms.patience, terms.deadline)


async def _first_good(racing: set[asyncio.Task[Attempt]]) -> Attempt:
    pending = racing
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        outcomes = [task.result() for task in done]
        good = [outcome for outcome in outcomes if verdict_of(outcome) and not is_throttled(outcome)]
        if good or not pending:
            return (good or outcomes)[0]


def _subject(request: Request, origin: OriginState) -> str:
    return request.subject or f"server {origin.name!r}"
