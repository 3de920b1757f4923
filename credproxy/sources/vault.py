"""A secret of HashiCorp Vault or OpenBao: stored by somebody, or generated for us and leased."""

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace

from credproxy.core.ask.credential import Identity, Stored
from credproxy.core.ask.login import STATIC_KEEP, Login, login_of
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.ask.urls import server_problem
from credproxy.core.ask.vault_values import Lease, VaultSecret, VaultToken
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.sources.vault import ADDRESSES, STORE_ITSELF, WHOLE, VaultSource
from credproxy.exchange.vault_api import read_secret, renew_lease
from credproxy.ports.clock import Clock
from credproxy.sources.program_answers import Printed, ProgramAnswer
from credproxy.sources.vault_token import VaultTokens


_WORTHWHILE = 2 / 3
"""Fraction of a lease's first duration that a renewed one must have: near its maximum lifetime, Vault grants less and
less."""


@dataclass(frozen=True, slots=True)
class _Leased:
    """A dynamic secret that is in use.

    Attributes:
        whose: what ``VaultTokens.locate`` gave for the token that it was read with: another user does not get it.
        text: the whole secret.
        stored: the part that is given.
        lease: as last renewed.
        whole: seconds of its first duration.
    """

    whose: Hashable
    text: bytes = field(repr=False)
    stored: Stored
    lease: Lease
    whole: float


class Vault:
    """One secret. Source: ports.source.Source.

    A stored secret is looked up again within five minutes. A generated one lives as long as its lease, which is renewed
    while there are questions; if that fails, another one is read.

    Args:
        settings: where the secret is.
        tokens: gives the token for its server; None if nobody names one.
        key: random bytes of this process, for comparing secrets without keeping them.
    """

    def __init__(
        self,
        settings: VaultSource,
        tokens: VaultTokens | None,
        *,
        clock: Clock,
        key: Callable[[], bytes],
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._clock = clock
        self._answer = ProgramAnswer(keep=STATIC_KEEP, key=key(), clock=clock)
        self._leased: _Leased | None = None
        self._flushes = 0

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the secret; None if there is no server, or no token for it.

        Raises:
            Failed(credential_unreadable): the server's address cannot be used; and what the source of the login raises.
        """
        del repository
        tokens = self._tokens
        if tokens is None:
            return None
        origin = tokens.server.origin
        if problem := server_problem(origin, insecure=self._settings.insecure):
            raise unreadable(
                "the address of Vault", f"cannot be used: {problem}", hint='address = "https://..." in the rule'
            )
        stamp = await tokens.locate(target)
        if stamp is None:
            return None
        place = "/".join(filter(None, (origin.partition("://")[2], tokens.server.namespace, self._settings.path)))
        return Identity("vault", place, (stamp, self._answer.count))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the secret.

        Raises:
            Failed: credential_unreadable (no such secret, or not such a field), bad_credentials, denied, bad_token,
                redirect_refused; and those of ``HttpClient.send``.
        """
        assert self._tokens is not None
        assert isinstance(identity.version, tuple)
        tokens, whose = self._tokens, identity.version[0]

        async def ask() -> Printed:
            flushes = self._flushes
            found = await self._ask(tokens, target, whose, anew=anew)
            if flushes != self._flushes:
                self._leased = None
            return found

        return await self._answer.login(ask, anew=anew, stamp=whose)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the remembered secret; Vault is not asked."""
        del identity, target
        return self._answer.known

    def trouble(self, target: Target) -> Failure | None:
        """Why the file with the token cannot be read."""
        del target
        return None if self._tokens is None else self._tokens.trouble()

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say which variables and files name no server, or hold no token."""
        if self._tokens is None:
            names = " nor ".join(ADDRESSES)
            return (f"neither {names} is set in the daemon's environment, and the rule has no address",)
        return self._tokens.looked(target)

    def forget(self) -> None:
        """Make the next question log in, and read."""
        self._flushes += 1
        self._answer.forget()
        self._leased = None
        if self._tokens is not None:
            self._tokens.forget()

    async def _ask(self, tokens: VaultTokens, target: Target, whose: Hashable, *, anew: bool) -> Printed:
        """Renew the secret in use, or read the current one."""
        since = self._clock.boot()
        if self._leased is not None and self._leased.whose == whose and not anew:
            token = await tokens.token(target)
            renewed = await self._renewed(self._leased, tokens, token)
            if renewed is not None:
                return await self._in_use(renewed, tokens, token)
        token, secret = await self._read(tokens, target)
        text = json.dumps(secret.fields, sort_keys=True).encode()
        stored = self._picked(secret.fields, tokens)
        if secret.lease is not None:
            leased = _Leased(whose, text, stored, secret.lease, secret.lease.seconds or 0.0)
            return await self._in_use(leased, tokens, token)
        self._leased = None
        return text, self._static(stored, secret, since)

    async def _in_use(self, leased: _Leased, tokens: VaultTokens, token: VaultToken) -> Printed:
        self._leased = leased
        return leased.text, self._bounded(leased, await tokens.end(token))

    async def _read(self, tokens: VaultTokens, target: Target) -> tuple[VaultToken, VaultSecret]:
        """Read the secret; once more if the token was revoked early and another one can be obtained."""
        token = await tokens.token(target)
        try:
            return token, await tokens.hold(read_secret(tokens.server, self._settings.path, token=token.value))
        except Failed as error:
            if error.failure.code is not Code.BAD_CREDENTIALS or not tokens.refused(token):
                raise
        token = await tokens.token(target)
        return token, await tokens.hold(read_secret(tokens.server, self._settings.path, token=token.value))

    async def _renewed(self, leased: _Leased, tokens: VaultTokens, token: VaultToken) -> _Leased | None:
        """The same secret with more time; None if another one has to be read."""
        until = leased.lease.until
        if not leased.lease.renewable or (until is not None and self._clock.boot() >= until):
            return None
        try:
            lease = await tokens.hold(renew_lease(tokens.server, leased.lease, token=token.value))
        except Failed:  # reading another one may still work, or say better what is wrong
            return None
        if lease is None or (lease.seconds is not None and lease.seconds < leased.whole * _WORTHWHILE):
            return None
        return replace(leased, lease=lease)

    def _static(self, stored: Stored, secret: VaultSecret, since: float) -> Login:
        """A stored secret, until it is looked up again, or its version is deleted."""
        boot, wall = self._clock.boot(), self._clock.wall()
        keep = STATIC_KEEP if secret.keep is None else min(STATIC_KEEP, secret.keep)
        login = login_of(stored, since=since, boot=boot, wall=wall, keep=keep)
        return login if secret.wall_until is None else self._ending(login, boot + secret.wall_until - wall)

    def _bounded(self, leased: _Leased, token_until: float | None) -> Login:
        """A dynamic secret, which ends with its lease and with the token that it was read with."""
        boot, wall = self._clock.boot(), self._clock.wall()
        login = login_of(leased.stored, since=leased.lease.since, boot=boot, wall=wall)
        for until in (leased.lease.until, token_until):
            login = login if until is None else self._ending(login, until)
        return login

    def _ending(self, login: Login, until: float) -> Login:
        if login.until is not None and login.until <= until:
            return login
        return replace(login, until=until, wall_until=self._clock.wall() + until - self._clock.boot())

    def _picked(self, fields: Mapping[str, object], tokens: VaultTokens) -> Stored:
        """The fields that make the secret, and the user name."""
        settings, where = self._settings, f"the secret {self._settings.path!r} of {tokens.server.name}"
        name, user = settings.field, settings.username_field
        if name is None and "password" in fields:
            name = "password"
            user = user or ("username" if settings.username is None and "username" in fields else None)
        if name is None and len(fields) == 1:
            (name,) = fields
        if name is None:
            raise unreadable(where, f"has several fields: {_names(fields)}", hint='name the one to send: field = "..."')
        text = json.dumps(fields) if name == WHOLE else _text(fields, name, where)
        whose = settings.username if user is None else _text(fields, user, where)
        return from_text(text, whose, where=f"the field {name!r} of {where.removeprefix('the ')}", hint=STORE_ITSELF)


def _text(fields: Mapping[str, object], name: str, where: str) -> str:
    """A field's text; numbers and tables as JSON has them."""
    value = fields.get(name)
    if value is None:
        hint = 'name one that it has: field = "...", username_field = "..."'
        raise unreadable(where, f"has no field {name!r}: it has {_names(fields)}", hint=hint)
    return value if isinstance(value, str) else json.dumps(value)


def _names(fields: Mapping[str, object]) -> str:
    return ", ".join(map(repr, sorted(fields))) or "none"
