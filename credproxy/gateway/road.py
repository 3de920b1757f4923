"""One request on its way to a registry: with its credential, once more where that was refused, along redirects."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from credproxy.broker.broker import Broker, Carriage
from credproxy.core.credential import Origin
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import Method, Request
from credproxy.core.target import Form, Question, Target
from credproxy.gateway import redirect
from credproxy.gateway.asked import Caller, Headers, values
from credproxy.gateway.redirect import Hop
from credproxy.gateway.wanted import Wanted


_FORBIDDEN = 403
_REFUSED = frozenset({401, _FORBIDDEN})


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
        send: Callable[[Carriage], Awaitable[H]],
        *,
        repeatable: bool = True,
    ) -> tuple[H, Carriage]:
        """Send with a credential; where the registry refuses it, drop it and try another one, once.

        Where no other one is to be had, the refusal stands: the same login is not sent twice.

        Args:
            wanted: what is asked, allowed by policy.
            caller: who asks.
            patience: seconds for a credential.
            send: sends the request; called once more after a refusal.
            repeatable: it may be; False for a body that was streamed.

        Raises:
            Failed: no credential where there should be one; what ``send`` raises.
        """
        question = self._question(wanted, caller)
        carriage = await self._broker.carry(question, patience)
        answer = await send(carriage)
        if answer.status not in _REFUSED or not self._broker.reject(
            carriage.handout, forbidden=answer.status == _FORBIDDEN
        ):
            return answer, carriage
        try:
            newer = await self._broker.carry(question, patience)
        except Failed:
            if answer.status != _FORBIDDEN:
                raise
            return answer, carriage  # what the registry said of the login is the better answer
        if newer.handout.headers == carriage.handout.headers:
            return answer, carriage
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
    ) -> H:
        """Send a GET or HEAD and follow where its answers lead; the credential goes to the registry alone.

        Args:
            wanted: what is asked.
            carriage: the credential.
            start: the registry.
            headers: the client's, as far as they pass.
            ask: sends one request.

        Raises:
            Failed: redirect_refused, downgrade; what ``ask`` raises.
        """
        hop = start
        for _ in range(redirect.MOST + 1):
            answer = await ask(request(wanted.method, hop, headers, carriage))
            place = values(answer.headers, "Location")
            if answer.status not in redirect.STATUSES or not place:
                return answer
            hop = redirect.follow(hop, place[0], carriage.reach, wanted.registry)
        message = f"registry {wanted.registry!r} redirects more than {redirect.MOST} times"
        raise failed(Code.REDIRECT_REFUSED, message, "ask those who run it")

    def _question(self, wanted: Wanted, caller: Caller) -> Question:
        host, colon, port = wanted.registry.rpartition(":")
        name, number = (host, int(port)) if colon and port.isdigit() else (wanted.registry, None)
        target = Target("https", name, number, wanted.path, "", Form.URL)
        origin = Origin("gateway", caller.uid)
        return Question(target, origin, wanted.grants, carried=True, sandbox=caller.sandbox)


def request(method: Method, hop: Hop, headers: Headers, carriage: Carriage) -> Request:
    """Build one request; a hop that is not the registry's own gets no credential."""
    found = carriage.handout.headers if hop.own else ()
    credential = tuple((name, value) for name, some in found for value in some)
    return Request(method, hop.url, (*headers, *credential), dial=hop.dial, subject=hop.subject)
