"""The gateway's authorizer inside the daemon: the policy and the broker that are in force. Source: gateway.authorizer."""

from typing import NamedTuple, Protocol

from credproxy.broker.broker import Broker
from credproxy.broker.era import GatewayAnswer
from credproxy.core.ask.audit import record
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.names import Authority
from credproxy.core.ask.target import Form, Question, Target
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import Incoming
from credproxy.gateway.wanted import Wanted
from credproxy.ports.observability import Audit


class Judge(Protocol):
    """The policy in force."""

    def permit(self, registry: Authority, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Permit one request to a registry. Raises Failed(policy_denied)."""
        ...

    def permit_object(self, target: Target, method: str) -> None:
        """Permit one request for an object. Raises Failed(policy_denied)."""
        ...


class _Ticket(NamedTuple):
    given: GatewayAnswer
    question: Question
    incoming: Incoming


class BrokerAuthorizer:
    """Asks policy first, then the broker; each credential that it gives is logged.

    Args:
        broker: gives credentials, and hears which of them were refused.
        judge: the policy in force.
        audit: told of each credential that is given.
    """

    def __init__(self, broker: Broker, judge: Judge, *, audit: Audit) -> None:
        self._broker = broker
        self._judge = judge
        self._audit = audit

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """Permit a request. Raises Failed: policy_denied, and those of ``Policy.permit``."""
        if want.object is not None:
            self._judge.permit_object(want.object, want.method)
        else:
            self._judge.permit(want.registry, want.method, path=incoming.path, endpoint=want.endpoint)

    async def credential(self, want: Wanted, incoming: Incoming, *, patience: float) -> Passage:
        """Permit a request, and give what it is sent with. Raises Failed."""
        await self.permit(want, incoming)
        question = _question(want, incoming)
        return self._passage(await self._broker.ask_for_gateway(question, patience), question, incoming)

    async def refused(self, passage: Passage, patience: float, *, forbidden: bool) -> Passage | None:
        """Drop what a registry refused, and check whether there is another credential by now. Raises Failed."""
        ticket = passage.ticket
        assert isinstance(ticket, _Ticket)
        if not ticket.given.answer.refused(forbidden=forbidden):
            return None
        newer = await self._broker.ask_for_gateway(ticket.question, patience)
        if newer.answer.headers == ticket.given.answer.headers:
            return None
        return self._passage(newer, ticket.question, ticket.incoming)

    def good_until(self, passage: Passage) -> float:
        """Boot-clock seconds until which a passage may be used again; 0 if each use has to be logged."""
        ticket = passage.ticket
        assert isinstance(ticket, _Ticket)
        return 0.0 if self._audit.on else ticket.given.answer.good_until

    def _passage(self, given: GatewayAnswer, question: Question, incoming: Incoming) -> Passage:
        answer = given.answer
        if self._audit.on and (written := record(given.target, answer)) is not None:
            self._audit.handed_out(written, question.caller, pid=incoming.pid, program=incoming.program)
        headers = tuple((name, value) for name, values in answer.headers for value in values)
        return Passage(given.reach, headers, _Ticket(given, question, incoming))


def _question(want: Wanted, incoming: Incoming) -> Question:
    target = want.object or _target(want)
    return Question(target, Caller("gateway", incoming.uid), want.grants, for_gateway=True, sandbox=incoming.sandbox)


def _target(want: Wanted) -> Target:
    host, colon, port = want.registry.rpartition(":")
    name, number = (host, int(port)) if colon and port.isdigit() else (want.registry, None)
    return Target("https", name, number, want.path, "", Form.URL)
