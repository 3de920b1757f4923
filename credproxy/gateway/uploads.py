"""Upload sessions: the client is given an id of ours, and the registry's own place stays here.

A registry names the next request of an upload by any URL it likes, with its state in the query, on another host even. An
id keeps all that from the client: nothing can be forged into it, and it needs no rule of its own about where an upload
may go. A session belongs to the user, the sandbox, the registry and the repository that it was begun with: one push is the
work of one process, and no sandbox can use or end another's.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.errors import Code, failed
from credproxy.gateway.redirect import Hop
from credproxy.ports import Clock


MOST = 1024
"""Sessions that are remembered, of all callers together."""

SHARE = 64
"""Sessions of one sandbox, or of one user outside any."""

RESTED = 3600.0
"""Seconds without a request after which a session gives way to others."""

_RETRY_AFTER = 60.0


class Owner(NamedTuple):
    """Who may go on with a session."""

    uid: int
    sandbox: str | None
    registry: Authority
    repository: RepositoryName

    @property
    def caller(self) -> tuple[int, str | None]:
        """Whose share it counts for."""
        return self.uid, self.sandbox


class _UploadSession(NamedTuple):
    place: Hop
    used: float


class Uploads:
    """Sessions by id. A young one is never ended for another.

    Args:
        token: draws an id that nobody can guess, of characters that a path may hold.
        clock: tells how long a session rested.
    """

    def __init__(self, token: Callable[[], str], clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._sessions: dict[tuple[Owner, str], _UploadSession] = {}  # the one that rested longest comes first
        self._shares: Counter[tuple[int, str | None]] = Counter()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def admit(self, owner: Owner) -> None:
        """Say whether one more may be begun, before its registry is asked.

        Raises:
            Failed(overloaded): the caller, or all callers together, have as many as may be.
        """
        if self._full(owner):
            self._sweep()
        if self._shares[owner.caller] >= SHARE:
            message = f"{SHARE} uploads of this caller have begun and not ended"
            raise failed(Code.OVERLOADED, message, hint="end some of them, then ask again", retry_after=_RETRY_AFTER)
        if len(self._sessions) >= MOST:
            message = f"{MOST} uploads of all callers have begun and not ended"
            raise failed(Code.OVERLOADED, message, hint="ask again later", retry_after=_RETRY_AFTER)

    def begin(self, owner: Owner, place: Hop) -> str:
        """Remember where an upload goes on; give its id. Raises as ``admit``: others may have begun since."""
        self.admit(owner)
        session = self._token()
        self._put(owner, session, place)
        return session

    def place(self, owner: Owner, session: str) -> Hop:
        """Where it goes on. Raises Failed(not_found) for an id that is not known, or not for this owner."""
        found = self._sessions.get((owner, session))
        if found is None:
            message = "this upload is not known: it has ended, or credproxy was restarted"
            raise failed(Code.NOT_FOUND, message, hint="begin it anew")
        self._put(owner, session, found.place)
        return found.place

    def move(self, owner: Owner, session: str, *, place: Hop) -> None:
        """Note the next place of one that has not ended meanwhile."""
        if (owner, session) in self._sessions:
            self._put(owner, session, place)

    def end(self, owner: Owner, session: str) -> None:
        """Forget it."""
        if self._sessions.pop((owner, session), None) is None:
            return
        self._shares[owner.caller] -= 1
        if not self._shares[owner.caller]:
            del self._shares[owner.caller]

    def _put(self, owner: Owner, session: str, place: Hop) -> None:
        self.end(owner, session)
        self._sessions[owner, session] = _UploadSession(place, self._clock.boot())
        self._shares[owner.caller] += 1

    def _full(self, owner: Owner) -> bool:
        return self._shares[owner.caller] >= SHARE or len(self._sessions) >= MOST

    def _sweep(self) -> None:
        before = self._clock.boot() - RESTED
        while self._sessions:
            (owner, session), oldest = next(iter(self._sessions.items()))
            if oldest.used > before:
                return
            self.end(owner, session)
