"""``provider = "oci"``: registries of the OCI distribution protocol, their token exchange included.

The plan is made from the URI, the configuration and the name of the stored credential; the exchange happens inside the
flight that needs it. What a registry taught us (its challenge, which method its token server takes, a rotated refresh
token) is kept here, in memory, and dropped with ``forget``.

Source: token-exchange.md sections 2.1, 3.2, 3.6 (SC-18) and RQ-2; clients.md rules 26 to 28.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from credproxy.core.basic import basic
from credproxy.core.credential import (
    Grant,
    Identity,
    IdentityToken,
    Lifetime,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
)
from credproxy.core.endpoint import classify
from credproxy.core.errors import GATEWAY, Code, Failed, Failure, failed
from credproxy.core.http import Dial, Reach
from credproxy.core.login import Login, bounded, dressed
from credproxy.core.settings import BareHost, OciHost
from credproxy.core.stored import unreadable
from credproxy.core.target import Form, Granted, Question, Target
from credproxy.core.uri import canonical_authority, plain
from credproxy.exchange.discovery import Asks, Found, Registry, discover
from credproxy.exchange.down_scope import refusal
from credproxy.exchange.endpoint_scope import endpoint_scopes
from credproxy.exchange.granted import lacking, note
from credproxy.exchange.registry_token import Method, Order, obtain
from credproxy.exchange.scope import canonical, repository_scope
from credproxy.ports import Clock, HttpClient, Plan, Source, Terms, converse


CHALLENGE_KEEP = 3600.0
"""Seconds that a registry's challenge is believed (TX-1)."""

_REGISTRIES = 1024
"""Registries that are remembered: a wildcard rule may match any number of names."""

_EMPTY_KEEP = 60.0

_ANONYMOUS = Identity("anonymous", "")

log = structlog.get_logger("credproxy.providers")


@dataclass(slots=True)
class _Learned:
    """What a registry asks for, until when that is believed, and the method its token server takes by kind of login.

    ``pinging`` is held during a ping. Who waited for it while it failed shares the failure: ``refusals`` has risen.
    """

    pinging: asyncio.Lock = field(default_factory=asyncio.Lock)
    found: Found | None = None
    until: float = 0.0
    methods: dict[type[Stored] | None, Method] = field(default_factory=dict)
    refusals: int = 0
    refusal: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One question, decided: whose credential, for which scopes. ``repository`` is None for a bare host."""

    target: Target
    repository: str | None
    identity: Identity
    scopes: tuple[str, ...]
    kind: str
    min_lifetime: float = 0.0


def registry_of(settings: OciHost, target: Target, *, exact: bool) -> Registry:
    """A registry of a host rule, as an exchange addresses it; ``exact`` as for OciProvider."""
    return Registry(
        target=target,
        prefix=settings.path_prefix or "",
        dial=_dial(settings, exact=exact),
        realm=settings.realm,
        service=settings.service,
        # A host that cannot be read stays as written, and matches nothing.
        realm_hosts=frozenset(canonical_authority(name) or name for name in settings.realm_hosts),
    )


def _dial(settings: OciHost, *, exact: bool) -> Dial:
    return Dial(
        networks=settings.allow_private,
        own=exact,
        ca_bundle=settings.ca_bundle,
        tls_verify=settings.tls_verify,
        proxy=settings.proxy,
    )


class OciProvider:
    """Answers for the registries of one host rule. Source: ports.Provider.

    Args:
        settings: the rule; ``match`` is "" for the implicit rule of registries that the docker configuration names.
        exact: the rule, or the docker configuration, names the host itself and not a wildcard (SEC-R 8).
        source: where its logins are.
        last: nobody is asked after it, so that what the gateway carries goes out anonymously where it has no login.
    """

    def __init__(
        self,
        settings: OciHost,
        *,
        exact: bool,
        source: Source,
        http: HttpClient,
        clock: Clock,
        last: bool = True,
    ) -> None:
        self._settings = settings
        self._last = last
        self._source = source
        self._http = http
        self._clock = clock
        self._exact = exact
        self._dial = _dial(settings, exact=exact)
        self._learned: dict[str, _Learned] = {}
        self._rotated: dict[tuple[str, str, Identity], Secret] = {}
        if not settings.tls_verify:
            log.warning("certificates are not checked", registry=settings.match, hint="name its CA: ca_bundle = ...")

    async def plan(self, question: Question) -> Plan | None:
        """Decide by kind of URI; None for kinds that get no credential, and without a credential to give.

        Raises:
            Failed(policy_denied): a mount from a repository that ``actions`` does not let be pulled (TX-22).
            Failed(credential_unreadable): the source that would have the login is broken.
        """
        target = question.target
        if question.grants is not None:
            return await self._plan_granted(target, question.grants, carried=question.carried)
        if target.form is Form.LITERAL:
            return None
        if target.form is Form.HOST:
            return await self._plan_bare(plain(target) if self._settings.insecure else target)
        endpoint = classify(target.path, target.query, self._settings.path_prefix)
        scopes = endpoint_scopes(endpoint, self._settings)
        if not scopes:
            return None
        return await self._plan_scopes(target, endpoint.repository, scopes, endpoint.kind.name.lower())

    async def stored(self, target: Target) -> Stored | None:
        """Give the login itself; a registry token is none."""
        identity = await self._source.locate(target, None)
        login = None if identity is None else await self._source.read(identity, target)
        return None if login is None or isinstance(login.stored, RegistryToken) else login.stored

    def forget(self) -> None:
        """Ping again, choose methods again, look at the source again."""
        self._learned.clear()
        self._source.forget()

    async def _plan_bare(self, target: Target) -> Plan | None:
        """Which of SC-18's answers a question without a repository gets; a scope-less token would be useless."""
        bare = self._settings.bare_host
        if isinstance(bare, BareHost):
            if self._settings.single_scope:
                return None
            return await self._plan_scopes(target, None, canonical(bare.scopes), "bare host", bare.min_lifetime)
        if bare == "none":
            return None
        identity = await self._source.locate(target, None)
        if identity is None:
            return None

        async def run(terms: Terms) -> Grant:
            del terms
            login = await self._source.read(identity, target)
            if login is not None and isinstance(login.stored, UserPassword):
                return self._basic(login.stored, login, identity)
            return self._empty("the stored credential is no user name and password")

        return self._plan(_Wanted(target, None, identity, (), "bare host, a login for the client's own exchange"), run)

    async def _plan_granted(self, target: Target, grants: tuple[Granted, ...], *, carried: bool) -> Plan | None:
        """For a build action: what policy granted and nothing else, whatever the rule's ``actions`` would add."""
        scopes = canonical(repository_scope(name, actions) for name, actions in grants)
        place = plain(target) if self._settings.insecure and (carried or target.form is Form.HOST) else target
        if carried:
            return await self._plan_scopes(place, grants[0][0], scopes, "gateway", carried=True)
        if target.form is Form.HOST:
            lifetime = BareHost(scopes).min_lifetime
            return await self._plan_scopes(place, None, scopes, "bare host, build action", lifetime, narrow=True)
        return await self._plan_scopes(place, grants[0][0], scopes, "build action", narrow=True)

    async def _plan_scopes(
        self,
        target: Target,
        repository: str | None,
        scopes: tuple[str, ...],
        kind: str,
        min_lifetime: float = 0.0,
        *,
        narrow: bool = False,
        carried: bool = False,
    ) -> Plan | None:
        identity = await self._source.locate(target, repository)
        if identity is None:
            if self._settings.anonymous != "pull" and not (carried and self._last):
                return None
            identity = _ANONYMOUS
        first = scopes[:1] if self._settings.single_scope else scopes
        wanted = _Wanted(target, repository, identity, first, kind, min_lifetime)

        async def run(terms: Terms) -> Grant:
            login = None if identity is _ANONYMOUS else await self._source.read(identity, target)
            grant = await self._exchange(wanted, login, terms)
            reason = refusal(grant, None if login is None else login.stored, wanted.scopes) if narrow else None
            if reason is not None:
                raise failed(Code.USE_GATEWAY, f"no build action may have the credential: {reason}", GATEWAY)
            if grant.lifetime.until is not None and grant.lifetime.until - self._clock.boot() < min_lifetime:
                note = f"the token lives shorter than min_lifetime = {min_lifetime:g}"
                log.warning("no credential for a bare host", registry=target.authority, reason=note)
                # Below min_lifetime the broker asks anew, and would with every question (SC-18.2).
                return self._empty(note, min_lifetime + _EMPTY_KEEP)
            return grant

        return self._plan(wanted, run, narrow=narrow)

    def _plan(self, wanted: _Wanted, run: Callable[[Terms], Awaitable[Grant]], *, narrow: bool = False) -> Plan:
        authority = wanted.target.authority
        return Plan(
            key=("oci", wanted.target.origin, wanted.identity, wanted.scopes, wanted.min_lifetime),
            subject=f"registry {authority!r}",
            upstream=wanted.target.origin,
            run=run,
            narrow=narrow,
            reach=Reach(_contact(wanted.target).origin, self._dial),
            min_lifetime=wanted.min_lifetime,
            detail={
                "provider": "oci",
                "registry": authority,
                "credential": str(wanted.identity),
                "kind": wanted.kind,
                "scopes": " ".join(wanted.scopes),
            },
        )

    async def _exchange(self, wanted: _Wanted, login: Login | None, terms: Terms) -> Grant:
        stored = None if login is None else login.stored
        if login is not None and isinstance(stored, RegistryToken):
            return self._bearer(stored.token, dressed(login, str(wanted.identity), self._clock.boot()))
        if stored is None and wanted.identity is not _ANONYMOUS and self._settings.anonymous != "pull":
            return self._empty("the stored entry is empty")
        if stored is not None and not isinstance(stored, (UserPassword, IdentityToken)):
            raise unreadable(
                str(wanted.identity),
                "holds no user name",
                "name one: username = ... in the credentials of its [[host]]",
            )
        contact = _contact(wanted.target)
        learned, found = await self._challenge(contact, wanted.repository if stored is not None else None, terms)
        match found.asks:
            case Asks.NOTHING:
                return self._empty("the registry asks for no login")
            case Asks.BASIC:
                return self._basic_or_none(login, wanted.identity)
            case Asks.BEARER:
                grant = await self._token(wanted, learned, found, stored, terms)
                return replace(grant, lifetime=bounded(grant.lifetime, login, self._clock.boot()))

    async def _challenge(self, target: Target, second_look: str | None, terms: Terms) -> tuple[_Learned, Found]:
        learned = self._learned.setdefault(target.origin, _Learned())
        if len(self._learned) > _REGISTRIES:
            self._learned.pop(next(iter(self._learned)))
        refusals = learned.refusals
        async with learned.pinging:  # forty images of one registry, asked about at once, are one ping
            if learned.found is not None and self._clock.boot() < learned.until:
                return learned, learned.found
            if learned.refusal is not None and learned.refusals > refusals:
                raise Failed(learned.refusal)
            try:
                found = await self._ping(target, second_look, terms)
            except Failed as error:
                learned.refusal, learned.refusals = error.failure, learned.refusals + 1
                raise
            # "No login" is true of one repository and of one moment, not of the registry for an hour (TX-3).
            if found.asks is not Asks.NOTHING:
                self._learn(target, learned, found)
            return learned, found

    def _learn(self, target: Target, learned: _Learned, found: Found) -> None:
        if learned.found is not None and learned.found.realm != found.realm:
            before, now = learned.found.authority, found.authority
            log.warning("token server changed", registry=target.authority, before=before, now=now)
            learned.methods.clear()
        learned.found, learned.until = found, self._clock.boot() + CHALLENGE_KEEP

    async def _ping(self, target: Target, second_look: str | None, terms: Terms) -> Found:
        registry = registry_of(self._settings, target, exact=self._exact)
        return await converse(discover(registry, second_look), self._http, terms)

    async def _token(
        self,
        wanted: _Wanted,
        learned: _Learned,
        found: Found,
        stored: UserPassword | IdentityToken | None,
        terms: Terms,
    ) -> Grant:
        slot = (found.realm.partition("?")[0], found.service, wanted.identity)
        if isinstance(stored, IdentityToken) and slot in self._rotated:
            stored = IdentityToken(self._rotated[slot], stored.username, stored.password)
        kind = None if stored is None else type(stored)
        order = Order(
            found=found,
            scopes=wanted.scopes,
            credential=stored,
            credential_name=str(wanted.identity),
            registry=wanted.target.authority,
            fixed=self._settings.method,
            method=learned.methods.get(kind),
            password_grant=self._settings.allow_password_grant,
            account=self._settings.account_param,
            trust_jwt_exp=self._settings.trust_jwt_exp,
        )
        try:
            obtained = await converse(obtain(order), self._http, terms)
        except Failed as error:
            if error.failure.code is Code.NO_CHALLENGE:  # the endpoint is gone: ask the registry anew (TX-1)
                learned.until = 0.0
                learned.methods.clear()
            if error.failure.code is Code.BAD_CREDENTIALS:  # the stored one may be good where the rotated one is not
                self._rotated.pop(slot, None)
            raise
        learned.methods[kind] = obtained.method
        token = obtained.token
        if token.refresh_token is not None and isinstance(stored, IdentityToken):
            self._rotated[slot] = token.refresh_token
        if token.lifetime.until is not None and token.lifetime.until <= self._clock.boot():
            raise failed(
                Code.EXPIRED_ON_ARRIVAL,
                f"{order.subject} gave a token that had expired when it came",
                "check this machine's clock, and the server's",
            )
        odd = note(wanted.scopes, token.granted)
        return self._bearer(token.value, token.lifetime, odd, less=bool(lacking(wanted.scopes, token.granted)))

    def _basic_or_none(self, login: Login | None, identity: Identity) -> Grant:
        if not self._settings.allow_basic:
            return self._empty("the registry takes only Basic, and allow_basic = false")
        if login is not None and isinstance(login.stored, UserPassword):
            return self._basic(login.stored, login, identity)
        return self._empty("the registry takes only Basic, and the stored credential is no user name and password")

    def _basic(self, stored: UserPassword, login: Login, identity: Identity) -> Grant:
        lifetime = dressed(login, str(identity), self._clock.boot())
        return Grant((("Authorization", (basic(stored),)),), lifetime, note="basic handed out")

    def _bearer(self, token: Secret, lifetime: Lifetime, odd: str = "", *, less: bool = False) -> Grant:
        return Grant((("Authorization", (Secret(f"Bearer {token.reveal()}"),)),), lifetime, odd, less)

    def _empty(self, note: str, keep: float = _EMPTY_KEEP) -> Grant:
        return Grant((), Lifetime(since=self._clock.boot(), keep=keep), note=note)


def _contact(target: Target) -> Target:
    """The host that has the API: ``docker.io`` has none (TX-2)."""
    return replace(target, host="registry-1.docker.io") if target.authority == "docker.io" else target
