"""The layer that repeats: attempts, the second one beside a silent first, pauses, the breaker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from credproxy.broker.breaker import Phase
from credproxy.broker.retry import RepeatingClient
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failed, Failure, failed
from tests.fakes import T0, FakeClock, FixedTerms, TimedHttp, settle


GET = Request("GET", "https://auth.test/token?service=x", subject="token server 'auth.test'")
POST = Request("POST", "https://auth.test/token", subject="token server 'auth.test'", repeatable=False)
AGAIN = Request("POST", "https://auth.test/token", subject="token server 'auth.test'")
REFUSED = failed(Code.UPSTREAM_UNAVAILABLE, "token server 'auth.test' refused the connection")


def _response(status: int, *headers: tuple[str, str], wall: float = T0) -> Response:
    return Response(status, headers, b"", 0.0, wall)


def _limited(value: str) -> Response:
    return _response(429, ("retry-after", value))


OK = _response(200)
HOUR = 3600.0


@dataclass
class Wire:
    """A RepeatingClient over a client that answers in the clock's time."""

    upstream: RepeatingClient
    http: TimedHttp
    clock: FakeClock
    start: float

    def terms(self, *, patience: float = 8.5, limit: float = 30.0, for_actions: bool = False) -> FixedTerms:
        """The limits of a flight that begins now."""
        now = self.clock.boot()
        return FixedTerms(deadline=now + limit, patience=now + patience, for_actions=for_actions)

    async def send(
        self, request: Request = GET, *, patience: float = 8.5, limit: float = 30.0, for_actions: bool = False
    ) -> Response | Failure:
        """Send, let pass what it takes, and give a failure as a value."""
        terms = self.terms(patience=patience, limit=limit, for_actions=for_actions)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.ask(terms, request))
            await settle()
            while not task.done():
                await self.clock.advance(0.025)
        return task.result()

    async def ask(self, terms: FixedTerms, request: Request = GET) -> Response | Failure:
        """Send, and give a failure as a value; the test moves time."""
        try:
            return await self.upstream.send(request, terms)
        except Failed as error:
            return error.failure

    async def fail(self) -> None:
        """Fail five times in a row, for callers without patience: the breaker opens."""
        for _ in range(5):
            await self.send(patience=0.5)

    @property
    def sent(self) -> list[float]:
        """When each request was sent, in seconds from the beginning."""
        return [round(at - self.start, 3) for at in self.http.at]


@contextlib.asynccontextmanager
async def wire(*steps: tuple[float, Response | Failed], sample: float = 0.5) -> AsyncIterator[Wire]:
    """A RepeatingClient whose client takes these steps."""
    clock = FakeClock()
    http = TimedHttp(clock, list(steps))
    yield Wire(RepeatingClient(http, clock=clock, sample=lambda: sample), http, clock, clock.boot())


async def test_a_good_answer_is_passed_on() -> None:
    """One request, one response."""
    async with wire((0.1, OK)) as w:
        assert (await w.send(), w.sent) == (OK, [0.0])


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 501, 505])
async def test_an_answer_that_would_not_change_is_not_asked_for_again(status: int) -> None:
    """U4: 4xx, redirects, 501 and 505 are answers; the caller decides what they mean."""
    async with wire((0, _response(status))) as w:
        result = await w.send()
        assert isinstance(result, Response)
        assert (result.status, w.sent) == (status, [0.0])


@pytest.mark.parametrize(
    "bad",
    [
        _response(408),
        pytest.param(_response(500), id="U3-500"),
        pytest.param(_response(502), id="U3-502"),
        pytest.param(_response(503), id="U3-503"),
        pytest.param(_response(504), id="U3-504"),
        *[pytest.param(_response(status), id=f"U3-{status}") for status in (507, 520, 522, 525, 530)],
        pytest.param(REFUSED, id="U6"),
        pytest.param(failed(Code.UPSTREAM_UNAVAILABLE, "the name auth.test is not known"), id="U5"),
    ],
    ids=str,
)
async def test_attempts_are_spread_over_what_the_caller_still_has(bad: Response | Failed) -> None:
    """U3, U5, U6: after 0.1, 0.3, 1 and 2 s, of which half is chance; here three quarters of each."""
    async with wire(*[(0.0, bad)] * 4, (0, OK)) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 0.075, 0.3, 1.05, 2.55])


@pytest.mark.parametrize("sample", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("outage", [1.0, 2.0, 3.5, 5.0])
@pytest.mark.parametrize("bad", [_response(503), REFUSED], ids=["503", "refused"])
async def test_a_short_outage_costs_no_call(bad: Response | Failed, outage: float, sample: float) -> None:
    """Attempts, and then the probes of the open breaker, reach beyond five seconds; there are few of them."""
    async with wire((0, bad), sample=sample) as w, asyncio.TaskGroup() as group:

        async def mend() -> None:
            await w.clock.sleep(outage)
            w.http.steps = [(0.01, OK)]

        group.create_task(mend())
        assert await w.send() == OK
        assert w.clock.boot() - w.start < 8
        assert len(w.sent) <= 10


async def test_what_stays_away_is_given_up_in_time_and_then_at_once() -> None:
    """The first caller gets an error within its 8.5 s; one that comes late in the outage gets it at once, with a time."""
    async with wire((0, _response(503))) as w:
        first = await w.send()
        assert isinstance(first, Response)
        assert (first.status, 6 < w.clock.boot() - w.start < 8.5, len(w.sent) <= 10) == (503, True, True)
        await w.clock.advance(4)
        await w.send()
        count, now = len(w.sent), w.clock.boot()
        second = await w.send()
        assert isinstance(second, Failure)
        assert second.retry_after is not None
        assert (second.code, len(w.sent), w.clock.boot() - now < 0.1) == (Code.UPSTREAM_UNAVAILABLE, count, True)


async def test_the_last_attempt_has_a_second_and_a_half_of_patience() -> None:
    """A caller with two seconds does not wait for a longer delay, nor in vain at the end."""
    async with wire((0, _response(503))) as w:
        await w.send(patience=2.0)
        assert w.sent == [0.0, 0.075, 0.3, 0.5]


async def test_a_server_that_says_when_it_will_be_back_is_asked_then() -> None:
    """RFC 9110, section 10.2.3: a 503 may carry Retry-After; one that is too long leaves one last attempt."""
    busy = _response(503, ("Retry-After", "3"))
    async with wire((0, busy), (0, OK)) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 3.0])
    busy = _response(503, ("Retry-After", "300"))
    async with wire((0, busy), (0, OK)) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 7.0])


@pytest.mark.parametrize("code", [pytest.param(Code.TLS_FAILED, id="U7"), Code.ADDRESS_REFUSED, Code.ANSWER_TOO_LARGE])
async def test_what_will_not_pass_is_not_repeated(code: Code) -> None:
    """U7: a bad certificate, a refused address, a flood: once."""
    async with wire((0, failed(code, "m"))) as w:
        result = await w.send()
        assert isinstance(result, Failure)
        assert (result.code, w.sent) == (code, [0.0])


async def test_a_post_that_never_left_is_sent_again() -> None:
    """U14: a connection that was refused has spent nothing, so a token server's restart costs no login."""
    away = Failed(replace(REFUSED.failure, unsent=True))
    async with wire((0, away), (0, away), (0, OK)) as w:
        assert (await w.send(POST), w.sent) == (OK, [0.0, 0.075, 0.3])


@pytest.mark.parametrize("bad", [_response(503), REFUSED, _limited("1")], ids=["503", "reset", "429"])
async def test_a_post_that_spends_a_refresh_token_is_sent_once(bad: Response | Failed) -> None:
    """U14: whether it was spent is not known, so it is neither retried nor doubled."""
    async with wire((0, bad)) as w:
        await w.send(POST)
        assert w.sent == [0.0]
    async with wire((HOUR, OK)) as w:
        await w.send(POST)
        assert (w.sent, w.http.cancelled) == ([0.0], 1)


async def test_a_refresh_token_whose_answer_was_lost_is_told_to_be_in_doubt() -> None:
    """U14: a user who sees that repeatedly is told the possible cause; a GET has no such doubt."""
    async with wire((0, REFUSED)) as w:
        result = await w.send(POST)
        assert isinstance(result, Failure)
        assert (result.message, "may have been spent" in result.hint) == (REFUSED.failure.message, True)
    async with wire((0, REFUSED), (0, REFUSED), (0, REFUSED)) as w:
        result = await w.send()
        assert isinstance(result, Failure)
        assert "spent" not in result.hint


async def test_a_repeatable_post_is_retried_but_never_doubled() -> None:
    """A second attempt beside a silent one is for GET only."""
    async with wire((0, _response(503)), (5, OK)) as w:
        assert (await w.send(AGAIN), w.sent) == (OK, [0.0, 0.075])


async def test_a_second_attempt_beside_a_silent_one_after_four_seconds() -> None:
    """U1, 1.4: the first good answer wins, and the other attempt is cancelled."""
    async with wire((HOUR, OK), (0.5, _response(401))) as w:
        result = await w.send()
        assert isinstance(result, Response)
        assert (result.status, w.sent, w.http.cancelled) == (401, [0.0, 4.0], 1)
        assert w.clock.boot() - w.start < 5


async def test_the_first_attempt_may_still_win() -> None:
    """U1: The slow one answers before the second: the second is cancelled."""
    async with wire((5, OK), (HOUR, _response(401))) as w:
        assert (await w.send(), w.http.cancelled) == (OK, 1)


async def test_a_second_attempt_that_fails_does_not_win() -> None:
    """U1: A bad answer of one attempt waits for the other."""
    async with wire((6, OK), (0, _response(503))) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 4.0])


async def test_a_second_attempt_costs_a_retry_and_does_not_count_as_an_exchange() -> None:
    """A pair of silent requests that both fail is one attempt (U1)."""
    async with wire((5, _response(503)), (5, _response(503)), (0, _response(503)), (0, OK)) as w:
        assert (await w.send(patience=30), w.sent) == (OK, [0.0, 4.0, 9.075, 9.3])
        assert w.upstream.origin(GET.url).budget == pytest.approx(10 - 1 + 0.1)


async def test_one_attempt_ends_after_twenty_seconds() -> None:
    """U1: Both silent: the error names the server and the time; a flight has no room for more."""
    async with wire((HOUR, OK)) as w:
        result = await w.send(patience=30)
        assert isinstance(result, Failure)
        assert (result.code, result.message) == (
            Code.UPSTREAM_UNAVAILABLE,
            "token server 'auth.test' has not answered within 6 s",
        )
        assert (w.sent, w.http.cancelled) == ([0.0, 4.0, 24.075, 28.075], 4)


async def test_an_attempt_ends_before_its_flight() -> None:
    """TX-27: attempt <= what is left of the flight."""
    async with wire((HOUR, OK)) as w:
        result = await w.send(limit=3)
        assert isinstance(result, Failure)
        assert (result.message, w.clock.boot() - w.start < 3) == (
            "token server 'auth.test' has not answered within 3 s",
            True,
        )


async def test_no_retry_that_the_flight_would_not_live_to_see() -> None:
    """Retries stay inside the flight."""
    async with wire((0.96, _response(503)), sample=0.99) as w:
        await w.send(limit=1.1)
        assert w.sent == [0.0]


async def test_the_budget_bounds_retries_beyond_the_first_second_of_an_outage() -> None:
    """Ten of them, then one per ten good answers: affected callers do not multiply an outage."""
    async with wire((0, _response(503))) as w:
        w.upstream.origin(GET.url).budget = 0.0
        await w.send()
        assert w.sent == [0.0, 0.075, 0.3, 1.05]
        assert w.upstream.origin(GET.url).budget == 0.0
    async with wire((0, OK)) as w:
        w.upstream.origin(GET.url).budget = 0.0
        for _ in range(11):
            await w.send()
        assert w.upstream.origin(GET.url).budget == pytest.approx(1.1)


async def test_a_short_pause_is_waited_for() -> None:
    """T-92: 429 with Retry-After: 2, then 200: waits 2 s."""
    async with wire((0, _limited("2")), (0, OK), sample=0.0) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 2.0])


async def test_a_date_in_the_past_is_the_default_back_off() -> None:
    """T-92: 1-2 s, doubled per 429 in a row; jitter upwards only."""
    async with wire((0, _limited("Thu, 01 Jan 2015 00:00:00 GMT")), (0, OK), sample=0.0) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 1.0])
    bad = (0.0, _limited("soon"))
    async with wire(bad, bad, (0, OK), sample=0.0) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 1.0, 3.0])


async def test_a_long_pause_is_an_error_at_once_and_no_request_is_sent_until_it_ends() -> None:
    """T-92, U2: 429 with Retry-After: 30: no wait, ``rate_limited``, and no request to that origin for 30 s."""
    async with wire((0, _limited("30")), (0, OK), sample=0.0) as w:
        first = await w.send()
        await w.clock.advance(29)
        second = await w.send(patience=0.5)
        assert isinstance(first, Failure)
        assert isinstance(second, Failure)
        assert (first.code, first.retry_after, second.code, second.retry_after) == (
            Code.RATE_LIMITED,
            30.0,
            Code.RATE_LIMITED,
            1.0,
        )
        assert first.message == "token server 'auth.test' limits the rate of requests and is left alone for 30 s"
        assert w.sent == [0.0]
        assert (await w.send(), w.sent) == (OK, [0.0, 30.0])


async def test_a_pause_holds_for_the_origin_and_for_no_other() -> None:
    """T-92: U2: other origins are asked as always."""
    other = Request("GET", "https://other.test/token")
    async with wire((0, _limited("30")), (0, OK)) as w:
        await w.send()
        assert await w.send(other) == OK


async def test_waiters_of_a_pause_retry_a_little_apart() -> None:
    """T-92: TX-10: jitter only upwards, each for itself."""
    async with wire((0, _limited("5")), (0, OK), sample=0.5) as w:
        assert (await w.send(), w.sent) == (OK, [0.0, 5.25])


async def test_a_sixth_429_is_final() -> None:
    """Six attempts in total; if the server does not say how long to wait, each pause is twice as long (U2)."""
    for pause, times in (("1", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), ("soon", [0.0, 1.0, 3.0, 7.0, 15.0, 31.0])):
        async with wire((0, _limited(pause)), sample=0.0) as w:
            result = await w.send(patience=300, limit=300)
            assert isinstance(result, Failure)
            assert (result.code, w.sent) == (Code.RATE_LIMITED, times)


async def test_five_failed_attempts_open_the_breaker() -> None:
    """U3: whichever caller made them; a caller without patience gets an error at once, with the remaining time."""
    async with wire((0, _response(503))) as w:
        with capture_logs() as logs:
            await w.fail()
        assert [entry["event"] for entry in logs] == ["breaker opened"]
        calls = len(w.sent)
        result = await w.send(patience=0.6)
        assert isinstance(result, Failure)
        assert (result.code, result.message) == (
            Code.UPSTREAM_UNAVAILABLE,
            "token server 'auth.test' failed too often and is left alone for 1 s",
        )
        assert result.retry_after == pytest.approx(1, abs=0.5)
        assert len(w.sent) == calls


async def test_a_successful_probe_closes_the_breaker_for_all_waiters() -> None:
    """One request goes through; a good answer lets those who waited go on together, and is logged (U13)."""
    async with wire((0, _response(503))) as w:
        await w.fail()
        before = len(w.sent)
        w.http.steps = [(0.5, OK)]
        with capture_logs() as logs:
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(w.upstream.send(GET, w.terms())) for _ in range(20)]
                await w.clock.advance(1.3)
                assert len(w.sent) == before + 1
                await w.clock.advance(0.5)
                assert len(w.sent) == before + 20
                await w.clock.advance(0.5)
        assert [task.result() for task in waiting] == [OK] * 20
        assert [entry["event"] for entry in logs] == ["breaker closed"]


async def test_an_outage_under_many_callers_is_asked_about_by_few() -> None:
    """Of two hundred callers the first ones open the breaker; then there is one probe at a time, for all of them."""
    async with wire((0, REFUSED)) as w, asyncio.TaskGroup() as group:
        waiting = [group.create_task(w.upstream.send(GET, w.terms())) for _ in range(200)]
        await w.clock.advance(0.01)
        first = len(w.sent)
        await w.clock.advance(5)
        assert len(w.sent) <= first + 5
        w.http.steps = [(0, OK)]
        await w.clock.advance(2)
        assert [task.result() for task in waiting] == [OK] * 200


async def test_refusals_do_not_open_the_breaker() -> None:
    """U4: 4xx are good answers, and a bad certificate says nothing."""
    async with wire((0, _response(401))) as w:
        for _ in range(20):
            assert await w.send() == _response(401)
        w.http.steps = [(0, failed(Code.TLS_FAILED, "m"))]
        results = [await w.send() for _ in range(20)]
        assert {result.code for result in results if isinstance(result, Failure)} == {Code.TLS_FAILED}


async def test_a_pause_says_nothing_about_the_origin() -> None:
    """A request that was not sent because of a 429 neither closes nor opens the breaker."""
    async with wire((0, _limited("300"))) as w:
        results = [await w.send() for _ in range(20)]
        codes = {result.code for result in results if isinstance(result, Failure)}
        assert (codes, len(w.sent)) == ({Code.RATE_LIMITED}, 1)


async def test_cancelling_a_request_cancels_its_attempts() -> None:
    """A flight that ends leaves nothing behind, and the breaker does not count it."""
    async with wire((HOUR, OK)) as w, asyncio.TaskGroup() as group:
        task = group.create_task(w.upstream.send(GET, FixedTerms()))
        await w.clock.advance(5)
        task.cancel()
        await settle()
        assert (task.cancelled(), w.http.cancelled) == (True, 2)
        assert w.upstream.origin(GET.url).breaker.admit(w.clock.boot()) == 0


async def test_a_bug_in_the_client_is_passed_on() -> None:
    """What the client did not promise is not hidden; the broker contains it."""

    class Broken:
        async def send(self, request: Request, terms: object) -> Response:
            raise KeyError(request, terms)

    clock = FakeClock()
    upstream = RepeatingClient(Broken(), clock=clock, sample=lambda: 0.5)
    with pytest.raises(BaseExceptionGroup) as caught:
        await upstream.send(GET, FixedTerms())
    assert caught.value.subgroup(KeyError) is not None


async def test_a_request_without_a_subject_is_called_by_its_origin() -> None:
    """Messages always name a server, and never the query."""
    async with wire((HOUR, OK)) as w:
        result = await w.send(Request("GET", "https://auth.test/token?secret=x"), limit=2)
        assert isinstance(result, Failure)
        assert result.message == "server 'https://auth.test' has not answered within 2 s"


async def test_what_build_actions_are_throttled_for_does_not_stop_the_user() -> None:
    """A 429 that actions caused pauses actions; the user's own pauses both (T16)."""
    async with wire((0, _limited("60"))) as w:
        first = await w.send(for_actions=True)
        w.http.steps = [(0, OK)]
        again = await w.send(for_actions=True)
        assert isinstance(first, Failure)
        assert isinstance(again, Failure)
        assert (first.code, again.code, len(w.sent)) == (Code.RATE_LIMITED, Code.RATE_LIMITED, 1)
        assert await w.send() == OK
        w.http.steps = [(0, _limited("300")), (0, OK)]
        await w.send()
        await w.clock.advance(100)
        paused = await w.send(for_actions=True)
        assert isinstance(paused, Failure)
        assert (paused.code, len(w.sent)) == (Code.RATE_LIMITED, 3)


async def test_the_breaker_that_build_actions_open_is_theirs() -> None:
    """Failures of actions do not open the user's; an open one of the user's holds actions back as well (T16)."""
    async with wire((0, _response(503))) as w:
        for _ in range(26):
            await w.send(for_actions=True, patience=0.5)
        assert w.upstream.origin(GET.url).breaker.phase is Phase.CLOSED
        assert w.upstream.origin(GET.url, for_actions=True).breaker.phase is not Phase.CLOSED
        w.http.steps = [(0, OK)]
        assert await w.send() == OK
    async with wire((0, _response(503))) as w:
        await w.fail()
        count = len(w.sent)
        refused = await w.send(for_actions=True, patience=0.6)
        assert isinstance(refused, Failure)
        assert (refused.code, len(w.sent)) == (Code.UPSTREAM_UNAVAILABLE, count)
        w.http.steps = [(0, OK)]
        assert await w.send(for_actions=True) == OK


async def test_retries_of_build_actions_are_paid_by_build_actions() -> None:
    """Second attempts beside silent ones spend a budget of their own (T16)."""
    async with wire((HOUR, OK)) as w:
        await w.send(for_actions=True, limit=6)
        assert w.upstream.origin(GET.url).budget == 10
        assert w.upstream.origin(GET.url, for_actions=True).budget == 9


async def test_build_actions_have_eight_places_at_an_origin() -> None:
    """Sixty hanging requests of actions are eight on the wire; the user's goes past them (T16)."""
    async with wire((HOUR, OK)) as w, asyncio.TaskGroup() as group:
        terms = w.terms(for_actions=True)
        waiting = [group.create_task(w.ask(terms)) for _ in range(60)]
        await w.clock.advance(1)
        assert len(w.sent) == 8
        w.http.steps = [(0, OK), (HOUR, OK)]
        assert await w.send() == OK
        await w.clock.advance(8)
        told = [task.result() for task in waiting if task.done()]
        refused = [failure for failure in told if isinstance(failure, Failure)]
        assert (len(told), len(refused)) == (52, 52)
        assert {(failure.code, failure.retry_after) for failure in refused} == {(Code.OVERLOADED, 1.0)}
        for task in waiting:
            task.cancel()


async def test_a_clock_that_is_far_off_is_noted_and_said_once() -> None:
    """The server's Date tells its time; a difference of a minute or more is logged and shown in the status."""
    behind = _response(200, ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"), wall=T0 + 360)
    async with wire((0, behind)) as w:
        with capture_logs() as logs:
            await w.send()
            await w.send()
        assert w.upstream.origin(GET.url).skew == 360
        assert [(entry["event"], entry["ahead"]) for entry in logs] == [("clocks differ", 360)]
    async with wire((0, _response(200, ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"), wall=T0 + 59))) as w:
        with capture_logs() as logs:
            await w.send()
        assert logs == []
