"""A blob on its way to the client, resumed where its registry breaks off.

A body of announced length is poured past the event loop; one of unknown length goes through it, piece by piece, and is
not resumed, because nobody can say what would be missing.
"""

from collections.abc import Awaitable, Callable

import structlog

from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway.asked import Headers
from credproxy.gateway.resume import Span, again, continues
from credproxy.ports import Clock, Poured, Sink, Stopped, Transfer


RESUMES = 3
"""Times that one body is resumed (U15)."""

_PAUSE = 0.1
"""Seconds before the first of them; each later pause is four times as long."""

log = structlog.get_logger("credproxy.gateway")


class Blob:
    """One body. Source: asked.Stream.

    Args:
        transfer: the answer whose head the client gets.
        span: what that promised; None where it cannot be resumed.
        reopen: asks once more with these fields added, from the registry on.
        clock: waits before each resume.
        name: of the registry, for messages.
    """

    def __init__(
        self,
        transfer: Transfer,
        span: Span | None,
        reopen: Callable[[Headers], Awaitable[Transfer]],
        *,
        clock: Clock,
        name: str,
    ) -> None:
        self._transfer = transfer
        self._span = span
        self._reopen = reopen
        self._clock = clock
        self._name = name
        self.resumes = 0

    @property
    def length(self) -> int | None:
        """Bytes that the head announces."""
        return self._transfer.length if self._span is None else self._span.length

    def close(self) -> None:
        """End the transfer, wherever it is."""
        self._transfer.close()

    async def send(self, sink: Sink) -> None:
        """Send it whole, over as many transfers as allowed.

        Raises:
            Failed(upstream_unavailable): it cannot be completed.
            ConnectionError: the client has left, or takes nothing any more.
        """
        if self.length is None:
            while piece := await self._transfer.read():
                await sink.write(piece)
            return
        moved = 0
        while moved < self.length:
            poured = await self._transfer.pour(await sink.descriptor(), self.length - moved)
            moved += poured.moved
            if poured.stopped is Stopped.CLIENT:
                raise ConnectionResetError
            if poured.stopped is not Stopped.DONE:
                await self._resumed(moved, poured)

    async def _resumed(self, moved: int, poured: Poured) -> None:
        while not await self._resume(moved, poured):
            pass

    async def _resume(self, moved: int, poured: Poured) -> bool:
        """Open the rest; False where that failed in a way that may pass. Raises Failed where it must not go on."""
        span = self._span
        if span is None or poured.stopped is Stopped.SURPLUS or self.resumes == RESUMES:
            raise self._broken(moved, poured)
        self._transfer.close()
        await self._clock.sleep(_PAUSE * 4.0**self.resumes)
        self.resumes += 1
        log.info("blob resumed", registry=self._name, moved=moved, length=span.length, resumes=self.resumes)
        try:
            self._transfer = await self._reopen(again(span, moved))
        except Failed as error:
            if error.failure.code is not Code.UPSTREAM_UNAVAILABLE:
                raise
            return False
        before = continues(span, moved, self._transfer.status, self._transfer.headers, self._transfer.length)
        if before is None:
            raise self._broken(moved, poured)
        return before == 0 or (await self._transfer.skip(before)).stopped is Stopped.DONE

    def _broken(self, moved: int, poured: Poured) -> Failed:
        how = "sent more than it announced" if poured.stopped is Stopped.SURPLUS else "broke off"
        message = f"registry {self._name!r} {how}, after {moved} of {self.length} bytes and {self.resumes} resumes"
        return failed(Code.UPSTREAM_UNAVAILABLE, message, "run the build again")
