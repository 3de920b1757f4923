"""Queries of next pages that were handed out: each is accepted when it comes back.

A registry names the next page with parameters of its own (``next_page``, ``continuationToken``, ``last``), which a client
sends back as they are. Those that many registries use are known by name (wanted.py); any other one is accepted from the
user that it was handed to, for the list that it belongs to. A query that an action invents is still refused.
"""

import hashlib
from typing import NamedTuple
from urllib.parse import parse_qsl

from cachetools import LRUCache

from credproxy.core.ask.names import Authority


MOST = 4096
"""Pages that are remembered; the least recently used one is dropped first."""


class Listing(NamedTuple):
    """A list, as one user sees it."""

    uid: int
    registry: Authority
    path: str


class Pages:
    """Queries by list, as digests."""

    def __init__(self) -> None:
        self._known: LRUCache[tuple[Listing, bytes], None] = LRUCache(MOST)

    def hand_out(self, listing: Listing, query: str) -> None:
        """Remember a query."""
        self._known[listing, _digest(query)] = None

    def handed_out(self, listing: Listing, query: str) -> bool:
        """True for a query that was handed out for this list to this user."""
        return (listing, _digest(query)) in self._known


def _digest(query: str) -> bytes:
    # Some clients rewrite a query, in another order and with other escapes: its meaning counts.
    fields = sorted(parse_qsl(query, keep_blank_values=True))
    return hashlib.sha256(repr(fields).encode("utf-8", "surrogateescape")).digest()
