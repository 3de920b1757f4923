"""Programs' answers about logins: remembered, renewed in time, and fetched once for all who wait.

Shared by the sources that start programs. No file shows that a program's answer would be different now, so two things
cause a new run: age, and an upstream that refuses what the program gave (``anew``).
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Hashable

from credproxy.core.ask.credential import Stored
from credproxy.core.ask.login import Login, again_at, login_of
from credproxy.core.errors import Failed, Failure
from credproxy.ports.clock import Clock


LOOK_AGAIN = 10.0
"""Seconds between two runs that refusals cause: a login without the needed permission is refused each time."""

NOTHING_KEEP = 10.0
"""Seconds that "there is no login" is remembered: a new login must be seen within ten."""

FAILURE_KEEP = 2.0
"""Seconds that a failure is remembered where a question for each URL leads to the same program."""

Printed = tuple[bytes, Stored | Login | None]
"""A program's output, and what it means: None for "there is no login", a Login if an issuer said when it ends."""


class ProgramAnswer:
    """The last answer of one program to one question.

    Args:
        keep: seconds after which what is derived from the answer must not be used any more.
        nothing_keep: seconds that "there is no login" is remembered.
        failure_keep: seconds that a failure is remembered while there is no login; 0 where the broker remembers it.
        key: random bytes of this process: outputs are compared by keyed digests, so none is kept for it.

    Attributes:
        count: rises when the program's output changes; part of the identity of its login.
    """

    def __init__(
        self,
        *,
        keep: float,
        key: bytes,
        clock: Clock,
        nothing_keep: float = NOTHING_KEEP,
        failure_keep: float = 0.0,
    ) -> None:
        self._keep = keep
        self._nothing_keep = nothing_keep
        self._failure_keep = failure_keep
        self._key = key
        self._clock = clock
        self._asking = asyncio.Lock()
        self._runs = self._flushes = 0
        self._again = float("-inf")
        self._doubted = self._failed_until = float("-inf")
        self._stamp: Hashable = None
        self._digest = b""
        self._login: Login | None = None
        self._failure: Failure | None = None
        self.count = 0

    @property
    def known(self) -> Login | None:
        """The login that the next question gets without a run; None if it would start the program."""
        return self._login if self._clock.boot() < self._again else None

    @property
    def nothing(self) -> bool:
        """Whether the program has just said that there is no login."""
        return self._login is None and self._clock.boot() < self._again

    async def login(self, run: Callable[[], Awaitable[Printed]], *, anew: bool, stamp: Hashable = None) -> Login | None:
        """Give the login; None if the program has none.

        Args:
            run: starts the program.
            stamp: of the file that names the program: ``docker login`` rewrites it after telling the store.
            anew: an upstream refused the last answer: run again, unless that was done within ten seconds.

        Raises:
            Failed: what ``run`` raises; all who waited for a run share its failure.
        """
        runs = self._runs
        async with self._asking:  # one run for forty repositories of one login
            flushes = self._flushes
            # A run that another login's question began tells nothing of this one.
            if (self._runs == runs or stamp != self._stamp) and self._due(anew=anew, stamp=stamp):
                await self._run(run)
            failed = self._runs != runs or self._clock.boot() < self._failed_until
            login, failure = self._login, self._failure if failed else None
            if flushes != self._flushes:  # while it ran: those who have asked since then are told what it says now
                self.forget()
                self._runs = runs
            if failure is not None:
                raise Failed(failure)
            return login

    def forget(self) -> None:
        """Make the next question start the program, also while one is running."""
        self._flushes += 1
        self._login = None
        self._again = self._doubted = self._failed_until = float("-inf")

    def _due(self, *, anew: bool, stamp: Hashable) -> bool:
        now = self._clock.boot()
        if stamp != self._stamp:
            self._stamp, self._login = stamp, None
            self._again = self._failed_until = float("-inf")
        if anew and now - self._doubted >= LOOK_AGAIN:
            self._doubted, self._again = now, float("-inf")
        return now >= max(self._again, self._failed_until)

    async def _run(self, run: Callable[[], Awaitable[Printed]]) -> None:
        since = self._clock.boot()
        try:
            output, stored = await run()
        except Failed as error:
            # One caller's refusal may have caused this run: for all others the login is as good as before.
            self._again = float("-inf") if self._login is None else again_at(self._login)
            self._failure = error.failure
            if self._login is None:
                self._failed_until = self._clock.boot() + self._failure_keep
            self._runs += 1  # not if a flight was cancelled: the next waiter then starts the program itself
            return
        now, self._failure = self._clock.boot(), None
        self._runs += 1
        digest = hmac.digest(self._key, output, hashlib.sha256)
        self.count += bool(self._digest) and digest != self._digest
        self._digest = digest
        if stored is None:
            self._login, self._again = None, now + self._nothing_keep
            return
        if not isinstance(stored, Login):
            stored = login_of(stored, since=since, boot=now, wall=self._clock.wall(), keep=self._keep)
        self._login, self._again = stored, again_at(stored)
