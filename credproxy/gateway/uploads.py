"""Upload sessions: the client gets an id of ours, and the registry's own URL stays here.

A registry names the next request of an upload by any URL, with its state in the query, even on another host. An
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
from credproxy.ports.clock import Clock


MOST = 1024
"""Sessions that are remembered for all callers together."""

SHARE = 64
"""Sessions of one sandbox, or of one user outside any."""

RESTED = 3600.0
"""Seconds without a request after which a session may be dropped for others."""

_RETRY_AFTER = 60.0


class Owner(NamedTuple):
    """Who may continue a session, and for which repository."""

    uid: int
    sandbox: str | None
    registry: Authority
    repository: RepositoryName

    @property
    def caller(self) -> tuple[int, str | None]:
        """The caller whose share it counts on."""
        return self.uid, self.sandbox


class _UploadSession(NamedTuple):
    place: Hop
    used: float


class Uploads:
    """Sessions by id. A recently used one is never ended for another.

    Args:
        token: generates an unguessable id, of characters that are allowed in a path.
        clock: tells how long a session was idle.
    """

    def __init__(self, token: Callable[[], str], clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._sessions: dict[tuple[Owner, str], _UploadSession] = {}  # the one that was idle longest comes first
        self._shares: Counter[tuple[int, str | None]] = Counter()

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def admit(self, owner: Owner) -> None:
        """Check whether one more may be begun, before its registry is asked.

        Raises:
            Failed(overloaded): the caller, or all callers together, have as many as allowed.
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
        """Remember where an upload continues; give its id. Raises the same as ``admit``: others may have begun since."""
        self.admit(owner)
        session = self._token()
        self._put(owner, session, place)
        return session

    def place(self, owner: Owner, session: str) -> Hop:
        """Where an upload continues. Raises Failed(not_found) for an unknown id, or one of another owner."""
        found = self._sessions.get((owner, session))
        if found is None:
            message = "this upload is not known: it has ended, or credproxy was restarted"
            raise failed(Code.NOT_FOUND, message, hint="begin it again")
        self._put(owner, session, found.place)
        return found.place

    def move(self, owner: Owner, session: str, *, place: Hop) -> None:
        """Note the next URL of a session that has not ended meanwhile."""
        if (owner, session) in self._sessions:
            self._put(owner, session, place)

    def end(self, owner: Owner, session: str) -> None:
        """Forget a session."""
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
