"""Who may have how many of the pump's places: one caller that takes its bytes slowly keeps its place for days."""

import asyncio

from credproxy.adapters.named_semaphores import NamedSemaphores, acquired
from credproxy.core.errors import Code, Failed, failed


class PumpPlaces:
    """The places, and how they are divided; waits in the order of requests.

    An account has a quarter, all accounts together three quarters; the rest is the user's own. One registry has half of
    all of that at most, wherever its redirects lead, so that downloads from others go on.

    Args:
        most: places.
        wait: seconds for one.
    """

    def __init__(self, most: int, *, wait: float) -> None:
        half = max(1, most // 2)
        self._most = most
        self._wait = wait
        self._of_account = NamedSemaphores(max(1, most // 4))
        self._of_accounts = NamedSemaphores(max(1, most - most // 4))
        self._of_registry = NamedSemaphores(half)
        self._of_accounts_at_registry = NamedSemaphores(max(1, half - half // 4))
        self._places = asyncio.Semaphore(most)

    async def take(self, registry: str, account: str | None) -> None:
        """Take one, until ``give_back``.

        Args:
            registry: that the request is for.
            account: whose it is; None for the user's own.

        Raises:
            Failed(overloaded): none became free in time.
        """
        until = asyncio.get_running_loop().time() + self._wait
        held: list[tuple[NamedSemaphores, str]] = []
        try:
            # The caller's own first: while it waits for that it holds nothing that others need.
            for shares, name, whose in self._shares(registry, account):
                await self._taken(shares, name, until=until, whose=whose)
                held.append((shares, name))
            try:
                await acquired(self._places, self._left(until))
            except TimeoutError:
                raise self._full(self._most, "") from None
        except BaseException:  # also when cancelled
            for shares, name in held:
                shares.give_back(name)
            raise

    def give_back(self, registry: str, account: str | None) -> None:
        """End one ``take``."""
        self._places.release()
        for shares, name, _ in self._shares(registry, account):
            shares.give_back(name)

    def _shares(self, registry: str, account: str | None) -> list[tuple[NamedSemaphores, str, str]]:
        of_registry = (self._of_registry, registry, f"from {registry!r} ")
        if account is None:
            return [of_registry]
        return [
            (self._of_account, account, "of this sandbox or user "),
            (self._of_accounts_at_registry, registry, f"of sandboxes from {registry!r} "),
            (self._of_accounts, "", "of sandboxes "),
            of_registry,
        ]

    async def _taken(self, shares: NamedSemaphores, name: str, *, until: float, whose: str) -> None:
        try:
            await shares.take(name, self._left(until))
        except TimeoutError:
            raise self._full(shares.most, whose) from None

    def _left(self, until: float) -> float:
        return max(0.0, until - asyncio.get_running_loop().time())

    def _full(self, most: int, whose: str) -> Failed:
        message = f"{most} downloads {whose}are running, and none has ended for {self._wait:g} s"
        return failed(Code.OVERLOADED, message, hint="ask again, with fewer --jobs", retry_after=1.0)
