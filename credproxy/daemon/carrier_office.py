"""What the daemon answers carriers: policy, credentials, and what their process cannot look up. Source: daemon.carrier."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cachetools import LRUCache

from credproxy.adapters.certificate_files import certificate_files
from credproxy.adapters.tls_trust import ClientIdentity, anchors, identity, version
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.daemon.carrier_questions import Edition
from credproxy.gateway.authorizer import Passage
from credproxy.ports.clock import Clock
from credproxy.server.broker_authorizer import BrokerAuthorizer
from credproxy.server.narrow import NarrowAnswers
from credproxy.server.tcp_guard import TokenOf, shows


LOOK_UPS = 8
"""Threads that look up names: a name server that does not answer holds one for ten seconds."""

EDITIONS = 1024
"""Registries whose certificates are remembered."""

LOOK = 1.0
"""Seconds between two looks at their files."""

T = TypeVar("T")


class SystemOffice:
    """Answers all carriers.

    Args:
        authority: policy and broker.
        narrow: answers the JSON API.
        token: of the port.
        clock: judges how long a passage may be reused.
    """

    def __init__(self, authority: BrokerAuthorizer, narrow: NarrowAnswers, *, token: TokenOf, clock: Clock) -> None:
        self._authority = authority
        self._token = token
        self._clock = clock
        self._editions: LRUCache[tuple[Origin, Dial], tuple[float, Edition]] = LRUCache(EDITIONS)
        self._threads = ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="look-up")
        self.permit = authority.permit
        self.credential = authority.credential
        self.refused = authority.refused
        self.narrow = narrow.narrow

    def hold(self, passage: Passage) -> float:
        """As long as its answer may be repeated; never if each use has to be logged."""
        return max(0.0, self._authority.good_until(passage) - self._clock.boot())

    async def shows_token(self, authorization: str) -> bool:
        """Whether it shows the port's token. Raises Failed: none is configured, or it cannot be read."""
        return await shows(authorization, self._token)

    async def locate(self, host: str) -> tuple[tuple[int, str], ...]:
        """Ask the system's resolver."""
        return await self._thread(lambda: _addresses(host))

    async def edition(self, reach: Reach) -> Edition:
        """What a carrier is told of the certificates for a reach."""
        if not reach.dial.has_files:
            return Edition()
        key = reach.origin, reach.dial
        known = self._editions.get(key)
        if known is None or self._clock.boot() - known[0] >= LOOK:
            known = self._editions[key] = self._clock.boot(), await self._thread(lambda: edition_of(reach))
        return known[1]

    async def stamp(self, dial: Dial) -> int:
        """A number that changes with a policy's certificates."""
        return await self._thread(lambda: version(dial))

    async def identity(self, dial: Dial) -> ClientIdentity:
        """Read what connections under a policy are made with. Raises Failed."""
        return await self._thread(lambda: identity(dial))

    async def anchors(self, edition: str | None) -> bytes:
        """Read the system's certificates, and those of bundles. Raises Failed."""
        paths = () if edition is None else edition.partition("\0")[2].split("\0")
        return await self._thread(lambda: anchors(*paths))

    def close(self) -> None:
        """Stop beginning look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def edition_of(reach: Reach) -> Edition:
    """Name the files of a reach's policy as they are now; blocks. Raises Failed: a certificate of certs.d has no key."""
    dial = reach.dial
    found, stamp = certificate_files(dial), version(dial)
    bundle = "\0".join((str(stamp), *found.bundles)) if found.bundles else None
    shown = found.pair is not None and reach.origin.startswith("https:")
    return Edition(bundle, f"{stamp} {hash((reach.origin, dial))}" if shown else "")


def _addresses(host: str) -> tuple[tuple[int, str], ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple((int(family), str(address[0])) for family, _, _, _, address in found)
