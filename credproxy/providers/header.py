"""``provider = "header"``: a static header of any name, for remote caches and artifact hosts."""

from collections.abc import Callable

from credproxy.core.credential import Grant, Identity, PlainSecret, Secret, Stored, secret_of
from credproxy.core.empty import empty_header, empty_login
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.login import Login, dressed
from credproxy.core.stored import not_stored, unreadable
from credproxy.core.target import Question, Target
from credproxy.ports import Clock, Plan, Source, Terms


_HINT = "store the secret itself in its place"


class HeaderProvider:
    """Sends a stored secret as it is. Source: ports.Provider."""

    def __init__(self, settings: HeaderHost, *, source: Source, clock: Clock) -> None:
        self._settings = settings
        self._source = source
        self._clock = clock

    async def plan(self, question: Question) -> Plan | None:
        """Every URI of the rule gets the same header. Raises Failed(credential_unreadable) where there is none."""
        target = question.target
        identity = await self._source.locate(target, None)
        if identity is None:
            trouble = self.trouble(target)
            if trouble is not None:
                raise Failed(trouble)
            raise not_stored(f"no credential for {target.authority!r}", "secret", self._source.looked(target))

        async def run(terms: Terms) -> Grant:
            login = await self._source.read(identity, target, anew=terms.anew)
            if login is None:
                raise unreadable(str(identity), "holds no credential", _HINT)
            return self._grant(login, identity)

        return Plan(
            key=("header", self._settings.match, identity),
            subject=f"the secret for {target.authority!r}",
            upstream=f"source:{identity.source}",
            run=run,
            identity=identity,
            detail={"provider": "header", "header": self._settings.name, "credential": str(identity)},
        )

    def _grant(self, login: Login, identity: Identity) -> Grant:
        secret = secret_of(login.stored)
        value = Secret(self._settings.prefix + secret.reveal())
        problem = empty_login(PlainSecret(secret))
        if problem is None and (odd := empty_header(self._settings.name, [value.reveal()])) is not None:
            problem = f"is none: {odd}"
        if problem is not None:
            raise unreadable(f"the secret from {identity}", problem, _HINT)
        lifetime = dressed(login, str(identity), self._clock.boot())
        return Grant(((self._settings.name, (value,)),), lifetime, direct=True)

    async def check(self, plan: Plan, target: Target) -> None:
        """Look at what is stored. Raises Failed as ``run``."""
        login = None if plan.identity is None else await self._source.peek(plan.identity, target)
        if plan.identity is not None and login is not None:
            self._grant(login, plan.identity)

    async def stored(self, target: Target) -> Stored | None:
        """An API key is no login for a docker client."""
        del target
        return None

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with its source."""
        return self._source.trouble(target)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """It always plans, or raises."""
        del question
        return ()

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Let the source look again."""
        del wanted
        self._source.forget()
