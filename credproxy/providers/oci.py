"""``provider = "oci"``: registries of the OCI distribution protocol, including their token exchange.

What a question means is decided by ``exchange.plan``, from the URI, the configuration and the name of the stored
credential; the exchange happens inside the flight that needs it. The conversations are those of ``Talks``; what they
taught is kept in ``Learned``; ``exchange.registry_grant`` turns their results into grants.
"""

from dataclasses import replace
from functools import partial

import structlog

from credproxy.core.ask.credential import Grant, Identity, RegistryToken, Stored
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Question, Target
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.oci import OciHost
from credproxy.exchange import registry_grant
from credproxy.exchange.discovery import Asks
from credproxy.exchange.plan import ANONYMOUS, Purpose, RegistryRule
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient
from credproxy.ports.provider import Plan
from credproxy.ports.source import Source
from credproxy.ports.terms import Terms
from credproxy.ports.trouble import trouble_of
from credproxy.providers.learned import Learned
from credproxy.providers.registry_exchange import Talks, Wish


_LOGIN_REFUSED = frozenset({Code.BAD_CREDENTIALS, Code.DENIED})

log = structlog.get_logger("credproxy.providers")


class OciProvider:
    """Answers for the registries of one host rule. Source: ports.provider.Provider.

    Args:
        settings, exact, last: as in exchange.plan.RegistryRule.
        source: where its logins are.
        http: sends.
        clock: judges lifetimes.
        learned: what upstreams taught this process; it outlives the provider.
    """

    def __init__(
        self,
        settings: OciHost,
        *,
        exact: bool,
        source: Source,
        http: HttpClient,
        clock: Clock,
        learned: Learned,
        last: bool = True,
    ) -> None:
        self._rule = RegistryRule(settings, exact, last)
        self._source = source
        self._clock = clock
        self._learned = learned
        self._talks = Talks(self._rule, http=http, clock=clock, learned=learned)
        if not settings.tls_verify:
            log.warning("certificates are not checked", registry=settings.match, hint="name its CA: ca_bundle = ...")

    async def plan(self, question: Question) -> Plan | None:
        """Decide by kind of URI. Raises Failed as ``RegistryRule.purpose``; credential_unreadable: its source is broken."""
        purpose = self._rule.purpose(question)
        if purpose is None:
            return None
        identity = self._rule.choose_login(purpose, await self._locate(purpose.target, purpose.repository))
        if identity is None:
            return None
        anonymous = identity is ANONYMOUS
        return Plan(
            key=purpose.key(identity),
            subject=purpose.subject,
            upstream=purpose.target.origin,
            trouble=self.trouble(purpose.target) if anonymous else None,
            identity=None if anonymous else identity,
            run=partial(self._run, purpose, identity),
            narrow=purpose.narrow,
            reach=self._rule.reach(purpose),
            min_lifetime=purpose.min_lifetime,
            detail=purpose.detail(identity),
        )

    async def check(self, plan: Plan, target: Target) -> None:
        """Check the login. Raises Failed as ``run``."""
        login = None if plan.identity is None else await self._source.peek(plan.identity, target)
        if plan.identity is not None and login is not None:
            registry_grant.checked(login, plan.identity, target=target)

    async def stored(self, target: Target) -> Stored | None:
        """Give the login itself; a registry token is not one."""
        identity = await self._locate(target, None)
        login = None if identity is None else await self._read(identity, target)
        return None if login is None or isinstance(login.stored, RegistryToken) else login.stored

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with its source."""
        return trouble_of(self._source, target)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """By kind of URI, as ``plan`` decides; else where its source has looked."""
        reason = self._rule.reason(question.target)
        return self._source.looked(question.target) if reason is None else (reason,)

    async def _locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        try:
            identity = await self._source.locate(target, repository)
        except Failed:
            if self._rule.public:
                return None
            raise
        trouble = self.trouble(target) if identity is None and self._rule.needs_login else None
        if trouble is not None:
            raise Failed(trouble)
        return identity

    async def _read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        login = await self._source.read(identity, target, anew=anew)
        return None if login is None else registry_grant.checked(login, identity, target=target)

    async def _run(self, purpose: Purpose, identity: Identity, terms: Terms) -> Grant:
        target, without = purpose.target, ""
        try:
            login = None if identity is ANONYMOUS else await self._read(identity, target, anew=terms.anew)
        except Failed as error:
            if not (self._rule.public and purpose.exchanged):
                raise
            # It only allows more requests in a second there; elsewhere a private image would be "not found" without it (P-12).
            identity, login, without = ANONYMOUS, None, f"anonymous: {error.failure.message}"
        if not purpose.exchanged:
            return registry_grant.of_login(login, identity, boot=self._clock.boot())
        try:
            grant = await self._exchanged(purpose, identity, login, terms)
        except Failed as error:
            newer = await self._newer(purpose, identity, login) if error.failure.code in _LOGIN_REFUSED else None
            if newer is None:
                raise
            log.info("login changed", registry=target.authority, credential=str(identity))
            login = newer
            grant = await self._exchanged(purpose, identity, login, terms)
        registry_grant.check_narrow(grant, login, purpose=purpose)
        instead = registry_grant.too_short(grant, purpose, boot=self._clock.boot())
        if instead is not None:
            log.warning("no credential for a bare host", registry=target.authority, reason=instead.note)
        return replace(grant, note=without) if without else instead or grant

    async def _newer(self, purpose: Purpose, identity: Identity, login: Login | None) -> Login | None:
        """The login that has replaced a refused one; None if it is the same, and the refusal stands."""
        if login is None:
            return None
        try:
            newer = await self._read(identity, purpose.target, anew=True)
        except Failed as error:  # the server's refusal is the better answer
            log.warning("login cannot be looked up", credential=str(identity), reason=error.failure.message)
            return None
        return None if newer is None or newer.stored == login.stored else newer

    async def _exchanged(self, purpose: Purpose, identity: Identity, login: Login | None, terms: Terms) -> Grant:
        grant = registry_grant.at_once(login, identity, boot=self._clock.boot(), anonymous=self._rule.anonymous)
        if grant is not None:
            return grant
        stored = registry_grant.sendable(login, identity)
        asked = await self._talks.challenge(
            purpose.contact, purpose.repository if stored is not None else None, terms=terms
        )
        match asked.found.asks:
            case Asks.NOTHING:
                return registry_grant.empty("the registry asks for no login", self._clock.boot())
            case Asks.BASIC:
                allowed = self._rule.settings.allow_basic
                return registry_grant.of_basic(login, identity, boot=self._clock.boot(), allowed=allowed)
            case Asks.BEARER:
                wish = Wish(purpose.target.authority, purpose.scopes, stored, str(identity), purpose.mounted)
                token = await self._talks.token(wish, asked, terms=terms)
                return registry_grant.of_token(token, purpose, login=login, boot=self._clock.boot())
