"""What build actions may have, asked of policy and broker. Source: actions_api.ActionsAnswers.

Policy comes before everything else, including the memo, whose entries end with the era that gave them.
"""

from collections.abc import Callable

from credproxy.broker.broker import Broker
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.message import decode_request
from credproxy.core.ask.target import Granted, Question, Target
from credproxy.core.ask.uri import check_canonical, parse_uri
from credproxy.server.answer_memo import Memo
from credproxy.server.peer import Peer


class NarrowAnswers:
    """Answers questions of build actions.

    Args:
        broker: the use case.
        memo: shared with the helper socket.
        grants: the policy in force; raises Failed(policy_denied).
    """

    def __init__(
        self,
        *,
        broker: Broker,
        memo: Memo,
        grants: Callable[[Target], tuple[Granted, ...]],
    ) -> None:
        self._broker = broker
        self._memo = memo
        self._grants = grants

    async def narrow(self, peer: Peer, body: bytes, *, patience: float) -> bytes:
        """Give the encoded answer to an encoded question.

        Args:
            peer: the caller.
            body: as it arrived.
            patience: seconds that the caller waits.

        Raises:
            Failed: policy_denied, use_gateway, and those of ``Broker.ask``.
        """
        caller = Caller("actions", peer.uid)
        encoded = self._memo.get(caller, body)
        if encoded is None:
            raw = decode_request(body)
            target = parse_uri(raw)
            check_canonical(raw, target)
            question = Question(target, caller, self._grants(target), sandbox=peer.sandbox)
            encoded = self._memo.put(caller, body, target=target, answer=await self._broker.ask(question, patience))
        return self._memo.given(encoded, caller, peer=peer)
