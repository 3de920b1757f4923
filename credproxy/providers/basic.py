"""``provider = "basic"``: ``Authorization: Basic`` from a stored login, as netrc promises it."""

from collections.abc import Callable

from credproxy.core.basic import basic
from credproxy.core.credential import Grant, Identity, PlainSecret, Stored, UserPassword
from credproxy.core.errors import Failed, Failure
from credproxy.core.login import Login, dressed
from credproxy.core.stored import not_stored, unreadable, usable
from credproxy.core.target import Form, Question, Target
from credproxy.ports import Clock, Plan, Source, Terms


_HINT = "store a login there, with a user name and a password"
_NAME_IT = 'name it in the credentials of its [[host]]: username = "NAME"; a token alone goes with provider = "header"'
_REGISTRY = 'a token that docker stores is for a registry: provider = "oci" in its [[host]]'
_NO_PAIR = "holds no user name and password, which Basic needs"


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
        identity = await self._locate(target)
        if identity is None and self._required:
            raise not_stored(f"no login for {target.authority!r}", "credentials", self._source.looked(target))
        if identity is None:
            return None

        async def run(terms: Terms) -> Grant:
            login = await self._source.read(identity, target, anew=terms.anew)
            if login is None:
                raise unreadable(str(identity), _NO_PAIR, _HINT)
            return self._grant(login, identity)

        return Plan(
            key=("basic", self._match, target.authority, identity),
            subject=f"the login for {target.authority!r}",
            upstream=f"source:{identity.source}",
            run=run,
            identity=identity,
            detail={"provider": "basic", "credential": str(identity)},
        )

    async def check(self, plan: Plan, target: Target) -> None:
        """Look at what is stored. Raises Failed as ``run``."""
        login = None if plan.identity is None else await self._source.peek(plan.identity, target)
        if plan.identity is not None and login is not None:
            self._grant(login, plan.identity)

    async def stored(self, target: Target) -> Stored | None:
        """Give the login itself."""
        identity = await self._locate(target)
        login = None if identity is None else await self._source.read(identity, target)
        return None if login is None else usable(login.stored, str(identity), _HINT)

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with its source."""
        return self._source.trouble(target)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """Where its source has looked."""
        return () if question.target.form is Form.LITERAL else self._source.looked(question.target)

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Let the source look again."""
        del wanted
        self._source.forget()

    def _grant(self, login: Login, identity: Identity) -> Grant:
        if not isinstance(login.stored, UserPassword):
            alone = isinstance(login.stored, PlainSecret)
            raise unreadable(str(identity), _NO_PAIR, _NAME_IT if alone else _REGISTRY)
        usable(login.stored, str(identity), _HINT)
        lifetime = dressed(login, str(identity), self._clock.boot())
        return Grant((("Authorization", (basic(login.stored),)),), lifetime, note="basic handed out", direct=True)

    async def _locate(self, target: Target) -> Identity | None:
        identity = await self._source.locate(target, None)
        trouble = self.trouble(target) if identity is None and self._required else None
        if trouble is not None:
            raise Failed(trouble)
        return identity
