"""What is sent with a request, by which time, and whose fault it is where that ends early.

aiohttp blames the network for a client that breaks off, and waits for ever for a server that takes no more.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from credproxy.core.errors import Failed, Failure


class Upload:
    """A body on its way.

    Args:
        limit: ends the request.
        taken: seconds in which the other side has to take each piece.
        answer: seconds in which its answer has to begin, once all was sent.

    Attributes:
        failure: of the source of the pieces; None while there is none.
        sent: all of it has been given to the other side.
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
        """Give the body to send; one that is there already is sent within the seconds for connecting."""
        if body is None or isinstance(body, bytes):
            self._wait_for_answer(connecting)
            return body
        return self._pieces(body)

    def answered(self) -> None:
        """The answer has begun: it has limits of its own."""
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
