"""``provider = "header"``: a static header of any name, for remote caches and artifact hosts."""

from credproxy.core.credential import (
    Grant,
    IdentityToken,
    Lifetime,
    PlainSecret,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
)
from credproxy.core.settings import HeaderHost
from credproxy.core.stored import unreadable
from credproxy.core.target import Question, Target
from credproxy.ports import Clock, Plan, Source, Terms


KEEP = 300.0
"""Seconds that a static answer is served from memory; a changed file is another key and is seen at once."""


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
            raise unreadable(f"no credential for {target.authority!r}", "is stored where its rule points")

        async def run(terms: Terms) -> Grant:
            del terms
            stored = await self._source.read(identity, target)
            if stored is None:
                raise unreadable(str(identity), "holds no credential")
            value = Secret(self._settings.prefix + _value(stored).reveal())
            lifetime = Lifetime(since=self._clock.boot(), keep=KEEP)
            return Grant(((self._settings.name, (value,)),), lifetime)

        return Plan(
            key=("header", self._settings.match, identity),
            subject=f"the secret for {target.authority!r}",
            upstream=f"source:{identity.source}",
            run=run,
            detail={"provider": "header", "header": self._settings.name, "credential": str(identity)},
        )

    async def stored(self, target: Target) -> Stored | None:
        """An API key is no login for a docker client."""
        del target
        return None

    def forget(self) -> None:
        """Let the source look again."""
        self._source.forget()


def _value(stored: Stored) -> Secret:
    match stored:
        case PlainSecret(value):
            return value
        case UserPassword(_, password):
            return password
        case IdentityToken(token) | RegistryToken(token):
            return token
