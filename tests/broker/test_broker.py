"""The use case: every state of a grant's life, and what each caller gets."""

from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from credproxy.broker.answers import Answer
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.core.ask.credential import Secret, UserPassword
from credproxy.core.ask.uri import parse_server_url
from credproxy.core.errors import Code, Failure, failed
from tests.broker.world import BLOB, question, shown, token, world
from tests.fakes import settle


DOWN = failed(Code.UPSTREAM_UNAVAILABLE, "token server 'auth.test' refused the connection")


async def test_first_question_is_exchanged_and_expires_the_margin_early() -> None:
    """T-01: A token of 300 s is handed out with ``expires`` 30 s before its end."""
    async with world() as w:
        answer = await w.answer()
        assert (token(answer), shown(answer), w.looks()) == ("tok1", 270, ["miss"])


async def test_the_next_uri_of_the_same_key_is_answered_from_memory() -> None:
    """T-02: A second URI that needs the same token costs no exchange."""
    async with world() as w:
        await w.answer()
        answer = await w.answer("https://reg.test/v2/a/b/tags/list")
        assert (token(answer), len(w.provider.runs), w.looks()) == ("tok1", 1, ["miss", "fresh"])


@pytest.mark.parametrize(
    ("life", "expires"),
    [(30, 27), (60, 54), (300, 270), (900, 840), (3600, 3540), (43_200, 43_140)],
    ids=["L30", "L60", "L300", "L900", "L3600", "L43200"],
)
async def test_expires_by_lifetime(life: float, expires: float) -> None:
    """The ``expires`` row of TX-17's table."""
    async with world() as w:
        w.provider.life = life
        assert shown(await w.answer()) == expires


async def test_an_unconfigured_host_gets_an_empty_answer_for_a_minute() -> None:
    """``{}`` carries now + empty_ttl and costs nothing."""
    async with world() as w:
        w.provider.key = lambda _: None
        answer = await w.answer()
        assert (answer.headers, shown(answer), w.looks()) == ((), 60, ["none"])


async def test_an_empty_grant_is_remembered_and_shown_for_a_minute_from_now() -> None:
    """A provider that found nothing is asked once; each answer carries now + empty_ttl."""
    async with world() as w:
        w.provider.empty, w.provider.life = True, None
        await w.answer()
        await w.clock.advance(30)
        answer = await w.answer()
        assert (answer.headers, shown(answer), len(w.provider.runs)) == ((), 90, 1)


async def test_a_grant_without_expiry_is_kept_ten_minutes_and_names_none() -> None:
    """An issuer that names no expiry is not given one, and is asked again after ``keep``."""
    async with world() as w:
        w.provider.life = None
        assert shown(await w.answer()) is None
        await w.clock.advance(601)
        assert token(await w.answer()) == "tok2"


async def test_inside_the_advisory_window_the_cached_token_at_once() -> None:
    """T-45 (a): jitter +10 %, asked at +220: the old token at once, one exchange in the background."""
    async with world(sample=1.0) as w:
        await w.answer()
        await w.clock.advance(220)
        w.provider.delay = 1
        answer = await w.ask()
        await settle()
        assert (token(answer), shown(answer), len(w.provider.runs)) == ("tok1", 270, 2)
        await w.clock.advance(1)
        assert token(await w.ask()) == "tok2"


async def test_inside_the_mandatory_window_the_new_token_after_a_short_wait() -> None:
    """T-45 (b): asked at +275: waits, and gets the new token with ``expires`` +545."""
    async with world(sample=1.0) as w:
        await w.answer()
        await w.clock.advance(275)
        answer = await w.answer()
        assert (token(answer), shown(answer), len(w.provider.runs)) == ("tok2", 545, 2)


async def test_a_silent_token_server_costs_three_seconds_and_no_error() -> None:
    """T-45 (c): asked at +275 without an answer from the server: after 3 s the old token with its true expiry."""
    async with world(sample=1.0) as w:
        await w.answer()
        await w.clock.advance(275)
        w.provider.delay = 100
        task = w.asking()
        await w.clock.advance(2.9)
        assert not task.done()
        await w.clock.advance(0.2)
        assert (token(task.result()), shown(task.result())) == ("tok1", 300)


async def test_a_token_server_that_is_down_is_felt_only_at_expiry() -> None:
    """T-93: at +235 the cached token at once, at +285 within 3 s with its true expiry, at +301 an error."""
    async with world() as w:
        await w.answer()
        w.provider.error = DOWN
        await w.clock.advance(235)
        answer = await w.ask()
        await settle()
        assert (token(answer), shown(answer), len(w.provider.runs)) == ("tok1", 270, 2)
        await w.clock.advance(50)
        runs = len(w.provider.runs)
        answer = await w.answer()
        assert (token(answer), shown(answer), len(w.provider.runs)) == ("tok1", 300, runs + 1)
        await w.clock.advance(16)
        failure = await w.failure()
        assert (failure.code, failure.message) == (Code.UPSTREAM_UNAVAILABLE, DOWN.failure.message)


async def test_with_a_second_left_the_token_counts_as_none() -> None:
    """With r <= 1 s a caller waits for the exchange, and a failure is an error."""
    async with world() as w:
        await w.answer()
        await w.clock.advance(299)
        w.provider.error = DOWN
        assert (await w.failure()).code is Code.UPSTREAM_UNAVAILABLE


async def test_mandatory_failures_are_remembered_while_the_old_token_serves() -> None:
    """Inside M a failure that is remembered answers at once with the old token, without another exchange."""
    async with world() as w:
        await w.answer()
        await w.clock.advance(285)
        w.provider.error = failed(Code.DENIED, "no")
        await w.answer()
        runs = len(w.provider.runs)
        with capture_logs() as logs:
            assert token(await w.ask()) == "tok1"
        assert (len(w.provider.runs), logs) == (runs, [])


async def test_serving_in_the_mandatory_window_is_logged_once_and_counted_each_time() -> None:
    """``served while failing`` stands once in the log per token; metrics count every one."""
    async with world() as w:
        await w.answer()
        await w.clock.advance(285)
        w.provider.error = DOWN
        with capture_logs() as logs:
            await w.answer()
            await w.answer()
        assert [entry["event"] for entry in logs].count("served while failing") == 1
        assert w.looks().count("mandatory") == 2


async def test_a_token_that_expires_while_its_caller_waits_is_not_handed_out() -> None:
    """The three seconds inside M are cut short by a suspend: the old token is past its expiry, so an error."""
    async with world() as w:
        await w.answer()
        await w.clock.advance(285)
        w.provider.delay = 100
        task = w.asking()
        await settle()
        w.clock.suspend(20)
        await w.clock.advance(3.1)
        result = task.result()
        assert isinstance(result, Failure)
        assert result.code is Code.STILL_TRYING


async def test_a_token_that_is_always_within_its_margin_is_exchanged_once_a_second() -> None:
    """A lifetime of 3 s is all M: a burst of questions is still one exchange."""
    async with world() as w:
        w.provider.life = 3
        assert [token(await w.answer()) for _ in range(5)] == ["tok1"] * 5
        await w.clock.advance(1.1)
        assert token(await w.answer()) == "tok2"


async def test_a_success_ends_a_row_of_failures() -> None:
    """1 s, 2 s, then it works; the next failure is remembered for 1 s again."""
    async with world() as w:
        w.provider.error, pauses = DOWN, []
        for _ in range(2):
            pauses.append((await w.failure()).retry_after)
            await w.clock.advance(2.5)
        w.provider.error = None
        await w.answer()
        w.broker.cache.drop_all(lambda _: True)
        w.provider.error = DOWN
        pauses.append((await w.failure()).retry_after)
        assert pauses == [1, 2, 1]


async def test_advisory_reads_back_off_after_a_failed_renewal() -> None:
    """After a failed renewal of a 300 s token the next one is tried (A-M)/8 = 5.6 s later, then 11.3 s."""
    async with world() as w:
        await w.answer()
        await w.clock.advance(226)
        w.provider.error = DOWN
        starts = []
        for _ in range(200):
            runs = len(w.provider.runs)
            await w.ask()
            await settle()
            if len(w.provider.runs) > runs:
                starts.append(w.clock.boot())
            await w.clock.advance(0.2)
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert gaps[:2] == pytest.approx([5.6, 11.3], abs=0.25)


async def test_a_failure_is_not_cached_as_a_token() -> None:
    """T-95: once the short memory of a failure is over, the next question is a new exchange that succeeds."""
    async with world() as w:
        w.provider.error = DOWN
        await w.failure()
        w.provider.error = None
        await w.clock.advance(1.3)
        assert token(await w.answer()) == "tok2"


async def test_a_refused_login_is_not_tried_again_within_ten_seconds() -> None:
    """T-19: A 401 is shared for 10 s and says when it will be tried again; then the registry is asked again."""
    async with world() as w:
        w.provider.error = failed(Code.BAD_CREDENTIALS, "refused for docker-config:reg.test", hint="log in again")
        first = await w.failure()
        await w.clock.advance(4)
        second = await w.failure()
        assert (first.retry_after, second.retry_after, len(w.provider.runs)) == (10, 6, 1)
        assert w.looks() == ["miss", "negative"]
        await w.clock.advance(6.1)
        await w.failure()
        assert len(w.provider.runs) == 2


@pytest.mark.parametrize(
    ("code", "seconds"),
    [
        pytest.param(Code.BAD_CREDENTIALS, 10, id="U4-401"),
        pytest.param(Code.DENIED, 10, id="U4-403"),
        pytest.param(Code.NO_CHALLENGE, 30, id="U4-404"),
        pytest.param(Code.TLS_FAILED, 30, id="U7"),
        pytest.param(Code.UPSTREAM_UNAVAILABLE, 1, id="U5-U6"),
        pytest.param(Code.HELPER_FAILED, 2, id="helper"),
    ],
)
async def test_failures_are_remembered_by_class(code: Code, seconds: float) -> None:
    """How long a failure is shared depends on what it is; its message passes unchanged."""
    async with world() as w:
        w.provider.error = failed(code, "credential docker-config:reg.test was refused", hint="do this")
        failure = await w.failure()
        assert (failure.message, failure.hint) == ("credential docker-config:reg.test was refused", "do this")
        await w.clock.advance(seconds - 0.1)
        await w.failure()
        assert len(w.provider.runs) == 1
        await w.clock.advance(0.2)
        await w.failure()
        assert len(w.provider.runs) == 2


async def test_an_answer_that_had_expired_on_arrival_is_an_error_for_five_seconds() -> None:
    """U12: a lifetime shorter than the exchange is measured from its start, and not handed out."""
    async with world() as w:
        w.provider.life, w.provider.delay = 2, 3
        failure = await w.failure()
        assert (failure.code, failure.retry_after, len(w.provider.runs)) == (Code.EXPIRED_ON_ARRIVAL, 5, 1)


async def test_a_token_that_lives_within_its_margin_is_handed_out_when_it_comes() -> None:
    """TX-17: a token just received is handed out at once even if its whole life lies within M, with its true expiry."""
    async with world() as w:
        w.provider.life = 3
        answer = await w.answer()
        assert (token(answer), shown(answer)) == ("tok1", 3)


async def test_what_aged_away_before_it_could_be_handed_out_is_fetched_once_more() -> None:
    """P11: a waiter that finds less than a second left gets one more exchange."""
    async with world() as w:
        w.provider.life, w.provider.delay = 10, 9.5
        task = w.asking(patience=20)
        await settle()
        w.provider.delay = 1
        await w.clock.advance(9.5)
        assert not task.done()
        await w.clock.advance(1)
        assert (token(task.result()), len(w.provider.runs)) == ("tok2", 2)


async def test_at_most_one_more_exchange() -> None:
    """P11: a token whose life is over almost at once is tried twice, and then handed out while it lives."""
    async with world() as w:
        w.provider.life, w.provider.delay = 1.0, 0.5
        answer = await w.answer()
        assert (token(answer), len(w.provider.runs)) == ("tok2", 2)


async def test_min_lifetime_exchanges_what_is_too_short_first() -> None:
    """SC-18: a cached grant with less than min_lifetime left is exchanged again before it is handed out."""
    async with world() as w:
        w.provider.min_lifetime = 240
        await w.answer()
        await w.clock.advance(59)
        assert token(await w.answer()) == "tok1"
        await w.clock.advance(2)
        assert token(await w.answer()) == "tok2"


async def test_a_silent_exchange_is_still_tried_when_its_caller_is_told() -> None:
    """U1: after 8.5 s a clear error that names the slow server; the exchange goes on and serves the next question."""
    async with world() as w:
        w.provider.delay = 11
        failure = await w.failure()
        assert (failure.code, failure.message) == (
            Code.STILL_TRYING,
            "registry 'reg.test' has not answered for 8.5 s; still trying, run the build again",
        )
        await w.clock.advance(3)
        assert (token(await w.ask()), len(w.provider.runs)) == ("tok1", 1)


async def test_a_flight_ends_at_its_own_limit() -> None:
    """U1: 30 s after its start a flight is given up, even if callers still wait; that failure is remembered."""
    async with world() as w:
        w.provider.delay = 1000
        await w.failure()
        await w.clock.advance(15)
        task = w.asking()
        await w.clock.advance(7)
        result = task.result()
        assert isinstance(result, Failure)
        assert result.message == "registry 'reg.test' has not answered within 30 s"
        assert w.provider.active == 0


async def test_other_hosts_are_not_affected() -> None:
    """U1: a host that hangs costs the others nothing."""
    async with world() as w:
        w.provider.delay = 1000
        hung = w.asking()
        await settle()
        w.provider.delay = 0
        assert (token(await w.ask("https://other.test/v2/a/b/blobs/x")), hung.done()) == ("tok2", False)


async def test_a_plan_may_bound_its_flight() -> None:
    """A helper's own timeout replaces flight_timeout."""
    async with world() as w:
        w.provider.delay, w.provider.timeout = 200, 300
        await w.failure()
        await w.clock.advance(195)
        assert token(await w.ask()) == "tok1"


async def test_a_wall_clock_set_forward_changes_what_is_shown_and_nothing_else() -> None:
    """C1: the token stays valid on the boot clock; ``expires`` is computed again."""
    async with world() as w:
        first = await w.answer()
        w.clock.step_wall(3600)
        assert not first.fresh()
        answer = await w.answer()
        assert (token(answer), shown(answer)) == ("tok1", 3600 + 270)


async def test_an_absolute_expiry_also_counts_on_the_wall_clock() -> None:
    """C1: a grant with an absolute time is exchanged again when the wall clock has passed it."""
    async with world() as w:
        w.provider.wall_life = 300
        await w.answer()
        w.clock.step_wall(3600)
        assert token(await w.answer()) == "tok2"


async def test_a_wall_clock_set_back_prolongs_nothing() -> None:
    """C2: nothing lives longer than on the boot clock."""
    async with world() as w:
        w.provider.wall_life = 300
        await w.answer()
        w.clock.step_wall(-3600)
        await w.clock.advance(301)
        assert token(await w.answer()) == "tok2"


async def test_what_expired_in_a_suspend_misses_on_the_first_read() -> None:
    """C3: after eight hours of sleep the first question is exchanged, with no timer involved."""
    async with world() as w:
        w.provider.life = 3600
        await w.answer()
        w.clock.suspend(8 * 3600)
        assert token(await w.answer()) == "tok2"


@pytest.mark.parametrize("step", [4, -4])
async def test_small_steps_of_the_wall_clock_are_ignored(step: float) -> None:
    """C4: a slewed clock neither drops nor renews anything."""
    async with world() as w:
        w.provider.wall_life = 300
        await w.answer()
        w.clock.step_wall(step)
        assert (token(await w.answer()), len(w.provider.runs)) == ("tok1", 1)


async def test_a_reload_during_a_flight_serves_its_waiters_and_is_not_kept() -> None:
    """P12: the old configuration's result goes to its waiters; the next question causes an exchange under the new one."""
    async with world() as w:
        w.provider.delay = 2
        task = w.asking()
        await settle()
        assert w.broker.swap(w.table) == 2
        await w.clock.advance(2)
        answer = task.result()
        assert isinstance(answer, Answer)
        assert (token(answer), answer.fresh()) == ("tok1", False)
        assert token(await w.answer()) == "tok2"


async def test_a_flush_during_a_flight_serves_its_waiters_and_is_not_kept() -> None:
    """P12: a question after a flush gets an exchange of its own, even while the old flight goes on."""
    async with world() as w:
        w.provider.delay = 2
        first = w.asking()
        await w.clock.advance(1)
        w.broker.flush()
        second = w.asking()
        await w.clock.advance(1)
        assert (token(first.result()), second.done()) == ("tok1", False)
        await w.clock.advance(1)
        assert token(second.result()) == "tok2"
        assert (token(await w.ask()), len(w.provider.runs)) == ("tok2", 2)


async def test_what_was_flushed_while_it_flew_is_not_kept() -> None:
    """P12: the result of a flight that began before the flush is not used after it."""
    async with world() as w:
        w.provider.delay = 2
        first = w.asking()
        await settle()
        w.broker.flush()
        await w.clock.advance(2)
        assert (token(first.result()), w.broker.status().cached) == ("tok1", 0)


async def test_a_failure_of_the_old_generation_is_not_remembered() -> None:
    """P12: what failed under the old configuration is tried at once under the new one."""
    async with world() as w:
        w.provider.delay, w.provider.error = 2, failed(Code.DENIED, "no")
        task = w.asking()
        await settle()
        w.broker.swap(w.table)
        await w.clock.advance(2)
        assert isinstance(task.result(), Failure)
        w.provider.error = None
        assert token(await w.answer()) == "tok2"


async def test_a_reload_forgets_failures_and_grants() -> None:
    """Everything in memory belongs to the configuration under which it came."""
    async with world() as w:
        await w.answer()
        w.provider.error = failed(Code.DENIED, "no")
        await w.failure("https://other.test/v2/a/b/blobs/x")
        w.broker.swap(w.table, options=BrokerSettings(empty_ttl=5))
        w.provider.error = None
        assert token(await w.answer()) == "tok3"
        assert token(await w.answer("https://other.test/v2/a/b/blobs/x")) == "tok4"


async def test_two_users_and_two_sockets_never_share() -> None:
    """SEC-16, T10: the caller is part of the key."""
    async with world() as w:
        assert token(await w.answer(uid=1)) == "tok1"
        assert token(await w.answer(uid=2)) == "tok2"


async def test_a_bug_in_a_provider_costs_one_answer_and_tells_no_text() -> None:
    """1.3: an unexpected exception becomes ``internal``; class and place are logged, its text nowhere."""
    async with world() as w:
        w.provider.error = KeyError("canary")
        with capture_logs() as logs:
            failure = await w.failure()
        assert failure.code is Code.INTERNAL
        assert "canary" not in f"{failure}{logs}"
        bug = next(entry for entry in logs if entry["event"] == "provider bug")
        assert (bug["error"], bug["place"].startswith("FakeProvider._run:")) == ("KeyError", True)
        assert (w.broker.status().bugs, failure.retry_after) == (1, 2)


async def test_a_bug_while_planning_is_contained_and_logged_once_a_minute() -> None:
    """A plan that breaks for every question does not fill the log."""
    async with world() as w:
        w.provider.plan_error = KeyError("canary")
        with capture_logs() as logs:
            codes = [(await w.failure()).code for _ in range(3)]
        assert (codes, len(logs), w.broker.status().bugs) == ([Code.INTERNAL] * 3, 1, 3)


async def test_a_failed_plan_is_an_error_and_not_remembered() -> None:
    """An unreadable credential is decided without an exchange, and a fix is seen at once."""
    async with world() as w:
        w.provider.plan_error = failed(Code.CREDENTIAL_UNREADABLE, "broken")
        assert (await w.failure()).code is Code.CREDENTIAL_UNREADABLE
        w.provider.plan_error = None
        assert token(await w.answer()) == "tok1"


async def test_bazel_71_compat_leaves_expires_out_while_half_an_hour_remains() -> None:
    """CL-19: those versions cache only answers without ``expires``."""
    async with world(options=BrokerSettings(bazel_71_compat=True)) as w:
        w.provider.life = 3600
        assert shown(await w.answer()) is None
        await w.clock.advance(1000)
        assert shown(await w.answer()) is None
        await w.clock.advance(801)
        assert shown(await w.answer()) == 3540


async def test_the_front_may_repeat_an_answer_for_a_second() -> None:
    """A memo is good for 1 s, so that a changed credential file is seen within it, and each repeat is a use."""
    async with world() as w:
        await w.answer()
        answer = await w.answer()  # only the second one may be repeated: it brought the plan that a renewal runs
        await w.clock.advance(0.9)
        assert answer.fresh()
        assert w.broker.status().entries[0].uses == 3
        await w.clock.advance(0.2)
        assert not answer.fresh()


async def test_the_front_may_not_repeat_what_ages_or_was_dropped() -> None:
    """In the advisory window and after a flush every question reaches the broker."""
    async with world() as w:
        answer = await w.answer()
        w.broker.flush()
        assert not answer.fresh()
        await w.answer()
        await w.clock.advance(226)
        ageing = await w.ask()
        assert isinstance(ageing, Answer)
        assert not ageing.fresh()


async def test_the_front_may_repeat_an_empty_answer_for_a_second() -> None:
    """``{}`` without an entry is repeated under the same rules."""
    async with world() as w:
        w.provider.key = lambda _: None
        answer = await w.answer()
        assert answer.fresh()
        w.broker.swap(w.table)
        assert not answer.fresh()


async def test_stored_gives_the_login_and_contains_bugs() -> None:
    """For the docker helper protocol: the provider's login, or its failure."""
    async with world() as w:
        target = parse_server_url("reg.test")
        assert await w.broker.stored(target) is None
        w.provider.login = UserPassword("u", Secret("p"))
        assert await w.broker.stored(target) == w.provider.login
        w.provider.plan_error = KeyError()
        with pytest.raises(type(DOWN), match="internal"):
            await w.broker.stored(target)


async def test_a_question_that_cannot_be_planned_in_time_fails() -> None:
    """A credential source that hangs ends in an error within the caller's patience."""
    async with world() as w:
        w.provider.plan_delay = 100
        failure = await w.failure()
        assert (failure.code, failure.message) == (
            Code.UPSTREAM_UNAVAILABLE,
            "looking up the credential of 'reg.test' took longer than 8.5 s",
        )


async def test_every_exchange_is_one_line_of_log_without_the_token() -> None:
    """``exchanged`` names the subject, how long it took and what is left; the token stays out."""
    async with world() as w:
        w.provider.delay, w.provider.note = 1, "as the registry wished"
        with capture_logs() as logs:
            await w.answer()
        assert logs == [
            {
                "event": "exchanged",
                "log_level": "info",
                "subject": "registry 'reg.test'",
                "seconds": 1.0,
                "left": 299.0,
                "empty": False,
                "background": False,
                "note": "as the registry wished",
                "detail": {"provider": "fake"},
            }
        ]


async def test_a_token_for_less_is_a_warning_once() -> None:
    """TX-12: a 200 does not mean access. The user finds it in the log, and not again with each renewal."""
    async with world() as w:
        w.provider.note, w.provider.less = "grants nothing of what was asked for", True
        with capture_logs() as logs:
            await w.answer()
            for _ in range(4):
                await w.clock.advance(230)
                await w.answer()
        assert [entry["log_level"] for entry in logs] == ["warning"] + ["info"] * (len(w.provider.runs) - 1)
        assert len(w.provider.runs) >= 4
        assert {entry["note"] for entry in logs} == {"grants nothing of what was asked for"}
        assert {event[2] for event in w.metrics.seen if event[0] == "exchange"} == {"less"}


async def test_metrics_tell_of_look_ups_exchanges_waits_and_ages() -> None:
    """Each question and each flight is counted once."""
    async with world() as w:
        w.provider.delay = 1
        await w.answer(BLOB)
        await w.clock.advance(9)
        await w.answer(BLOB)
        assert w.metrics.seen == [
            ("cache", "miss"),
            ("exchange", "https://reg.test", "ok", 1.0),
            ("waited", 1.0),
            ("cache", "fresh"),
            ("age", 10.0),
        ]


async def test_explain_shows_decisions_and_changes_nothing() -> None:
    """``explain`` gives rule, plan and what is known for the key; it starts no exchange."""
    async with world() as w:
        cold = await w.broker.explain(question())
        assert (cold.answer, cold.subject, cold.entry) == ("credential", "registry 'reg.test'", None)
        w.provider.delay = 1
        waiting = w.asking()
        await settle()
        flying = await w.broker.explain(question())
        assert flying.flight is not None
        assert (flying.flight.phase, flying.flight.waiters) == ("flying", 1)
        await w.clock.advance(1)
        assert waiting.done()
        warm = await w.broker.explain(question())
        assert warm.entry is not None
        assert (warm.entry.state, warm.entry.left, warm.entry.uses, len(w.provider.runs)) == ("fresh", 299.0, 1, 1)


async def test_explain_shows_what_failed() -> None:
    """A remembered failure and a plan that fails are part of the explanation, not its end."""
    async with world() as w:
        w.provider.error = failed(Code.DENIED, "not yours", hint="ask for access")
        await w.failure()
        remembered = await w.broker.explain(question())
        assert remembered.failure is not None
        assert (remembered.failure.code, remembered.failure.hint) == ("denied", "ask for access")
        w.provider.plan_error = failed(Code.CREDENTIAL_UNREADABLE, "broken")
        broken = await w.broker.explain(question())
        assert broken.problem is not None
        assert (broken.answer, broken.problem.message) == ("error", "broken")


async def test_explain_shows_an_empty_answer_and_never_a_query() -> None:
    """A presigned URL's query is its secret (SC-14)."""
    async with world() as w:
        w.provider.key = lambda _: None
        explained = await w.broker.explain(question("https://bucket.test/x?X-Amz-Signature=SECRET"))
        assert (explained.answer, explained.target) == ("{}", "https://bucket.test/x")
        assert "SECRET" not in repr(explained)


async def test_status_shows_everything_but_secrets() -> None:
    """Entries, flights and failures, each with age and use; no token."""
    async with world() as w:
        await w.answer()
        w.provider.error = failed(Code.DENIED, "not yours")
        await w.failure("https://denied.test/v2/a/b/blobs/x")
        w.provider.error, w.provider.delay = None, 5
        await w.failure("https://slow.test/v2/a/b/blobs/x", patience=1)
        await w.clock.advance(1)
        status = w.broker.status()
        assert (status.generation, status.cached, status.uptime, status.bugs) == (1, 1, 2.0, 0)
        assert [(entry.subject, entry.uses, entry.left) for entry in status.entries] == [
            ("registry 'reg.test'", 1, 298.0)
        ]
        assert [(flight.subject, flight.phase, flight.seconds) for flight in status.flights] == [
            ("registry 'slow.test'", "unattended", 2.0)
        ]
        assert [(failure.host, failure.code, failure.left) for failure in status.failures] == [
            ("denied.test", "denied", 8.0)
        ]
        assert "tok1" not in repr(status)


@pytest.mark.parametrize(
    ("match", "count"),
    [
        (None, 4),
        ("reg.test", 2),
        ("reg.test:5000", 1),
        ("*.test", 4),
        ("*.corp.test", 1),
        ("other", 0),
        ("REG.test", 2),
    ],
    ids=["all", "host", "port", "suffix", "longer-suffix", "nothing", "case"],
)
async def test_flush_forgets_what_is_meant(match: str | None, count: int) -> None:
    """A host on any port, a host with its port, a suffix, or everything."""
    async with world() as w:
        for host in ("reg.test", "reg.test:5000", "a.corp.test", "b.test"):
            await w.answer(f"https://{host}/v2/a/b/blobs/x")
        assert (w.broker.flush(match), w.provider.forgotten) == (count, 1)
        assert w.broker.status().cached == 4 - count


async def test_flush_forgets_failures() -> None:
    """After a flush a refused login is tried at once."""
    async with world() as w:
        w.provider.error = failed(Code.DENIED, "no")
        await w.failure()
        w.broker.flush("reg.test")
        w.provider.error = None
        assert token(await w.answer()) == "tok2"


async def test_flush_of_one_host_drops_a_grant_that_serves_several() -> None:
    """A grant shared by a wildcard's hosts belongs to each of them."""
    async with world() as w:
        w.provider.key = lambda _: "shared"
        await w.answer("https://a.test/v2/a/b/blobs/x")
        await w.answer("https://b.test/v2/a/b/blobs/x")
        assert w.broker.flush("b.test") == 1
