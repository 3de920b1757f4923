"""The windows of a credential's life: the table of TX-17 and docs/design/faults.md#windows, and what clocks do to them."""

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.credential import Lifetime
from credproxy.core.ask.lifetime import State, advisory, clamp, expires, length, mandatory, remaining, state


BOOT = 1000.0
WALL = 1_767_225_600.0
NO_JITTER = 0.5


def lasting(seconds: float, *, absolute: bool = False) -> Lifetime:
    """A credential received now for that long; ``absolute`` if its issuer stated a time of day."""
    return Lifetime(since=BOOT, until=BOOT + seconds, wall_until=WALL + seconds if absolute else None)


def state_at(lifetime: Lifetime, age: float, *, sample: float = NO_JITTER, step: float = 0.0) -> State:
    """Its state after ``age`` seconds, with the wall clock set by ``step``."""
    return state(lifetime, advisory(length(lifetime), sample), boot=BOOT + age, wall=WALL + age + step)


def told_at(lifetime: Lifetime, age: float, *, step: float = 0.0) -> int | None:
    """The expiry that a client is told, in seconds after receipt by the wall clock before its step."""
    told = expires(lifetime, BOOT + age, wall=WALL + age + step)
    return None if told is None else told - int(WALL)


@pytest.mark.parametrize(
    ("life", "window", "margin", "told"),
    [
        pytest.param(30, 7.5, 3, 27, id="TX-17-30"),
        pytest.param(60, 15, 6, 54, id="TX-17-60"),
        pytest.param(300, 75, 30, 270, id="TX-17-300"),
        pytest.param(900, 225, 60, 840, id="TX-17-900"),
        pytest.param(3600, 900, 60, 3540, id="TX-17-3600"),
        pytest.param(43_200, 3600, 60, 43_140, id="TX-17-43200"),
    ],
)
def test_windows(life: float, window: float, margin: float, told: int) -> None:
    """TX-17: A, M and the expiry given to clients, for every column of the table."""
    assert advisory(life, NO_JITTER) == pytest.approx(window)
    assert mandatory(life) == margin
    assert told_at(lasting(life), 0) == told


@pytest.mark.parametrize("life", [30, 60, 300, 900, 3600, 43_200])
def test_states_change_at_their_edges(life: float) -> None:
    """TX-17: Fresh above A, advisory down to above M, mandatory down to above zero, then expired."""
    window, margin = advisory(life, NO_JITTER), mandatory(life)
    credential = lasting(life)
    assert state_at(credential, 0) is State.FRESH
    assert state_at(credential, life - window - 0.25) is State.FRESH
    assert state_at(credential, life - window) is State.ADVISORY
    assert state_at(credential, life - margin - 0.25) is State.ADVISORY
    assert state_at(credential, life - margin) is State.MANDATORY
    assert state_at(credential, life - 0.25) is State.MANDATORY
    assert state_at(credential, life) is State.EXPIRED


@pytest.mark.parametrize(("sample", "window"), [(0.0, 67.5), (0.5, 75.0), (1.0, 82.5)])
def test_advisory_window_varies_by_a_tenth(sample: float, window: float) -> None:
    """So that credentials that came together are not renewed together (T-45: A = 82.5 s at +10 %)."""
    assert advisory(300, sample) == pytest.approx(window)


def test_states_at_the_upper_jitter() -> None:
    """The window opens at +217.5, the mandatory one at +270 (T-45)."""
    credential = lasting(300)
    assert state_at(credential, 217.25, sample=1.0) is State.FRESH
    assert state_at(credential, 220, sample=1.0) is State.ADVISORY
    assert told_at(credential, 220) == 270
    assert state_at(credential, 275, sample=1.0) is State.MANDATORY
    assert told_at(credential, 275) == 300


@pytest.mark.parametrize(
    ("age", "told"),
    [
        pytest.param(0, 270, id="fresh"),
        pytest.param(269.5, 270, id="a-moment-before-M"),
        pytest.param(270, 300, id="TX-17-inside-M-the-true-one"),
        pytest.param(299.5, 300, id="at-the-end"),
    ],
)
def test_expiry_told_does_not_wander(age: float, told: int) -> None:
    """Hard expiry less M, at any time; the true one once less than M remains (TX-17)."""
    assert told_at(lasting(300), age) == told


@pytest.mark.parametrize(("life", "told"), [(30.9, 27), (299.99, 269), (2.9, 2), (0.5, 0)])
def test_expiry_is_floored(life: float, told: int) -> None:
    """A fraction of a second is not added; within M the true expiry is given, floored too (TX-18)."""
    assert told_at(lasting(life), 0) == told


def test_life_within_the_margin_is_mandatory_at_once() -> None:
    """A token just received whose whole life is within M is handed out with its true expiry (TX-17)."""
    assert state_at(lasting(2), 0) is State.MANDATORY
    assert told_at(lasting(2), 0) == 2


def test_unknown_expiry_is_not_invented() -> None:
    """It is kept for its time, and clients get no expiry (CL-17)."""
    credential = Lifetime(since=BOOT, keep=600)
    assert length(credential) == 600
    assert told_at(credential, 0) is None
    assert state_at(credential, 0) is State.FRESH
    assert state_at(credential, 600) is State.EXPIRED


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_relative_life_does_not_feel_the_wall_clock(step: float) -> None:
    """After the clock was set, validity stays, and the expiry for clients moves along (C1, C2)."""
    credential = lasting(300)
    for age in [0, 230, 280, 300]:
        assert state_at(credential, age, step=step) is state_at(credential, age)
    assert told_at(credential, 10, step=step) == 270 + step


def test_absolute_life_ends_when_the_wall_clock_says_so() -> None:
    """An hour forward is past a stated time: renewed rather than trusted (C1, the safe side)."""
    credential = lasting(300, absolute=True)
    assert state_at(credential, 10) is State.FRESH
    assert state_at(credential, 10, step=3600) is State.EXPIRED
    assert state_at(credential, 10, step=220) is State.ADVISORY


def test_absolute_life_never_outlives_its_boot_clock() -> None:
    """An hour back does not make it live longer than it was when it arrived (C2)."""
    credential = lasting(300, absolute=True)
    assert state_at(credential, 299, step=-3600) is State.MANDATORY
    assert state_at(credential, 300, step=-3600) is State.EXPIRED
    assert told_at(credential, 10, step=-3600) == 270 - 3600


def test_suspend_is_time() -> None:
    """The boot clock runs through suspend: the first read after it misses (C3)."""
    assert state_at(lasting(3600), 8 * 3600) is State.EXPIRED


def test_life_counts_from_before_the_request() -> None:
    """The duration of the exchange shortens the lifetime (TX-15)."""
    assert remaining(lasting(60), BOOT + 8, wall=WALL + 8) == 52


def test_clamp() -> None:
    """Between both bounds, these included."""
    assert [clamp(value, 3, high=60) for value in (1, 3, 7, 60, 99)] == [3, 3, 7, 60, 60]


LIVES = st.floats(min_value=0.01, max_value=43_200)


@given(LIVES, st.floats(min_value=0, max_value=1), st.floats(min_value=0, max_value=50_000), st.booleans())
def test_no_client_is_told_a_time_after_hard_expiry(life: float, sample: float, age: float, absolute: bool) -> None:  # noqa: FBT001  given by hypothesis
    """Whatever the life, the age and the jitter: only valid grants, never past their end, M earlier if outside M."""
    credential = lasting(life, absolute=absolute)
    told = told_at(credential, age)
    assert told is not None
    assert told <= life + 1e-6
    if state_at(credential, age, sample=sample) in {State.FRESH, State.ADVISORY}:
        assert told <= life - mandatory(life) + 1e-6


@given(LIVES, st.floats(min_value=0, max_value=1), st.lists(st.floats(min_value=0, max_value=50_000), min_size=2))
def test_states_only_move_forward(life: float, sample: float, ages: list[float]) -> None:
    """Nothing gets younger without a renewal."""
    order = list(State)
    seen = [order.index(state_at(lasting(life), age, sample=sample)) for age in sorted(ages)]
    assert seen == sorted(seen)


def test_what_names_no_end_and_is_not_said_how_long_to_keep_is_over() -> None:
    """A provider that omits both is asked each time, and nothing is kept for an arbitrary time."""
    assert state(Lifetime(since=BOOT), 0.0, boot=BOOT, wall=WALL) is State.EXPIRED
    assert state(Lifetime(since=BOOT, keep=60.0), 0.0, boot=BOOT, wall=WALL) is State.FRESH
