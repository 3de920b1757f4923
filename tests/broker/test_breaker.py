"""U13: the circuit breaker, by example and against a model that is written the long way."""

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from credproxy.broker.breaker import Breaker, Phase


def _fail(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        ticket = breaker.admit(now)
        assert ticket is not None
        breaker.report(ticket, now, sample=0.5, good=False)


def _phase(breaker: Breaker) -> Phase:
    return breaker.phase  # through a call: otherwise mypy would assume that it cannot change


def test_five_failures_in_a_row_open_it_for_a_second() -> None:
    """The fifth failure in a row opens it; no call is admitted before a second is over (U13)."""
    breaker = Breaker()
    _fail(breaker, 0.0, 4)
    assert _phase(breaker) is Phase.CLOSED
    _fail(breaker, 0.0)
    assert (_phase(breaker), breaker.admit(0.9), breaker.wait(0.5)) == (Phase.OPEN, None, 1.0)
    assert breaker.admit(1.0) is not None


def test_a_good_answer_ends_the_row() -> None:
    """U13: Four failures, some good answers, four failures: still closed."""
    breaker = Breaker()
    for _ in range(2):
        _fail(breaker, 0.0, 4)
        ticket = breaker.admit(0.0)
        assert ticket is not None
        for _ in range(8):
            breaker.report(ticket, 0.0, sample=0.5, good=True)
    assert breaker.phase is Phase.CLOSED


def test_more_than_half_of_ten_calls_in_thirty_seconds_open_it() -> None:
    """U13: Failures that are never five in a row open it by their share."""
    breaker = Breaker()
    for number, good in enumerate([False, True, False, False, True, False, True, False, True]):
        ticket = breaker.admit(float(number))
        assert ticket is not None
        breaker.report(ticket, float(number), sample=0.5, good=good)
    assert _phase(breaker) is Phase.CLOSED
    _fail(breaker, 9.0)
    assert breaker.phase is Phase.OPEN


def test_failures_older_than_thirty_seconds_do_not_count() -> None:
    """U13: The share is taken over the last 30 s."""
    breaker = Breaker()
    for number, good in enumerate([False, True, False, False, True, False, True, False, True]):
        ticket = breaker.admit(float(number))
        assert ticket is not None
        breaker.report(ticket, float(number), sample=0.5, good=good)
    _fail(breaker, 31.0)
    assert breaker.phase is Phase.CLOSED


def test_one_probe_at_a_time_and_each_failed_one_doubles_the_pause() -> None:
    """U13: 1 s, then 1.5 s in the first ten, then twice as long to 60 s; while the probe is out, everybody else is refused."""
    breaker, now, pauses = Breaker(), 0.0, []
    _fail(breaker, now, 5)
    for _ in range(14):
        pauses.append(breaker.until - now)
        now = breaker.until
        ticket = breaker.admit(now)
        assert ticket is not None
        assert (breaker.admit(now), breaker.phase) == (None, Phase.HALF_OPEN)
        breaker.report(ticket, now, sample=0.5, good=False)
    assert pauses == [1, *[1.5] * 6, 3, 6, 12, 24, 48, 60, 60]


def test_an_outage_of_five_seconds_is_probed_before_its_first_callers_leave() -> None:
    """Whatever the jitter, a probe falls between the fifth second and the seventh: patience ends after 8.5 s."""
    for sample in (0.0, 0.5, 0.999):
        breaker, now, probes = Breaker(), 0.0, []
        for _ in range(5):
            breaker.report(0, now, sample=sample, good=False)
        while now < 9.0:
            now = breaker.until
            ticket = breaker.admit(now)
            assert ticket is not None
            probes.append(now)
            breaker.report(ticket, now, sample=sample, good=False)
        assert any(5.0 <= probe <= 7.0 for probe in probes)


def test_an_outage_is_as_old_as_its_first_failure_and_ends_with_a_good_answer() -> None:
    """Its age decides which callers may wait for its end."""
    breaker = Breaker()
    assert breaker.outage(5.0) == 0.0
    _fail(breaker, 10.0, 5)
    assert breaker.outage(14.0) == 4.0
    ticket = breaker.admit(12.0)
    assert ticket is not None
    breaker.report(ticket, 14.0, sample=0.5, good=True)
    assert (breaker.outage(15.0), breaker.phase) == (0.0, Phase.CLOSED)


def test_an_old_failure_is_not_part_of_a_new_outage() -> None:
    """After an outage yesterday, two hundred calls at once today are not refused except one."""
    breaker = Breaker()
    _fail(breaker, 0.0, 5)
    assert (breaker.admit(3600.0) is not None, _phase(breaker)) == (True, Phase.CLOSED)
    assert (breaker.admit(3600.0) is not None, breaker.outage(3600.0)) == (True, 0.0)
    _fail(breaker, 3600.0)
    assert breaker.outage(3601.0) == 1.0


def test_a_good_probe_closes_it_and_the_next_pause_is_short_again() -> None:
    """U13: After a success everything starts from the beginning."""
    breaker = Breaker()
    _fail(breaker, 0.0, 5)
    _fail(breaker, 5.0)
    ticket = breaker.admit(15.0)
    assert ticket is not None
    breaker.report(ticket, 15.0, sample=0.5, good=True)
    _fail(breaker, 15.0, 5)
    assert breaker.until == 16.0


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    """U13: A probe that was cancelled neither closes nor prolongs."""
    breaker = Breaker()
    _fail(breaker, 0.0, 5)
    ticket = breaker.admit(5.0)
    assert ticket is not None
    breaker.report(ticket, 6.0, sample=0.5, good=None)
    assert breaker.admit(6.0) is not None


def test_a_late_report_says_nothing() -> None:
    """U13: A call admitted before it opened cannot close it, nor count against the probe."""
    breaker = Breaker()
    early = breaker.admit(0.0)
    assert early is not None
    _fail(breaker, 0.0, 5)
    breaker.report(early, 1.0, sample=0.5, good=True)
    assert _phase(breaker) is Phase.OPEN
    assert breaker.admit(5.0) is not None
    breaker.report(early, 5.0, sample=0.5, good=False)
    assert breaker.phase is Phase.HALF_OPEN


def test_the_pause_varies_by_a_fifth() -> None:
    """U13: +-20 %, so that the clients of a registry that comes back do not all come at once."""
    untils = []
    for sample in (0.0, 1.0):
        breaker = Breaker()
        for _ in range(5):
            breaker.report(0, 0.0, sample=sample, good=False)
        untils.append(breaker.until)
    assert untils == pytest.approx([0.8, 1.2])


class BreakerModel(RuleBasedStateMachine):
    """The same machine, with every call remembered and every rule written out."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.era = 0
        self.tickets: list[tuple[int, int, bool]] = []
        self.calls: list[tuple[float, bool]] = []
        self.closed_until: float | None = None
        self.pause = 0.0
        self.probing = False
        self.began = 0.0
        self.failed: float | None = None

    @rule(seconds=st.one_of(st.floats(0, 3), st.floats(0, 100)))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def ask(self) -> None:
        """A caller wants to make a call."""
        if self.closed_until is not None and not self.probing and self._forgotten():
            self.closed_until, self.calls, self.failed = None, [], None
            self.era += 1
        ticket = self.breaker.admit(self.now)
        if self.closed_until is None:
            assert ticket is not None
            self.tickets.append((ticket, self.era, False))
        elif self.probing or self.now < self.closed_until:
            assert ticket is None
        else:
            assert ticket is not None
            self.probing = True
            self.era += 1
            self.tickets.append((ticket, self.era, True))

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), good=st.sampled_from([True, False, None]))
    def end(self, data: st.DataObject, good: bool | None) -> None:  # noqa: FBT001  hypothesis passes by name
        """One of the calls ends."""
        ticket, era, probe = self.tickets.pop(data.draw(st.integers(0, len(self.tickets) - 1)))
        self.breaker.report(ticket, self.now, sample=0.5, good=good)
        if era != self.era:
            return
        if good is False:
            if self.failed is None or self._forgotten():
                self.began = self.now
            self.failed = self.now
        elif good:
            self.failed = None
        if probe and self.probing:
            self._probe_ended(good)
        elif good is not None and self.closed_until is None:
            self.calls.append((self.now, good))
            self._judge()

    def _probe_ended(self, good: bool | None) -> None:  # noqa: FBT001  as above
        self.probing = False
        if good:
            self.closed_until, self.calls = None, []
            self.era += 1
        elif good is None:
            self.closed_until = self.now
        else:
            self._open(min(60.0, 2 * self.pause))

    def _forgotten(self) -> bool:
        return self.failed is not None and self.now > self.failed + 90

    def _open(self, pause: float) -> None:
        if self.now - self.began < 10:
            pause = min(pause, 1.5)
        self.pause, self.closed_until, self.calls = pause, self.now + pause, []
        self.era += 1

    def _judge(self) -> None:
        recent = [good for at, good in self.calls if at > self.now - 30]
        bad = recent.count(False)
        row = [good for _, good in self.calls[-5:]] == [False] * 5
        if not self.calls[-1][1] and (row or (len(recent) >= 10 and bad * 2 > len(recent))):
            self._open(1.0)

    @invariant()
    def phases_agree(self) -> None:
        """The phase is that of the model."""
        expected = Phase.CLOSED if self.closed_until is None else Phase.HALF_OPEN if self.probing else Phase.OPEN
        assert self.breaker.phase is expected


def test_the_breaker_is_the_model() -> None:
    """U13: after any events in any order, breaker and model agree."""
    run_state_machine_as_test(BreakerModel)
