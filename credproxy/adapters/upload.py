"""The body of a request, its time limits, and whose fault it is if it ends early.

aiohttp blames the network for a client that breaks off, and waits for ever for a server that reads no more.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from credproxy.core.errors import Failed, Failure


class Upload:
    """A body that is being sent.

    Args:
        limit: the time-out that ends the request.
        taken: seconds within which the other side has to take each piece.
        answer: seconds within which its answer has to begin, once everything was sent.

    Attributes:
        failure: raised by the source of the pieces; None if there was none.
        sent: the whole body has been given to the other side.
    """

    def __init__(self, limit: asyncio.Timeout, *, taken: float, answer: float) -> None:
        self._limit = limit
        self._taken = taken
        self._answer = answer
        self._answered = False
        self.failure: Failure | None = None
        self.sent = False

    def begun(
        self, body: AsyncIterable[bytes] | bytes | None, connecting: float
    ) -> AsyncIterable[bytes] | bytes | None:
        """Give the body to send; a complete one is sent within the seconds for connecting."""
        if body is None or isinstance(body, bytes):
            self._wait_for_answer(connecting)
            return body
        return self._pieces(body)

    def answered(self) -> None:
        """Note that the answer has begun: it has its own limits."""
        self._answered = True
        self._limit.reschedule(None)

    async def _pieces(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in body:
                self._limit.reschedule(asyncio.get_running_loop().time() + self._taken)
                yield piece
                self._limit.reschedule(None)
        except Failed as error:
            self.failure = error.failure
            raise
        if not self._answered:
            self._wait_for_answer(0)

    def _wait_for_answer(self, before: float) -> None:
        self.sent = True
        self._limit.reschedule(asyncio.get_running_loop().time() + before + self._answer)
