"""Nothing outlives the login that it was made from."""

import pytest

from credproxy.core.ask.credential import Lifetime, PlainSecret, Secret
from credproxy.core.ask.lifetime import LONGEST, advisory, expires, length, remaining
from credproxy.core.ask.login import STATIC_KEEP, Login, again_at, bounded, dressed
from credproxy.core.errors import Code, Failed


STORED = PlainSecret(Secret("canary"))
T = 1000.0


def test_a_static_login_is_served_for_the_one_figure_and_names_no_expiry() -> None:
    """It changes together with its file, which is then another identity; an expiry would be invented."""
    lifetime = dressed(Login(STORED, T), "file:/s", boot=T + 7)
    assert remaining(lifetime, T + 7, wall=0) == STATIC_KEEP
    assert expires(lifetime, T + 7, wall=0) is None


def test_what_a_program_printed_counts_from_when_the_program_was_started() -> None:
    """``docker-credential-gcr``: a token of 300 s must not be handed out for the sum of the source's and the provider's times."""
    lifetime = dressed(Login(STORED, T, keep=240), "docker-credential-gcr:reg.test", boot=T + 100)
    assert remaining(lifetime, T + 100, wall=0) == 140
    told = expires(lifetime, T + 100, wall=0)
    assert told is not None
    assert told < 140


def test_a_program_that_takes_longer_than_its_login_is_kept_is_of_use_all_the_same() -> None:
    """``keep = 0`` means "ask each time", and not "never give it out"."""
    assert remaining(dressed(Login(STORED, T, keep=0), "command:x", boot=T + 20), T + 20, wall=0) == 10


def test_a_login_may_say_when_it_ends() -> None:
    """Also if it is kept for longer; twelve hours are the maximum."""
    assert dressed(Login(STORED, T, until=T + 50), "n", boot=T).until == T + 50
    assert dressed(Login(STORED, T, until=T + 50, keep=240), "n", boot=T).until == T + 50
    assert dressed(Login(STORED, T, until=T + 500, keep=240), "n", boot=T).until == T + 240
    assert dressed(Login(STORED, T, until=T + 1e6), "n", boot=T).until == T + 12 * 3600


def test_a_login_that_is_over_by_its_own_words_is_an_error_that_says_since_when() -> None:
    """TX-17: nothing is served past its expiry. The message names the login, and not its secret."""
    with pytest.raises(Failed) as caught:
        dressed(Login(STORED, T, until=T), "file:/s", boot=T + 90)
    assert caught.value.failure.code is Code.EXPIRED_ON_ARRIVAL
    assert caught.value.failure.message == "file:/s holds a token that expired 90 s ago by its own words"
    assert "canary" not in repr(caught.value)


def test_a_token_ends_where_its_login_is_known_to_end() -> None:
    """And not when a program should only be asked again."""
    token = Lifetime(since=T, until=T + 3600)
    assert bounded(token, Login(STORED, T, until=T + 60), boot=T).until == T + 60
    assert bounded(token, Login(STORED, T, until=T + 7200), boot=T).until == T + 3600
    assert bounded(token, Login(STORED, T, keep=240), boot=T).until == T + 3600
    assert bounded(Lifetime(since=T), Login(STORED, T, until=T + 60), boot=T).until == T + 60
    assert bounded(token, None, boot=T) == token


def test_both_clocks_must_agree_that_a_login_is_still_good() -> None:
    """A JWT names a moment of the wall clock, which may be set while the token is in memory."""
    token = Lifetime(since=T, until=T + 3600)
    for login in (Login(STORED, T, T + 600, None, 5600.0), Login(STORED, T, T + 600, 240.0, 5600.0)):
        for lifetime in (dressed(login, "n", boot=T), bounded(token, login, boot=T)):
            assert remaining(lifetime, T, wall=5000) > 0
            assert remaining(lifetime, T, wall=5601) <= 0
    both = Lifetime(since=T, until=T + 3600, wall_until=5500.0)
    assert bounded(both, Login(STORED, T, T + 600, None, 5600.0), boot=T).wall_until == 5500.0


def test_a_server_that_takes_a_login_knows_better_than_our_clock() -> None:
    """A clock that is six minutes ahead must not turn each new token into an expired one."""
    token = Lifetime(since=T, until=T + 3600)
    assert bounded(token, Login(STORED, T, until=T - 60), boot=T) == token


def test_a_login_that_never_ends_is_looked_up_again_all_the_same() -> None:
    """An issuer may name the year 9999: a new login has to be seen before."""
    assert again_at(Login(STORED, T, until=T + 1e12)) <= T + LONGEST


@pytest.mark.parametrize("sample", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("keep", [10.0, 240.0, 3600.0])
def test_a_renewal_always_finds_that_the_source_looks_again(keep: float, sample: float) -> None:
    """Otherwise it would get the old login again, once a second until that ends."""
    login = Login(STORED, T, keep=keep)
    lifetime = dressed(login, "n", boot=T)
    assert lifetime.until is not None
    assert lifetime.until - advisory(length(lifetime), sample) >= again_at(login)
