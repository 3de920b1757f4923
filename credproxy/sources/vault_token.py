"""The token for one Vault: the user's own, or one that was obtained by a login and is kept for its lease."""

import asyncio
from collections.abc import Generator, Hashable, Mapping
from typing import TypeVar

import structlog

from credproxy.core.ask.credential import Identity, Secret, secret_of
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.jwt import whose
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Target
from credproxy.core.ask.vault_values import Lease, VaultServer, VaultToken
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.sources.vault import TOKENS, VaultAuth
from credproxy.exchange.vault_api import log_in, renew_token, token_lease
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.http_client import HttpClient
from credproxy.ports.source import Caches, Source
from credproxy.sources.source_exchange import hold
from credproxy.sources.watched_file import Watched


T = TypeVar("T")

_AGAIN = 2 / 3
"""Fraction of its lifetime after which a token is renewed: enough is left to try again, and then to log in."""

_PAUSE = 10.0
"""Seconds until the next try after a failed renewal, and between two logins that a refused token causes."""

log = structlog.get_logger("credproxy.sources")


class VaultTokens:
    """The token for one server and one way to log in, shared by all secrets read with it.

    Args:
        server: that the token is for.
        auth: how to log in; None for the user's own token.
        proof: where lies what the login begins with; None if there is none.
        environ: of the daemon.

    Attributes:
        server: likewise.
    """

    def __init__(
        self,
        server: VaultServer,
        auth: VaultAuth | None,
        *,
        proof: Source | None,
        environ: Mapping[str, str],
        files: Files,
        http: HttpClient,
        clock: Clock,
    ) -> None:
        self.server = server
        self._auth = auth
        self._proof = proof
        self._environ = environ
        self._http = http
        self._clock = clock
        self._variable = next((name for name in TOKENS if environ.get(name)), None)
        home = environ.get("HOME")
        path = f"{home}/.vault-token" if home and auth is None and self._variable is None else None
        self._file: Watched[str] = Watched(path, "", parse=_text, name="vault", files=files, clock=clock)
        self._asking = asyncio.Lock()
        self._kept: VaultToken | None = None
        self._whole = 0.0
        self._flushes = 0
        self._proven_by: Hashable = None
        self._subject: Secret | tuple[str, str] | None = None
        self._subjects = 0
        self._again = float("-inf")
        self._doubted = float("-inf")

    async def hold(self, conversation: Generator[Request, Response, T]) -> T:
        """Talk to the server. Raises Failed as the conversation and ``HttpClient.send`` do."""
        return await hold(conversation, self._http, clock=self._clock)

    @property
    def obtained(self) -> bool:
        """Whether tokens come from a login by the daemon, which can obtain another one."""
        return self._auth is not None and self._auth.login(Secret("")) is not None

    async def locate(self, target: Target) -> Hashable | None:
        """Give a value that changes with the user's token; None if there is none. Asks no server, and reads no secret of Vault."""
        if self._proof is not None:
            found = await self._proof.locate(target, None)
            if found is None or not self.obtained:
                return None if found is None else (found.source, found.entry, found.version)
            return await self._of_subject(self._proof, found, target)
        if self._variable is not None:
            return (self._variable,)
        await self._file.look()
        return (self._file.version.stamp,) if self._file.version is not None and self._file.content else None

    async def _of_subject(self, proof: Source, found: Identity, target: Target) -> Hashable:
        """What changes with whom a file proves: a pod's token is replaced each hour, and stays the pod's; the next job's is not.

        A token that was obtained for another one is forgotten, also if it arrives only now. What a program or a variable proves
        changes with a login alone.
        """
        if isinstance(found.version, tuple) and found.version != self._proven_by:
            login = await proof.read(found, target)
            if login is not None:
                secret = secret_of(login.stored)
                subject = whose(secret.reveal()) or secret
                if self._subject is not None and subject != self._subject:
                    self._subjects += 1
                    self._flushes += 1
                    self._kept = None
                self._proven_by, self._subject = found.version, subject
        return (self._subjects,)

    async def token(self, target: Target) -> VaultToken:
        """Give the token, obtained or renewed if it is time.

        Raises:
            Failed: credential_unreadable (there is none), what the source of the proof raises, and those of
                ``exchange.vault_api.log_in``.
        """
        if not self.obtained:
            return VaultToken(await self._own(target), Lease(self._clock.boot(), None))
        async with self._asking:
            kept, now = self._kept, self._clock.boot()
            if kept is not None and now < self._again:
                return kept
            flushes = self._flushes
            new = await self._next(kept, target)
            if flushes != self._flushes:
                self._kept = None
            return new

    def refused(self, token: VaultToken) -> bool:
        """Note that Vault refused the token; tell whether another one may be obtained now, which is once in ten seconds."""
        now = self._clock.boot()
        if not self.obtained or now - self._doubted < _PAUSE:
            return False
        if self._kept is token:  # and not one that was obtained meanwhile
            self._doubted, self._kept = now, None
        return True

    async def end(self, token: VaultToken) -> float | None:
        """Boot-clock seconds at which a token ends, which ends its secrets' leases, too; None if that is not known."""
        if self.obtained:
            return token.lease.until
        lease = await self.hold(token_lease(self.server, token.value))
        return None if lease is None else lease.until

    def trouble(self) -> Failure | None:
        """Why the file with the user's token cannot be read."""
        return self._file.failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say where no token was found."""
        if self._proof is not None:
            return self._proof.looked(target)
        names = " nor ".join(TOKENS)
        said = f"neither {names} is set in the daemon's environment"
        if self._file.path is None:
            return (said, "the file .vault-token is not looked for: HOME is not set")
        empty = "is empty" if self._file.version is not None else "is not there"
        return (said, f"the file {self._file.path!r} {empty}")

    def forget(self) -> None:
        """Make the next question log in."""
        self._flushes += 1
        self._kept = None
        self._file.forget()
        if self._proof is not None and isinstance(self._proof, Caches):
            self._proof.forget()

    async def _own(self, target: Target) -> Secret:
        if self._proof is not None:
            return await self._proven(self._proof, target)
        text = self._environ[self._variable] if self._variable is not None else self._file.content
        return Secret(text.strip())

    async def _next(self, kept: VaultToken | None, target: Target) -> VaultToken:
        """Renew the kept token, or log in; a failure does not discard a token that is still valid."""
        try:
            new = (None if kept is None else await self._renewed(kept)) or await self._log_in(target)
        except Failed as error:
            until = None if kept is None else kept.lease.until
            if kept is None or (until is not None and self._clock.boot() >= until - 1):
                raise
            log.warning("token of vault not renewed", server=self.server.origin, reason=error.failure.message)
            self._again = self._clock.boot() + _PAUSE
            return kept
        seconds = new.lease.seconds
        self._kept = new
        self._again = float("inf") if seconds is None else new.lease.since + seconds * _AGAIN
        return new

    async def _renewed(self, kept: VaultToken) -> VaultToken | None:
        until = kept.lease.until
        if not kept.lease.renewable or (until is not None and self._clock.boot() >= until):
            return None
        new = await self.hold(renew_token(self.server, kept.value))
        # Near its maximum lifetime, Vault grants less and less.
        worthwhile = new is not None and (new.lease.seconds is None or new.lease.seconds >= self._whole * _AGAIN)
        return new if worthwhile else None

    async def _log_in(self, target: Target) -> VaultToken:
        assert self._auth is not None
        assert self._proof is not None
        login = self._auth.login(await self._proven(self._proof, target))
        assert login is not None
        token = await self.hold(log_in(self.server, login))
        self._whole = token.lease.seconds or 0.0
        log.info("logged in to vault", server=self.server.origin, mount=login.mount, seconds=token.lease.seconds)
        return token

    async def _proven(self, proof: Source, target: Target) -> Secret:
        found = await proof.locate(target, None)
        login = None if found is None else await proof.read(found, target)
        if login is None:
            looked = "; ".join(proof.looked(target)) or "there is nothing"
            what = f"what the login to {self.server.name} begins with"
            raise unreadable(what, f"is not there: {looked}", hint="store it there, or name another place in auth")
        return secret_of(login.stored)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").strip()
