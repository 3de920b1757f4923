"""The conversation with one registry and its token server, as the provider of a host rule holds it.

What it taught is read from, and stored in, ``Learned``. Source: docs/design/exchanges.md#token-requests.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog

from credproxy.core.ask.credential import IdentityToken, UserPassword
from credproxy.core.ask.target import Target
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.discovery import Asks, Found, discover
from credproxy.exchange.plan import RegistryRule
from credproxy.exchange.registry_token import Obtained, Order, obtain
from credproxy.exchange.token_answer import Token
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient, converse
from credproxy.ports.terms import Terms
from credproxy.providers.learned import Learned, LearnedRegistry, Rotation


CHALLENGE_KEEP = 3600.0
"""Seconds for which a registry's challenge is valid (TX-1)."""

log = structlog.get_logger("credproxy.providers")


class Challenged(NamedTuple):
    """What a registry asks for, and what else is known about it."""

    known: LearnedRegistry
    found: Found


@dataclass(frozen=True, slots=True)
class Wish:
    """A token that is wanted.

    Attributes:
        registry: authority, for messages.
        scopes: canonical, the primary one first.
        login: None for an anonymous token.
        login_name: which stored credential it is, for messages.
        mounted: those of ``scopes`` that an upload can do without.
    """

    registry: str
    scopes: tuple[str, ...]
    login: UserPassword | IdentityToken | None
    login_name: str
    mounted: tuple[str, ...] = ()


class Talks:
    """Asks the registries of one host rule, and their token servers.

    Args:
        rule: for which registries, and how.
        http: sends.
        clock: judges how long a challenge is valid.
        learned: what was asked before.
    """

    def __init__(self, rule: RegistryRule, *, http: HttpClient, clock: Clock, learned: Learned) -> None:
        self._rule = rule
        self._http = http
        self._clock = clock
        self._learned = learned

    async def challenge(self, target: Target, second_look: str | None, *, terms: Terms) -> Challenged:
        """Ask a registry what it wants, unless it said so within the hour.

        Raises:
            Failed: as ``discover``; callers that wait for a ping that fails share its failure.
        """
        registry = self._rule.registry(target)
        known = self._learned.registry(registry)
        ping = known.pings[terms.for_actions]
        refusals = ping.refusals
        async with ping.held:  # forty images of one registry, asked about at once, cause one ping
            if known.found is not None and self._clock.boot() < known.until:
                return Challenged(known, known.found)
            shared = ping.shared(refusals, terms.patience)
            if shared is not None:
                raise Failed(shared)
            ping.patience = terms.patience
            try:
                found = await converse(discover(registry, second_look), self._http, terms=terms)
            except Failed as error:
                ping.refusal, ping.refusals = error.failure, ping.refusals + 1
                raise
            # "No login" holds for one repository at one moment, not for the registry for an hour (TX-3).
            if found.asks is not Asks.NOTHING:
                self._remember(target, known, found)
            return Challenged(known, found)

    async def token(self, wish: Wish, asked: Challenged, *, terms: Terms) -> Token:
        """Obtain a token.

        Raises:
            Failed: as ``obtain``; expired_on_arrival.
        """
        token = (await self._obtained(wish, asked, terms)).token
        if token.lifetime.until is not None and token.lifetime.until <= self._clock.boot():
            raise failed(
                Code.EXPIRED_ON_ARRIVAL,
                f"token server {asked.found.authority!r} gave a token that had expired when it arrived",
                hint="check this machine's clock, and the server's",
            )
        return token

    def _remember(self, target: Target, known: LearnedRegistry, found: Found) -> None:
        if known.found is not None and known.found.realm != found.realm:
            before, now = known.found.authority, found.authority
            log.warning("token server changed", registry=target.authority, before=before, now=now)
            known.methods.clear()
        known.found, known.until = found, self._clock.boot() + CHALLENGE_KEEP

    async def _obtained(self, wish: Wish, asked: Challenged, terms: Terms) -> Obtained:
        if not isinstance(wish.login, IdentityToken):
            return await self._converse(wish, asked, terms)
        rotation = self._learned.rotation(asked.found, wish.login.token, registry=wish.registry)
        if rotation.steady:
            return await self._refreshed(wish, wish.login, rotation, asked, terms)
        async with rotation.alone(for_actions=terms.for_actions):
            return await self._refreshed(wish, wish.login, rotation, asked, terms)

    async def _refreshed(
        self, wish: Wish, login: IdentityToken, rotation: Rotation, asked: Challenged, terms: Terms
    ) -> Obtained:
        used = rotation.token or login.token
        try:
            obtained = await self._converse(replace(wish, login=replace(login, token=used)), asked, terms)
        except Failed as error:
            if error.failure.code is not Code.BAD_CREDENTIALS:
                raise
            if rotation.token is None or rotation.token == used:
                rotation.token = None  # the stored one may be good when this one is not
                raise
        else:
            rotation.note(used, obtained.token.refresh_token)
            return obtained
        # A server that had not rotated before did so in another exchange while this one was under way.
        return await self._obtained(wish, asked, terms)

    async def _converse(self, wish: Wish, asked: Challenged, terms: Terms) -> Obtained:
        """Ask the token server, unless it refuses this login whatever it is asked for."""
        refused = self._learned.refused
        tried = refused.tried(asked.found.authority, wish.login)
        if tried is None:
            return await self._sent(wish, asked, terms)
        standing = refused.standing(tried, self._clock.boot(), for_actions=terms.for_actions)
        if standing is not None:
            raise Failed(standing)
        try:
            obtained = await self._sent(wish, asked, terms)
        except Failed as error:
            if error.failure.code is Code.BAD_CREDENTIALS:
                refused.refused(tried, error.failure, now=self._clock.boot(), for_actions=terms.for_actions)
            raise
        refused.taken(tried, self._clock.boot())
        return obtained

    async def _sent(self, wish: Wish, asked: Challenged, terms: Terms) -> Obtained:
        (known, found), settings = asked, self._rule.settings
        kind = None if wish.login is None else type(wish.login)
        order = Order(
            found=found,
            scopes=wish.scopes,
            credential=wish.login,
            credential_name=wish.login_name,
            registry=wish.registry,
            fixed=settings.method,
            method=known.methods.get(kind),
            password_grant=settings.allow_password_grant,
            account=settings.account_param,
            trust_jwt_exp=settings.trust_jwt_exp,
            mounted=wish.mounted,
        )
        try:
            obtained = await converse(obtain(order), self._http, terms=terms)
        except Failed as error:
            if error.failure.code is Code.NO_CHALLENGE:  # the endpoint is gone: ask the registry again (TX-1)
                known.until = 0.0
                known.methods.clear()
            raise
        known.methods[kind] = obtained.method
        return obtained
