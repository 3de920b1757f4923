"""One request on its way to a registry: with its credential, once more where that was refused, along redirects.

Who refused decides what follows. A 401 of the registry drops the credential that it does not take. A refusal of a storage
host says nothing about that credential: the place that the registry named has run out mostly, and a new one is asked for.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog

from credproxy.broker.broker import Broker, Carriage
from credproxy.core.credential import Origin
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import Method, Request
from credproxy.core.target import Form, Question, Target
from credproxy.gateway import redirect
from credproxy.gateway.asked import Answer, Caller, Headers, values
from credproxy.gateway.redirect import Hop
from credproxy.gateway.wanted import Wanted


_FORBIDDEN = 403
_REFUSED = frozenset({401, _FORBIDDEN})

_RUN_OUT = frozenset({400, 401, 403, 404, 410})
"""What storage hosts say of a signed URL whose time is over: 403 S3, Google and Azure, 400 and 401 some of their like, 404
and 410 those that forget it."""


log = structlog.get_logger("credproxy.gateway")


class Head(Protocol):
    """What is looked at of an answer on the way."""

    @property
    def status(self) -> int:
        """Of the response."""
        ...

    @property
    def headers(self) -> Headers:
        """Of the response."""
        ...


H = TypeVar("H", bound=Head)


class Landed(NamedTuple, Generic[H]):
    """An answer, and the request that it answers: the last one on the way."""

    answer: H
    hop: Hop


class Road:
    """Sends what policy has allowed.

    Args:
        broker: gives credentials, and hears which of them were refused.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def travel(
        self,
        wanted: Wanted,
        caller: Caller,
        patience: float,
        send: Callable[[Carriage], Awaitable[Landed[H]]],
        *,
        repeatable: bool = True,
    ) -> tuple[Landed[H], Carriage]:
        """Send with a credential; where the registry refuses it, drop it and try another one, once.

        Where no other one is to be had, the refusal stands: the same login is not sent twice.

        Args:
            wanted: what is asked, allowed by policy.
            caller: of the gateway.
            patience: seconds for a credential.
            send: sends the request; called once more after a refusal.
            repeatable: it may be; False for a body that was streamed.

        Raises:
            Failed: no credential where there should be one; what ``send`` raises.
        """
        question = self._question(wanted, caller)
        carriage = await self._broker.carry(question, patience)
        landed = await send(carriage)
        status = landed.answer.status
        refused = landed.hop.own and status in _REFUSED
        if not refused or not self._broker.reject(carriage.handout, forbidden=status == _FORBIDDEN):
            return landed, carriage
        try:
            newer = await self._broker.carry(question, patience)
        except Failed:
            if status != _FORBIDDEN:
                raise
            return landed, carriage  # what the registry said of the login is the better answer
        if newer.handout.headers == carriage.handout.headers:
            return landed, carriage
        if not repeatable:
            message = f"registry {wanted.registry!r} no longer takes its token, and the upload cannot be sent twice"
            raise failed(Code.UPSTREAM_UNAVAILABLE, message, "try again: there will be a new one")
        return await send(newer), newer

    async def follow(
        self,
        wanted: Wanted,
        carriage: Carriage,
        start: Hop,
        headers: Headers,
        ask: Callable[[Request], Awaitable[H]],
    ) -> Landed[H]:
        """Send a GET or HEAD and follow where its answers lead; the credential goes to the registry alone.

        Where the place has run out to which the registry led, the registry is asked for another one, once.

        Args:
            wanted: what is asked.
            carriage: the credential.
            start: the registry.
            headers: the client's, as far as they pass.
            ask: sends one request; what it gives needs no closing where its status is not 200 or 206.

        Raises:
            Failed: redirect_refused, downgrade; what ``ask`` raises.
        """
        landed = await self._along(wanted, carriage, start, headers, ask)
        if not landed.hop.own and landed.answer.status in _RUN_OUT:
            log.info("place ran out", registry=wanted.registry, status=landed.answer.status)
            return await self._along(wanted, carriage, start, headers, ask)
        return landed

    async def _along(
        self,
        wanted: Wanted,
        carriage: Carriage,
        start: Hop,
        headers: Headers,
        ask: Callable[[Request], Awaitable[H]],
    ) -> Landed[H]:
        hop = start
        for _ in range(redirect.MOST + 1):
            answer = await ask(request(wanted.method, hop, headers, carriage))
            place = values(answer.headers, "Location")
            if answer.status not in redirect.STATUSES or not place:
                return Landed(answer, hop)
            hop = redirect.follow(hop, place[0], carriage.reach, wanted)
        message = f"registry {wanted.registry!r} redirects more than {redirect.MOST} times"
        raise failed(Code.REDIRECT_REFUSED, message, "ask those who run it")

    def _question(self, wanted: Wanted, caller: Caller) -> Question:
        host, colon, port = wanted.registry.rpartition(":")
        name, number = (host, int(port)) if colon and port.isdigit() else (wanted.registry, None)
        target = Target("https", name, number, wanted.path, "", Form.URL)
        origin = Origin("gateway", caller.uid)
        return Question(target, origin, wanted.grants, carried=True, sandbox=caller.sandbox)


def answered(landed: Landed[H], carriage: Carriage) -> Answer:
    """The head of an answer, and who gave it."""
    answer, hop = landed
    anonymous = not (hop.own and carriage.handout.headers)
    return Answer(answer.status, answer.headers, anonymous=anonymous, own=hop.own, subject=hop.subject)


def request(method: Method, hop: Hop, headers: Headers, carriage: Carriage) -> Request:
    """Build one request; a hop that is not the registry's own gets no credential."""
    found = carriage.handout.headers if hop.own else ()
    credential = tuple((name, value) for name, some in found for value in some)
    return Request(method, hop.url, (*headers, *credential), dial=hop.dial, subject=hop.subject)
