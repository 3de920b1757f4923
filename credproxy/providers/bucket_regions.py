"""The regions of buckets whose host does not name one: each is asked once, however many of its objects are waiting."""

import asyncio
from typing import Final

from cachetools import LRUCache

from credproxy.core.ask.http import Dial
from credproxy.exchange.bucket_region import USUAL, bucket_region
from credproxy.ports.http_client import HttpClient, converse
from credproxy.ports.terms import Terms


_MOST: Final = 1024


class BucketRegions:
    """What buckets said.

    Args:
        http: asks them.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._known: LRUCache[str, str] = LRUCache(_MOST)
        self._flushes = 0
        self._asking: LRUCache[str, asyncio.Lock] = LRUCache(_MOST)

    def known(self, url: str) -> str | None:
        """What a bucket has said; None if it has to be asked."""
        return self._known.get(url) if url else USUAL

    async def region(self, url: str, *, dial: Dial, subject: str, terms: Terms) -> str:
        """Give the region of a bucket; the usual one if ``url`` is "". Arguments, and what is raised, as in ``exchange.bucket_region``."""
        known = self.known(url)
        if known is not None:
            return known
        lock = self._asking.setdefault(url, asyncio.Lock())
        async with lock:
            while (known := self.known(url)) is None:  # once more where a flush came meanwhile
                flushes = self._flushes
                told = await converse(bucket_region(url, dial=dial, subject=subject), self._http, terms=terms)
                if flushes == self._flushes:
                    self._known[url] = told
            return known

    def forget(self) -> None:
        """Ask again."""
        self._flushes += 1
        self._known.clear()
