"""``provider = "oauth2"``: an access token from an identity provider, obtained by one exchange for all URIs of a rule.

What is asked for, and how, is in ``exchange.oauth_token``; which server, in ``exchange.oauth_server``; with which secrets, in
``oauth_secrets``. A refresh token is used in a turn of its own (``ports.source.Turn``): before it is sent, that is noted,
and a new one from the server is stored before the answer is used for anything.
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import NamedTuple

import structlog

from credproxy.core.ask.credential import Grant, Secret, secret_of
from credproxy.core.ask.http import Dial
from credproxy.core.ask.login import bounded
from credproxy.core.ask.stored import not_stored
from credproxy.core.ask.target import Question, Target
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.exchange import oauth_revocation, oauth_token
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_refusals import GrantRefused
from credproxy.exchange.oauth_server import OauthServer, find
from credproxy.exchange.oauth_token import OauthLimits, OauthToken
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient, converse
from credproxy.ports.provider import Plan
from credproxy.ports.source import Rewritable, Turn
from credproxy.ports.terms import Terms
from credproxy.providers.narrowing import check_opened
from credproxy.providers.oauth_secrets import LocatedSecrets, OauthSecrets


DOCUMENT_KEEP = 3600.0
"""Seconds that an issuer's document is cached."""

_AGAIN = 2.0
"""Seconds of patience that are worth another try with another assertion."""

log = structlog.get_logger("credproxy.providers")


class LoginMeans(NamedTuple):
    """What a person's login begins with: see ``oauth_device`` and ``oauth_code``."""

    server: OauthServer
    client: OauthClient
    limits: OauthLimits


class OauthProvider:
    """Answers for one rule. Source: ports.provider.Provider.

    Args:
        rule: what is asked for.
        secrets: what it is asked with.
        http: sends.
        clock: judges lifetimes.
    """

    def __init__(self, rule: OauthHost, *, secrets: OauthSecrets, http: HttpClient, clock: Clock) -> None:
        self._rule = rule
        self._secrets = secrets
        self._http = http
        self._clock = clock
        self._wanted = OauthLimits(rule.scope, rule.audience, rule.resource)
        dial = Dial(
            networks=rule.allow_private,
            own=True,  # a rule names the server, or its issuer
            ca_bundle=rule.ca_bundle,
            client_cert=rule.client_cert,
            client_key=rule.client_key,
            proxy=rule.proxy,
            rule=rule.match,
            kind=rule.tag(),
        )
        self._named = OauthServer(
            dial, rule.issuer or "", rule.token_url or "", rule.device_url or "", rule.authorize_url or ""
        )
        self._found: OauthServer | None = None
        self._until = float("-inf")

    async def plan(self, question: Question) -> Plan | None:
        """Every URI of the rule gets the token, except those that are signed.

        Raises:
            Failed(credential_unreadable): a secret is not stored where the rule says.
        """
        if self._rule.withheld(question.target):
            return None
        narrow = self._narrowed(question)
        limits = narrow or self._wanted
        located = await self._secrets.locate(question.target)

        async def run(terms: Terms) -> Grant:
            return await self._run(located, limits, terms, narrow=narrow is not None)

        return Plan(
            key=(self._rule.tag(), *self._asked_for(), *limits.parts, located.identity),
            subject=self._named.subject,
            narrow=narrow is not None,
            upstream=f"oauth2:{self._named.issuer or self._named.token_url}",
            run=run,
            identity=located.identity,
            detail={
                "provider": self._rule.tag(),
                "server": self._named.issuer or self._named.token_url,
                "client": self._rule.client_id,
                "grant": self._rule.grant,
                **limits.told(),
                "credential": str(located),
            },
        )

    async def check(self, plan: Plan, target: Target) -> None:
        """Look at what is stored. Raises Failed(credential_unreadable)."""
        del plan
        await self._secrets.check(target)

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with one of its sources."""
        return self._secrets.trouble(target)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """Why a URI gets nothing."""
        withheld = self._rule.withheld(question.target)
        return (withheld,) if withheld else ()

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Ask the issuer again."""
        del wanted
        self._until = float("-inf")

    async def begin(self, target: Target, terms: Terms, *, revoking: bool = False) -> LoginMeans:
        """What a login begins or ends with. Made again before each request if the server accepts the client's proof only once.

        Args:
            target: what is logged in to.
            terms: limits of the conversation.
            revoking: the server's document is wanted even where the rule names all that a login needs.

        Raises:
            Failed: as ``oauth_server.find``; credential_unreadable.
        """
        enough = self._named.complete and not (revoking and self._named.issuer)
        server = self._named if enough else await converse(find(self._named), self._http, terms=terms)
        located = await self._secrets.read(await self._secrets.locate(target, client_alone=True))
        return LoginMeans(server, await self._secrets.client(server, located), self._wanted)

    async def revoke(self, target: Target, terms: Terms) -> str:
        """Revoke the refresh token that is stored, as it is once nobody else uses it.

        Returns:
            The server's name; "" if nothing is stored.

        Raises:
            Failed: no_challenge (the server does not say where); as ``oauth_revocation.revoke``, ``begin`` and a source's turn.
        """
        source = self._secrets.sources["refresh_token"]
        identity = await source.locate(target, None)
        if identity is None:
            return ""
        server, client, _ = await self.begin(target, terms, revoking=True)
        if not server.revocation_url:
            message = f"{server.subject} does not say where that is done"
            raise failed(Code.NO_CHALLENGE, message, hint="see whether its document has a revocation_endpoint")
        assert isinstance(source, Rewritable)  # OauthHost.mistakes
        async with source.turn(identity, target, until=terms.patience) as turn:
            if turn.login is None:
                return ""
            token = secret_of(turn.login.stored)
            await converse(oauth_revocation.revoke(server, client, token=token), self._http, terms=terms)
        return server.subject

    async def _server(self, terms: Terms) -> OauthServer:
        """The server that gives the tokens. Raises Failed as ``oauth_server.find``."""
        if self._named.token_url:
            return self._named
        if self._found is None or self._clock.boot() >= self._until:
            self._found = await self._looked_up(terms)
            self._until = self._clock.boot() + DOCUMENT_KEEP
        return self._found

    async def _looked_up(self, terms: Terms) -> OauthServer:
        try:
            return await converse(find(self._named), self._http, terms=terms)
        except Failed as error:
            if self._found is None or not error.failure.may_pass:
                raise
            # An issuer whose documents cannot be had at the moment has not moved.
            log.warning("issuer cannot be asked", issuer=self._named.issuer, reason=error.failure.message)
            return self._found

    def _asked_for(self) -> tuple[Hashable, ...]:
        """The key that two rules share if they share a token."""
        rule = self._rule
        return (
            self._named.issuer,
            self._named.token_url,
            rule.client_id,
            rule.authentication,
            rule.grant,
            rule.subject,
            rule.subject_token_type,
            rule.requested_token_type,
            rule.header,
            rule.prefix,
        )

    def _narrowed(self, question: Question) -> OauthLimits | None:
        """What a token for a build action is limited to; None if nobody asks for that, or it cannot be.

        Raises:
            Failed(use_gateway): as ``check_opened``.
        """
        if question.grants is None or question.for_gateway or not check_opened(self._rule, question, calls="token"):
            return None
        resource = self._rule.resource_of(question.target)
        return None if resource is None else replace(self._wanted, resource=(resource,))

    async def _run(self, located: LocatedSecrets, limits: OauthLimits, terms: Terms, *, narrow: bool) -> Grant:
        located = await self._secrets.read(located, anew=terms.anew)
        try:
            token = await self._asked(located, limits, terms)
        except GrantRefused as refused:
            refusal = refused.failure.code is Code.BAD_CREDENTIALS
            newer = await self._secrets.newer(located) if refusal else None
            if newer is None:
                raise
            log.info("login changed", server=self._named.subject, credential=str(located))
            located = newer
            token = await self._asked(located, limits, terms)
        if narrow:
            oauth_token.check_limited(self._found or self._named, limits, token=token)
        return self._grant(token, located)

    async def _asked(self, located: LocatedSecrets, limits: OauthLimits, terms: Terms) -> OauthToken:
        server = await self._server(terms)
        if self._rule.grant == "refresh_token":
            return await self._refreshed(server, located, limits, terms)
        try:
            return await self._once(server, located, limits, terms)
        except Failed as error:
            signed, left = self._rule.key_file is not None, terms.patience - self._clock.boot()
            if isinstance(error, GrantRefused) or not (signed and error.failure.may_pass and left > _AGAIN):
                raise
            # The server may have taken that assertion, and would not take it again.
            return await self._once(server, located, limits, terms)

    async def _once(
        self, server: OauthServer, located: LocatedSecrets, limits: OauthLimits, terms: Terms
    ) -> OauthToken:
        client, proof = await self._secrets.client(server, located), await self._secrets.proof(server, located)
        try:
            return await converse(
                oauth_token.obtain(server, client, proof=proof, limits=limits), self._http, terms=terms
            )
        except Failed as error:
            if isinstance(error, GrantRefused) or not error.failure.may_pass:
                raise
            # What is sent once here is signed again each time: nothing that is stored may have been spent.
            raise Failed(replace(error.failure, hint="check the network, then try again")) from None

    async def _refreshed(
        self, server: OauthServer, located: LocatedSecrets, limits: OauthLimits, terms: Terms
    ) -> OauthToken:
        source, identity = self._secrets.sources["refresh_token"], located.identities["refresh_token"]
        setup, client = (
            self._rule.setup_of("refresh_token", located.target),
            await self._secrets.client(server, located),
        )
        assert isinstance(source, Rewritable)  # OauthHost.mistakes
        async with source.turn(identity, located.target, until=min(terms.patience, terms.deadline)) as turn:
            if turn.login is None:
                raise not_stored("no refresh_token", source.looked(located.target), setup=setup)
            used = secret_of(turn.login.stored)
            proof = oauth_token.of_refresh_token(used, name=str(identity), setup=setup)
            await turn.sent()
            try:
                token = await converse(
                    oauth_token.obtain(server, client, proof=proof, limits=limits), self._http, terms=terms
                )
            except Failed as error:
                raise await _unanswered(error, turn, setup) from None
            given = token.token.refresh_token
            await (turn.settled() if given is None or given == used else turn.store(given))
            return token

    def _grant(self, token: OauthToken, located: LocatedSecrets) -> Grant:
        lifetime, boot = token.token.lifetime, self._clock.boot()
        for login in located.logins.values():
            lifetime = bounded(lifetime, login, boot=boot)
        note = f"grants less than was asked for: not {' '.join(token.lacking)}" if token.lacking else ""
        value = Secret(self._rule.prefix + token.token.value.reveal())
        return Grant(((self._rule.header, (value,)),), lifetime, note, bool(token.lacking))


async def _unanswered(error: Failed, turn: Turn, setup: str) -> Failed:
    """Whether the token may have been spent: a server that refused has not spent it; otherwise nobody knows (U14)."""
    failure = error.failure
    if isinstance(error, GrantRefused) and failure.code is Code.BAD_CREDENTIALS and turn.doubtful:
        before = (
            f"{failure.message}; the answer to its renewal was lost before, and another one may have taken its place"
        )
        return GrantRefused(replace(failure, message=before))
    if isinstance(error, GrantRefused) or failure.unsent:
        await turn.settled()
        return error
    hint = f"run the build again; the refresh token may have been spent: if this goes on, {setup}"
    return Failed(replace(failure, hint=hint))
