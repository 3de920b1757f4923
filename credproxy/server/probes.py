"""Probes of the gate that the daemon's own user has announced: ``doctor`` checks that a sandbox is refused.

A mark chosen by a refused caller would let an intruder hide. So the mark is announced first, on a connection that the
gate has admitted, and each mark covers one refusal.
"""

from collections import deque

from aiohttp import web

from credproxy.server.responses import text_response


HEADER = "X-Credproxy-Probe"
_MOST = 4
_SHORTEST, _LONGEST = 16, 64
"""Characters of a mark: too many to guess, and few enough to keep."""


class Probes:
    """Marks that were announced but not yet used."""

    def __init__(self) -> None:
        self._marks: deque[str] = deque(maxlen=_MOST)

    async def healthz(self, request: web.BaseRequest) -> web.Response:
        """Answer ``ok`` to an admitted caller, and keep its mark."""
        mark = request.headers.get(HEADER, "")
        if _SHORTEST <= len(mark) <= _LONGEST:
            self._marks.append(mark)
        return text_response("ok\n")

    def expected(self, request: web.BaseRequest) -> bool:
        """Whether a refused request has a mark; that uses it up."""
        mark = request.headers.get(HEADER, "")
        if mark not in self._marks:
            return False
        self._marks.remove(mark)
        return True
