"""How many connections each account holds on a listener that passes them on, whatever carriers report or omit."""

from hypothesis import given, strategies as st

from credproxy.server.accounts import PENDING, Accounts


LIMIT = 16


def test_an_account_has_a_quarter_and_lets_its_own_go_beyond_it() -> None:
    """Until they are gone there are a few more; an account without idle ones gets no more."""
    accounts = Accounts(LIMIT)
    for _ in range(4):
        assert accounts.arrive("a") == (True, None)
    verdict = accounts.arrive("a")
    assert (verdict.admitted, verdict.spare) == (True, ("a",))
    assert (accounts.open, accounts.held()) == (5, {"a": 4})
    accounts.leave("a")
    assert (accounts.open, accounts.held()) == (4, {"a": 4})
    for _ in range(PENDING):
        assert accounts.arrive("a").admitted
    assert not accounts.arrive("a").admitted
    assert bool(accounts.behind) is True
    for _ in range(PENDING):
        accounts.kept("a")
    assert bool(accounts.behind) is False
    assert accounts.held()["a"] == 4 + PENDING


def test_all_accounts_leave_a_quarter_to_the_user() -> None:
    """And the largest one gives way to a newcomer, but never to one with as many."""
    accounts = Accounts(LIMIT)
    for name in ("a", "a", "a", "a", "b", "b", "b", "b", "c", "c", "c", "c"):
        assert accounts.arrive(name) == (True, None)
    assert accounts.arrive("d") == (True, ("a",))
    for _ in range(4):
        assert accounts.arrive(None) == (True, None)
    assert not accounts.arrive(None).admitted  # no account has more than the user


def test_a_connection_that_has_proven_its_account_counts_there() -> None:
    """A connection of the port, once its token was shown."""
    accounts = Accounts(LIMIT)
    accounts.arrive("unproven")
    accounts.move("unproven", None)
    assert accounts.held() == {"": 1}
    accounts.leave(None)
    assert accounts.open == 0


def test_connections_that_are_all_busy_bound_the_newcomers_of_others() -> None:
    """However many sandboxes come, busy connections are not closed for them."""
    accounts = Accounts(LIMIT)
    for name in ("a", "b", "c"):
        for _ in range(4):
            accounts.arrive(name)
    for number in range(10 * PENDING):
        verdict = accounts.arrive(f"sandbox {number}")
        if verdict.spare is not None:
            accounts.kept(verdict.spare[0])
    assert accounts.open <= LIMIT + PENDING


@given(st.lists(st.tuples(st.sampled_from(["arrive", "leave", "kept"]), st.sampled_from(["a", "b", "c", None]))))
def test_the_counts_are_those_of_the_connections(steps: list[tuple[str, str | None]]) -> None:
    """For any events in any order: the open connections are those that arrived and did not leave, and the limit is kept."""
    accounts = Accounts(LIMIT)
    there: dict[str | None, int] = {}
    for step, account in steps:
        if step == "arrive" and accounts.arrive(account).admitted:
            there[account] = there.get(account, 0) + 1
        elif step == "leave" and there.get(account):
            accounts.leave(account)
            there[account] -= 1
        elif step == "kept":
            accounts.kept(account)
        assert accounts.open == sum(there.values()) <= LIMIT + PENDING
        assert all(count >= 0 for count in accounts.held().values())
