"""``provider = "basic"``: ``Authorization: Basic`` from a stored login, as netrc promises it."""

from credproxy.core.basic import basic
from credproxy.core.credential import Grant, Lifetime, Stored, UserPassword
from credproxy.core.stored import unreadable
from credproxy.core.target import Question, Target
from credproxy.ports import Clock, Plan, Source, Terms


KEEP = 300.0
"""Seconds that a static answer is served from memory; a changed file is another key and is seen at once."""


class BasicProvider:
    """Sends a stored login. Source: ports.Provider, RFC 7617.

    Args:
        match: of the rule, or "" for the implicit one.
        required: a rule names the host, so that a missing login is an error and not "no credential" (P-12).
    """

    def __init__(self, match: str, *, source: Source, clock: Clock, required: bool) -> None:
        self._match = match
        self._source = source
        self._clock = clock
        self._required = required

    async def plan(self, question: Question) -> Plan | None:
        """Every URI of the host gets the same header; None where the source does not know the host."""
        target = question.target
        identity = await self._source.locate(target, None)
        if identity is None and self._required:
            raise unreadable(
                f"no login for {target.authority!r}",
                "is stored where its rule points",
                f"add it there, or give the rule other credentials: credproxy explain {target.origin}",
            )
        if identity is None:
            return None

        async def run(terms: Terms) -> Grant:
            del terms
            stored = await self._source.read(identity, target)
            if not isinstance(stored, UserPassword):
                raise unreadable(str(identity), "holds no user name and password, which Basic needs")
            lifetime = Lifetime(since=self._clock.boot(), keep=KEEP)
            return Grant((("Authorization", (basic(stored),)),), lifetime, note="basic handed out")

        return Plan(
            key=("basic", self._match, target.authority, identity),
            subject=f"the login for {target.authority!r}",
            upstream=f"source:{identity.source}",
            run=run,
            detail={"provider": "basic", "credential": str(identity)},
        )

    async def stored(self, target: Target) -> Stored | None:
        """Give the login itself."""
        identity = await self._source.locate(target, None)
        return None if identity is None else await self._source.read(identity, target)

    def forget(self) -> None:
        """Let the source look again."""
        self._source.forget()
