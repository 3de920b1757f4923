"""A blob on its way to the client, resumed if its registry breaks off.

A body of announced length is poured past the event loop; one of unknown length goes through it, piece by piece, and is
not resumed, because it is unknown what is missing.
"""

from collections.abc import Awaitable, Callable

import structlog

from credproxy.core.ask.retry_after import LONGEST_PAUSE, retry_after
from credproxy.core.checksum import Checksum, checksum
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.gateway.incoming import Headers
from credproxy.gateway.resume import ByteRange, again, continues, may_pass, misses
from credproxy.ports.clock import Clock
from credproxy.ports.transfer import Sink, Stopped, Transfer


RESUMES = 3
"""Times that one body is resumed (U15)."""

_PAUSE = 0.1
"""Seconds before the first resume; each later pause is four times as long, unless the registry asks for more."""

_HOW = {
    Stopped.UPSTREAM: "broke off",
    Stopped.SURPLUS: "sent more than it announced",
    Stopped.WRONG: "sent other bytes than the digest names, or than before",
}

log = structlog.get_logger("credproxy.gateway")


class Blob:
    """One body. Source: incoming.Stream.

    Args:
        transfer: the answer whose head the client gets.
        span: what that head promised; None if it cannot be resumed.
        reopen: repeats the request with these fields added, beginning at the registry.
        clock: waits before each resume.
        name: what messages call the upstream.
        digest: of the blob.
    """

    def __init__(
        self,
        transfer: Transfer,
        span: ByteRange | None,
        *,
        reopen: Callable[[Headers], Awaitable[Transfer]],
        clock: Clock,
        name: str,
        digest: str,
    ) -> None:
        self._transfer = transfer
        self._span = span
        self._reopen = reopen
        self._clock = clock
        self._name = name
        self._digest = digest
        self._check: Checksum | None = None
        self._whole = False
        self._asked_pause = 0.0
        self._last = ""
        self._tail = b""
        self._closed = False
        self.resumes = 0

    @property
    def length(self) -> int | None:
        """Bytes that the head announces."""
        return self._transfer.length if self._span is None else self._span.length

    def close(self) -> None:
        """End the transfer, wherever it is; it is not resumed."""
        self._closed = True
        self._transfer.close()

    async def send(self, sink: Sink) -> None:
        """Send the whole body, over as many transfers as allowed.

        Raises:
            Failed: it cannot be completed; upstream_unavailable, or why the rest cannot be had.
            ConnectionError: the client has left, or reads no more.
        """
        try:
            if self.length is None:
                while piece := await self._transfer.read():
                    await sink.write(piece)
            else:
                await self._poured(sink, self.length)
        finally:
            if self._closed:  # while another transfer was being opened, known only here
                self._transfer.close()

    async def _poured(self, sink: Sink, length: int) -> None:
        moved = 0
        while moved < length:
            poured = await self._transfer.pour(await sink.descriptor(), length - moved, check=self._check)
            moved += poured.moved
            if poured.moved:
                self._tail = self._transfer.tail
            if poured.stopped is Stopped.CLIENT:
                raise ConnectionResetError
            if poured.stopped is not Stopped.DONE:
                if poured.stopped is not Stopped.UPSTREAM or self._span is None:
                    raise self._broken(moved, poured.stopped)
                self._last = ""
                await self._resumed(self._span, moved)

    async def _resumed(self, span: ByteRange, moved: int) -> None:
        """Open the rest, with as many tries as are left. Raises Failed."""
        while True:
            self._check_client()
            if self.resumes == RESUMES:
                raise self._broken(moved)
            self._transfer.close()
            await self._clock.sleep(max(_PAUSE * 4.0**self.resumes, self._asked_pause))
            self._asked_pause = 0.0
            self.resumes += 1
            log.info("blob resumed", registry=self._name, moved=moved, length=span.length, resumes=self.resumes)
            try:
                self._transfer = await self._reopen(again(span, moved, whole=self._whole))
            except Failed as error:
                self._note(error.failure)
                continue
            self._check_client()
            if await self._goes_on(span, moved):
                return

    def _check_client(self) -> None:
        if self._closed:  # the client has left: nobody would read the rest
            raise ConnectionResetError

    def _note(self, failure: Failure) -> None:
        """Judge a failed try. Raises Failed if another one cannot help."""
        if not failure.may_pass or failure.unanswered:
            raise Failed(failure)
        self._last = f"failed: {failure.message}"
        self._asked_pause = min(failure.retry_after or 0.0, LONGEST_PAUSE)

    async def _goes_on(self, span: ByteRange, moved: int) -> bool:
        """Whether the new transfer continues where the old one broke off; False for another try. Raises Failed."""
        status, headers = self._transfer.status, self._transfer.headers
        if may_pass(status):
            self._last = f"was answered with status {status}"
            self._asked_pause = retry_after(headers, self._clock.wall()) or 0.0
            return False
        rest = continues(span, moved, status=status, headers=headers, length=self._transfer.length)
        # A digest covers all bytes without a content coding; a part of them proves nothing.
        self._check = None if rest is None or rest.told or span.coding else checksum(self._digest)
        if rest is None or not (rest.same or self._check):
            return self._otherwise(span, status, moved)
        if not rest.before:
            return True
        if self._check is not None:
            self._check.expect(rest.before - len(self._tail), self._tail)
        skipped = await self._transfer.skip(rest.before, self._check)
        if self._check is not None and self._check.differs:
            raise self._broken(moved, Stopped.WRONG)
        return skipped.stopped is Stopped.DONE

    def _otherwise(self, span: ByteRange, status: int, moved: int) -> bool:
        """Ask for the whole body next time, as the rest cannot be had. Raises Failed if that could not be verified either."""
        self._last = f"was answered with status {status}" + (", and not with the rest" if misses(status) else "")
        if self._whole or not misses(status) or span.coding or checksum(self._digest) is None:
            raise self._broken(moved)
        self._whole = True
        return False

    def _broken(self, moved: int, stopped: Stopped = Stopped.UPSTREAM) -> Failed:
        how = f"{_HOW[stopped]}, after {moved} of {self.length} bytes and {self.resumes} resumes"
        last = f"; the last one {self._last}" if self._last else ""
        return failed(Code.UPSTREAM_UNAVAILABLE, f"{self._name} {how}{last}", hint="run the build again")
