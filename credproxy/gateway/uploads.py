"""Upload sessions: the client is given an id of ours, and the registry's own place stays here.

A registry names the next request of an upload by any URL it likes, with its state in the query, on another host even. An
id keeps all that from the client: nothing can be forged into it, and it needs no rule of its own about where an upload
may go. A session belongs to the user, the registry and the repository that it was begun with.
"""

from collections.abc import Callable
from typing import NamedTuple

from cachetools import LRUCache

from credproxy.core.errors import Code, failed
from credproxy.gateway.redirect import Hop


MOST = 1024
"""Sessions that are remembered; the one that rested longest goes first."""


class Owner(NamedTuple):
    """Who may go on with a session."""

    uid: int
    registry: str
    repository: str


class Uploads:
    """Sessions by id.

    Args:
        token: draws an id that nobody can guess, of characters that a path may hold.
    """

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token
        self._places: LRUCache[tuple[Owner, str], Hop] = LRUCache(MOST)

    def begin(self, owner: Owner, place: Hop) -> str:
        """Remember where an upload goes on; give its id."""
        session = self._token()
        self._places[owner, session] = place
        return session

    def place(self, owner: Owner, session: str) -> Hop:
        """Where it goes on. Raises Failed(not_found) for an id that is not known, or not for this owner."""
        try:
            return self._places[owner, session]
        except KeyError:
            message = "this upload is not known: it has ended, or credproxy was restarted"
            raise failed(Code.NOT_FOUND, message, "begin it anew") from None

    def move(self, owner: Owner, session: str, place: Hop) -> None:
        """Note the next place."""
        self._places[owner, session] = place

    def end(self, owner: Owner, session: str) -> None:
        """Forget it."""
        self._places.pop((owner, session), None)
