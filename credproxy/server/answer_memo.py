"""Recent answers, as bytes; and the one place where an answer is handed out and the audit log is told."""

from dataclasses import dataclass

from aiohttp import web
from cachetools import LRUCache

from credproxy.broker.answers import Answer
from credproxy.core.ask.audit import Record, record
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.message import encode_answer
from credproxy.core.ask.target import Target
from credproxy.ports.observability import Audit
from credproxy.server.peer import Peer
from credproxy.server.responses import json_response


_ENTRIES = 4096
_BYTES = 2048
"""Longest request that is remembered: longer ones are presigned URLs, asked once."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer, its bytes, and what to log each time it is given."""

    answer: Answer
    body: bytes
    record: Record | None


class Memo:
    """The exact bytes of questions and answers: the next question is usually the same as the last one.

    One for both sockets, so that a flush empties it for both; the caller is part of the key. An answer is given again
    only while it is still valid; it ends with its era.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._found: LRUCache[tuple[str, int, bytes], Encoded] = LRUCache(_ENTRIES)

    def get(self, caller: Caller, question: bytes) -> Encoded | None:
        """Give the answer to that question, if it is still valid."""
        known = self._found.get((caller.socket, caller.uid, question))
        return known if known is not None and known.answer.fresh() else None

    def put(self, caller: Caller, question: bytes, *, target: Target, answer: Answer) -> Encoded:
        """Encode an answer and remember it. Raises Failed as ``encode_answer``."""
        encoded = Encoded(answer, encode_answer(answer), record(target, answer) if self._audit.on else None)
        if len(question) <= _BYTES:
            self._found[caller.socket, caller.uid, question] = encoded
        return encoded

    def give(self, encoded: Encoded, caller: Caller, *, peer: Peer) -> web.Response:
        """Hand an answer out as a response."""
        return json_response(self.given(encoded, caller, peer=peer))

    def given(self, encoded: Encoded, caller: Caller, *, peer: Peer) -> bytes:
        """Hand out an answer: from memory or not, it counts as a hand-out (R28)."""
        if encoded.record is not None:
            self._audit.handed_out(encoded.record, caller, pid=peer.pid, program=peer.program)
        return encoded.body

    def clear(self) -> None:
        """Forget all answers: what was flushed must not survive here."""
        self._found.clear()
