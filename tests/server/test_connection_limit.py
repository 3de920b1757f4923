"""T3, T16: how many connections each holder has, and which one is closed for a newcomer."""

from hypothesis import given, strategies as st

from credproxy.server.connection_limit import OWN, ConnectionLimit, Holder


A, B, C, D = (Holder(name) for name in "abcd")


def crowded(holder: Holder, count: int, shares: ConnectionLimit[object]) -> list[str]:
    """So many connections of that holder; gives their names."""
    names = [f"{holder.name or 'own'}{number}" for number in range(count)]
    for name in names:
        assert shares.arrive(name, holder).admitted
    return names


def test_a_sandbox_has_a_quarter_and_its_own_oldest_silent_connection_ends_for_more() -> None:
    """No other holder loses one."""
    shares: ConnectionLimit[object] = ConnectionLimit(16)
    crowded(B, 1, shares)
    crowded(A, 4, shares)
    assert shares.arrive("a4", A) == (True, "a0")
    assert shares.held() == {"a": 4, "b": 1}


def test_a_connection_with_a_request_under_way_is_not_ended() -> None:
    """The newcomer of a holder that has no silent one is dropped, and let in again when a request has ended."""
    shares: ConnectionLimit[object] = ConnectionLimit(16)
    for name in crowded(A, 4, shares):
        shares.begin(name)
    assert shares.arrive("late", A) == (False, None)
    shares.end("a2")
    assert shares.arrive("later", A) == (True, "a2")


def test_the_longest_silent_connection_is_closed_and_dripping_bytes_does_not_help() -> None:
    """Age counts from the end of the last request; reporting silence again changes nothing."""
    shares: ConnectionLimit[object] = ConnectionLimit(16)
    crowded(A, 4, shares)
    shares.begin("a0")
    shares.end("a0")
    shares.end("a1")
    assert [shares.arrive(f"new{number}", A).ended for number in range(4)] == ["a1", "a2", "a3", "a0"]


def test_all_sandboxes_together_leave_a_quarter_to_the_user() -> None:
    """The largest of them gives a place to a fourth one, and the user's processes have the rest without ending any."""
    shares: ConnectionLimit[object] = ConnectionLimit(16)
    for holder in (A, B, C):
        crowded(holder, 4, shares)
    assert shares.arrive("d0", D) == (True, "a0")
    assert [shares.arrive(f"own{number}", OWN) for number in range(4)] == [(True, None)] * 4
    assert shares.open == 16


def test_an_account_does_not_displace_one_with_as_few_connections() -> None:
    """Otherwise many holders of one connection each could end one another's without end."""
    shares: ConnectionLimit[object] = ConnectionLimit(8, share=2, pool=6)
    for number in range(6):
        shares.arrive(number, Holder(str(number)))
    assert shares.arrive("new", A).ended is not None, "a holder with none takes one from a holder with one"
    shares.begin("new")
    assert shares.arrive("another", A).ended is None, "a holder with one takes none from holders with one"


def test_a_proof_moves_a_connection_to_its_holder_with_its_silence() -> None:
    """A place among those without a token is free again."""
    shares: ConnectionLimit[object] = ConnectionLimit(16)
    crowded(A, 4, shares)
    shares.begin("a0")
    shares.move("a0", OWN)
    shares.move("a1", OWN)
    assert shares.held() == {"a": 2, "": 2}
    assert [shares.arrive(f"x{number}", A).ended for number in range(3)] == [None, None, "a2"]


def test_what_has_left_is_forgotten_and_may_be_spoken_of() -> None:
    """A connection that ended for another one is closed a little later, and so leaves twice."""
    shares: ConnectionLimit[object] = ConnectionLimit(4)
    shares.arrive("a", A)
    for tell in (shares.leave, shares.leave, shares.begin, shares.end):
        tell("a")
    shares.move("a", OWN)
    assert (shares.open, shares.held()) == (0, {})


STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "begin", "end", "move", "leave"]), st.integers(0, 40), st.integers(0, 6)),
    max_size=200,
)


class Model:
    """The shares, and a simple record of the events."""

    def __init__(self, limit: int) -> None:
        self.shares: ConnectionLimit[int] = ConnectionLimit(limit)
        self.known: dict[int, Holder] = {}
        self.busy: set[int] = set()

    def arrive(self, key: int, holder: Holder) -> None:
        """A closed connection was silent, and its holder had more than the newcomer's, or is the same."""
        if key in self.known:
            return
        before = self.shares.held()
        admitted, ended = self.shares.arrive(key, holder)
        if ended is not None:
            assert (admitted, ended in self.busy) == (True, False)
            loser = self.known.pop(ended)
            assert loser == holder or before[loser.name] > before.get(holder.name, 0)
        if admitted:
            self.known[key] = holder

    def tell(self, what: str, key: int) -> None:
        """Of a request, a proof or a departure."""
        if what == "begin":
            self.shares.begin(key)
            self.busy |= {key} & set(self.known)
        elif what == "end":
            self.shares.end(key)
            self.busy.discard(key)
        elif what == "move":
            self.shares.move(key, OWN)
            self.known |= dict.fromkeys({key} & set(self.known), OWN)
        else:
            self.shares.leave(key)
            self.known.pop(key, None)
            self.busy.discard(key)

    def check(self) -> None:
        """No limit is exceeded."""
        bound = [count for name, count in self.shares.held().items() if name]
        assert self.shares.open == len(self.known) <= self.shares.limit
        assert sum(bound) <= self.shares.pool
        assert max(bound, default=0) <= self.shares.share


@given(steps=STEPS, limit=st.integers(1, 24))
def test_no_limit_is_exceeded_and_no_active_connection_is_closed(steps: list[tuple[str, int, int]], limit: int) -> None:
    """In any order of events."""
    model = Model(limit)
    for what, key, number in steps:
        if what == "arrive":
            model.arrive(key, Holder(str(number)) if number else OWN)
        else:
            model.tell(what, key)
        model.check()


def test_a_holder_may_have_less_than_a_share() -> None:
    """Those that are refused; the one that has been silent longest gives way, and others are not affected."""
    shares: ConnectionLimit[object] = ConnectionLimit(100)
    few = Holder("few", most=2)
    crowded(few, 2, shares)
    assert shares.arrive("late", few) == (True, "few0")
    crowded(A, 25, shares)
    assert shares.held() == {"few": 2, "a": 25}
