"""``provider = "oci"``: registries of the OCI distribution protocol, their token exchange included.

The plan is made from the URI, the configuration and the name of the stored credential; the exchange happens inside the
flight that needs it. The conversations are those of ``Talks``; what they taught is kept in ``Learned``.

Source: token-exchange.md sections 2.1, 3.2, 3.6 (SC-18) and RQ-2; clients.md rules 26 to 28.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

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
from credproxy.core.endpoint import Endpoint, classify
from credproxy.core.endpoint_reasons import endpoint_reason
from credproxy.core.errors import GATEWAY, Code, Failed, Failure, failed
from credproxy.core.http import Reach
from credproxy.core.lifetime import EMPTY_KEEP
from credproxy.core.login import Login, bounded, dressed
from credproxy.core.settings import BareHost, OciHost
from credproxy.core.stored import unreadable, usable
from credproxy.core.target import Form, Granted, Question, Repository, Target
from credproxy.core.uri import plain
from credproxy.exchange.discovery import Asks
from credproxy.exchange.down_scope import refusal
from credproxy.exchange.endpoint_scope import endpoint_scopes
from credproxy.exchange.granted import lacking, note
from credproxy.exchange.realm import PAIRS
from credproxy.exchange.scope import canonical, repository_scope
from credproxy.ports import Clock, HttpClient, Plan, Source, Terms
from credproxy.providers.learned import Learned
from credproxy.providers.registry import Talks, Wish, dial_of


_LOGIN_REFUSED = frozenset({Code.BAD_CREDENTIALS, Code.DENIED})

_ANONYMOUS = Identity("anonymous", "")

log = structlog.get_logger("credproxy.providers")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One question, decided: whose credential, for which scopes.

    ``repository`` is None for a bare host; of one repository and more the others are those that a blob is mounted from.
    """

    target: Target
    repository: str | None
    identity: Identity
    scopes: tuple[str, ...]
    kind: str
    min_lifetime: float = 0.0

    @property
    def mounted(self) -> tuple[str, ...]:
        """The scopes that the question can do without."""
        return () if self.repository is None else self.scopes[1:]


class OciProvider:
    """Answers for the registries of one host rule. Source: ports.Provider.

    Args:
        settings: the rule; ``match`` is "" for the implicit rule of registries that the docker configuration names.
        exact: the rule, or the docker configuration, names the host itself and not a wildcard (SEC-R 8).
        source: where its logins are.
        http: sends.
        clock: judges lifetimes.
        learned: what upstreams taught this process; it outlives the provider.
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
        learned: Learned,
        last: bool = True,
    ) -> None:
        self._settings = settings
        self._exact = exact
        self._last = last
        self._source = source
        self._clock = clock
        self._learned = learned
        self._talks = Talks(settings, exact=exact, http=http, clock=clock, learned=learned)
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

    async def check(self, plan: Plan, target: Target) -> None:
        """Look at the login. Raises Failed as ``run``."""
        login = None if plan.identity is None else await self._source.peek(plan.identity, target)
        if plan.identity is not None and login is not None:
            _usable(login, plan.identity, target)

    async def stored(self, target: Target) -> Stored | None:
        """Give the login itself; a registry token is none."""
        identity = await self._locate(target, None)
        login = None if identity is None else await self._read(identity, target)
        return None if login is None or isinstance(login.stored, RegistryToken) else login.stored

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with its source."""
        return self._source.trouble(target)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """By kind of URI, as ``plan`` decides; else where its source has looked."""
        target, settings = question.target, self._settings
        if target.form is Form.LITERAL:
            return ('a registry has no URI of this form: only provider = "exec", "header" or "basic" may answer it',)
        if target.form is Form.HOST and settings.bare_host == "none":
            return ('its rule says bare_host = "none": a question without a repository gets nothing',)
        if target.form is Form.HOST and isinstance(settings.bare_host, BareHost) and settings.single_scope:
            return ("its rule says single_scope = true, so there is no one token for the scopes of bare_host",)
        if target.form is Form.URL:
            endpoint = classify(target.path, target.query, settings.path_prefix)
            if not endpoint_scopes(endpoint, settings):
                return (self._no_scopes(target, endpoint),)
        return self._source.looked(target)

    def _no_scopes(self, target: Target, endpoint: Endpoint) -> str:
        if endpoint.repository is not None:
            return f"its rule's actions name nothing that may be done with {endpoint.repository!r}"
        if any(target.authority == realm for _, realm in PAIRS) and not target.path.startswith("/v2/"):
            return "this is a token server: the daemon asks it itself, so its URL gets no credential"
        return endpoint_reason(target, self._settings.path_prefix)

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Ping again, choose methods again, look at the source again."""
        self._learned.forget(wanted)
        self._source.forget()

    async def _read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        login = await self._source.read(identity, target, anew=anew)
        return None if login is None else _usable(login, identity, target)

    async def _locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the login. A rule that names its registry is not answered with nothing where its source is broken (P-12)."""
        identity = await self._source.locate(target, repository)
        named = self._settings.match != "" and self._settings.anonymous != "pull"
        trouble = self._source.trouble(target) if identity is None and named else None
        if trouble is not None:
            raise Failed(trouble)
        return identity

    async def _plan_bare(self, target: Target) -> Plan | None:
        """Which of SC-18's answers a question without a repository gets; a scope-less token would be useless."""
        bare = self._settings.bare_host
        if isinstance(bare, BareHost):
            if self._settings.single_scope:
                return None
            return await self._plan_scopes(target, None, canonical(bare.scopes), "bare host", bare.min_lifetime)
        if bare == "none":
            return None
        identity = await self._locate(target, None)
        if identity is None:
            return None

        async def run(terms: Terms) -> Grant:
            login = await self._read(identity, target, anew=terms.anew)
            if login is not None and isinstance(login.stored, UserPassword):
                return self._basic(login.stored, login, identity)
            return self._empty("the stored credential is no user name and password")

        return self._plan(_Wanted(target, None, identity, (), "bare host, a login for the client's own exchange"), run)

    async def _plan_granted(self, target: Target, grants: tuple[Granted, ...], *, carried: bool) -> Plan | None:
        """For a build action: what policy granted and nothing else, whatever the rule's ``actions`` would add."""
        repositories = [one for one in grants if isinstance(one, Repository)]
        if not repositories:
            return None  # its tokens are for repositories, and an object is none
        scopes = canonical(repository_scope(name, actions) for name, actions in repositories)
        place = plain(target) if self._settings.insecure and (carried or target.form is Form.HOST) else target
        if carried:
            return await self._plan_scopes(place, repositories[0].name, scopes, "gateway", carried=True)
        if target.form is Form.HOST:
            lifetime = BareHost(scopes).min_lifetime
            return await self._plan_scopes(place, None, scopes, "bare host, build action", lifetime, narrow=True)
        return await self._plan_scopes(place, repositories[0].name, scopes, "build action", narrow=True)

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
        identity = await self._locate(target, repository)
        if identity is None:
            if self._settings.anonymous != "pull" and not (carried and self._last):
                return None
            identity = _ANONYMOUS
        first = scopes[:1] if self._settings.single_scope else scopes
        wanted = _Wanted(target, repository, identity, first, kind, min_lifetime)

        async def run(terms: Terms) -> Grant:
            login, grant = await self._granted(wanted, terms)
            reason = refusal(grant, None if login is None else login.stored, wanted.scopes) if narrow else None
            if reason is not None:
                raise failed(Code.USE_GATEWAY, f"no build action may have the credential: {reason}", GATEWAY)
            if grant.lifetime.until is not None and grant.lifetime.until - self._clock.boot() < min_lifetime:
                note = f"the token lives shorter than min_lifetime = {min_lifetime:g}"
                log.warning("no credential for a bare host", registry=target.authority, reason=note)
                # Below min_lifetime the broker asks anew, and would with every question (SC-18.2).
                return self._empty(note, min_lifetime + EMPTY_KEEP)
            return grant

        return self._plan(wanted, run, narrow=narrow)

    def _plan(self, wanted: _Wanted, run: Callable[[Terms], Awaitable[Grant]], *, narrow: bool = False) -> Plan:
        authority = wanted.target.authority
        dial = dial_of(self._settings, wanted.target, exact=self._exact)
        anonymous = wanted.identity is _ANONYMOUS
        return Plan(
            key=("oci", wanted.target.origin, wanted.identity, wanted.scopes, wanted.min_lifetime),
            subject=f"registry {authority!r}",
            upstream=wanted.target.origin,
            trouble=self._source.trouble(wanted.target) if anonymous else None,
            identity=None if anonymous else wanted.identity,
            run=run,
            narrow=narrow,
            reach=Reach(_contact(wanted.target).origin, dial, self._settings.path_prefix or ""),
            min_lifetime=wanted.min_lifetime,
            detail={
                "provider": "oci",
                "registry": authority,
                "credential": str(wanted.identity),
                "kind": wanted.kind,
                "scopes": " ".join(wanted.scopes),
            },
        )

    async def _granted(self, wanted: _Wanted, terms: Terms) -> tuple[Login | None, Grant]:
        """Exchange; where the login is refused, look it up again, and exchange once more if it is another one by now."""
        if wanted.identity is _ANONYMOUS:
            return None, await self._exchange(wanted, None, terms)
        login = await self._read(wanted.identity, wanted.target, anew=terms.anew)
        try:
            return login, await self._exchange(wanted, login, terms)
        except Failed as error:
            newer = await self._newer(wanted, login) if error.failure.code in _LOGIN_REFUSED else None
            if newer is None:
                raise
        log.info("login changed", registry=wanted.target.authority, credential=str(wanted.identity))
        return newer, await self._exchange(wanted, newer, terms)

    async def _newer(self, wanted: _Wanted, login: Login | None) -> Login | None:
        """The login that has taken the place of a refused one; None where it is the same, and the refusal stands."""
        if login is None:
            return None
        try:
            newer = await self._read(wanted.identity, wanted.target, anew=True)
        except Failed as error:  # what the server said is the better answer
            log.warning("login cannot be looked up", credential=str(wanted.identity), reason=error.failure.message)
            return None
        return None if newer is None or newer.stored == login.stored else newer

    async def _exchange(self, wanted: _Wanted, login: Login | None, terms: Terms) -> Grant:
        stored = None if login is None else login.stored
        if login is not None and isinstance(stored, RegistryToken):
            return self._bearer(stored.token, dressed(login, str(wanted.identity), self._clock.boot()), direct=True)
        if stored is None and wanted.identity is not _ANONYMOUS and self._settings.anonymous != "pull":
            return self._empty("the stored entry is empty")
        if stored is not None and not isinstance(stored, (UserPassword, IdentityToken)):
            raise unreadable(
                str(wanted.identity),
                "holds no user name",
                "name one: username = ... in the credentials of its [[host]]",
            )
        contact = _contact(wanted.target)
        second_look = wanted.repository if stored is not None else None
        asked = await self._talks.challenge(contact, second_look, terms)
        match asked.found.asks:
            case Asks.NOTHING:
                return self._empty("the registry asks for no login")
            case Asks.BASIC:
                return self._basic_or_none(login, wanted.identity)
            case Asks.BEARER:
                name, identity = wanted.target.authority, str(wanted.identity)
                wish = Wish(name, wanted.scopes, stored, identity, wanted.mounted)
                token = await self._talks.token(wish, asked, terms)
                odd, less = note(wanted.scopes, token.granted), bool(lacking(wanted.scopes, token.granted))
                return self._bearer(token.value, bounded(token.lifetime, login, self._clock.boot()), odd, less=less)

    def _basic_or_none(self, login: Login | None, identity: Identity) -> Grant:
        if not self._settings.allow_basic:
            return self._empty("the registry takes only Basic, and allow_basic = false")
        if login is not None and isinstance(login.stored, UserPassword):
            return self._basic(login.stored, login, identity)
        return self._empty("the registry takes only Basic, and the stored credential is no user name and password")

    def _basic(self, stored: UserPassword, login: Login, identity: Identity) -> Grant:
        lifetime = dressed(login, str(identity), self._clock.boot())
        return Grant((("Authorization", (basic(stored),)),), lifetime, note="basic handed out", direct=True)

    def _bearer(
        self, token: Secret, lifetime: Lifetime, odd: str = "", *, less: bool = False, direct: bool = False
    ) -> Grant:
        return Grant((("Authorization", (Secret(f"Bearer {token.reveal()}"),)),), lifetime, odd, less, direct)

    def _empty(self, note: str, keep: float = EMPTY_KEEP) -> Grant:
        return Grant((), Lifetime(since=self._clock.boot(), keep=keep), note=note)


def _contact(target: Target) -> Target:
    """The host that has the API: ``docker.io`` has none (TX-2)."""
    return replace(target, host="registry-1.docker.io") if target.authority == "docker.io" else target


def _usable(login: Login, identity: Identity, target: Target) -> Login:
    hint = f"log in again: docker login {target.authority}"
    stored = usable(login.stored, str(identity), hint)
    # Elsewhere a key may stand for the user name; a registry's login has both, or a variable was not set.
    if isinstance(stored, UserPassword) and not stored.password:
        raise unreadable(str(identity), "has an empty password", hint)
    return login
