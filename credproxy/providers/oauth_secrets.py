"""The secrets of one ``oauth2`` rule: what its sources and its key file hold, and what a token server is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from credproxy.core.ask.credential import Identity, Secret, secret_of
from credproxy.core.ask.login import Login
from credproxy.core.ask.stored import not_stored, unreadable, usable
from credproxy.core.ask.target import Target
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.exchange import oauth_token
from credproxy.exchange.oauth_client import OauthClient, claims
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import Proof
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.signing import Signer
from credproxy.ports.source import Source
from credproxy.ports.trouble import first_trouble, trouble_of


SECRET: Final = "client_secret"  # noqa: S105  a key of the rule
KEY: Final = "key_file"

log = structlog.get_logger("credproxy.providers")


@dataclass(frozen=True, slots=True)
class KeyTools:
    """What a private key is read and used with.

    Attributes:
        files: reads it.
        signer: signs with it.
        home: the directories above it are not judged; "" for none.
        nonce: gives a text that nobody has seen.
    """

    files: Files
    signer: Signer
    home: str
    nonce: Callable[[], str]


@dataclass(frozen=True, slots=True)
class LocatedSecrets:
    """The secrets that answer one question: their names, and their values once they have been read.

    Attributes:
        target: of the question.
        identities: by the key of the rule, what is spent first.
        logins: of the sources among them; empty until they were read.
    """

    target: Target
    identities: Mapping[str, Identity]
    logins: Mapping[str, Login] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """One for all of them: it changes when one of them does."""
        first, *others = self.identities.values()
        return replace(first, version=(first.version, *others)) if others else first

    def secret(self, key: str) -> Secret:
        """What a source holds."""
        return secret_of(self.logins[key].stored)

    def name(self, key: str) -> str:
        """Where that is, for messages."""
        return str(self.identities[key])

    def __str__(self) -> str:
        return ", ".join(map(str, self.identities.values()))


class OauthSecrets:
    """Finds and reads them.

    Args:
        rule: which.
        sources: where, by the key of the rule.
        keys: for its key file.
        clock: tells the time that is signed.
    """

    def __init__(self, rule: OauthHost, *, sources: Mapping[str, Source], keys: KeyTools, clock: Clock) -> None:
        self._rule = rule
        self._keys = keys
        self._clock = clock
        self.sources = sources

    async def locate(self, target: Target, *, client_alone: bool = False) -> LocatedSecrets:
        """Name them, without reading one.

        Args:
            target: of the question.
            client_alone: no more than what the client itself has.

        Raises:
            Failed(credential_unreadable): one is not where the rule says.
        """
        found = {}
        for key, source in self.sources.items():
            if key == SECRET or not client_alone:
                found[key] = await source.locate(target, None) or self._absent(key, source, target)
        if self._rule.key_file is not None:
            found[KEY] = await self._key_identity(self._rule.key_file, target)
        return LocatedSecrets(target, found)

    async def read(self, located: LocatedSecrets, *, anew: bool = False) -> LocatedSecrets:
        """Read what the sources hold. Raises Failed: what a source raises; credential_unreadable."""
        logins = {}
        for key, identity in located.identities.items():
            if key != KEY:
                login = await self.sources[key].read(identity, located.target, anew=anew)
                logins[key] = self._usable(login, key, str(identity), target=located.target)
        return replace(located, logins=logins)

    async def newer(self, located: LocatedSecrets) -> LocatedSecrets | None:
        """The secrets that have replaced refused ones; None if they are the same, and the refusal stands."""
        try:
            newer = await self.read(located, anew=True)
        except Failed as error:  # what the server said is the better answer
            log.warning("login cannot be looked up", credential=str(located), reason=error.failure.message)
            return None
        changed = any(newer.logins[key].stored != login.stored for key, login in located.logins.items())
        return newer if changed else None

    async def check(self, target: Target) -> None:
        """Look at what is stored, as far as no program has to be started for that. Raises as ``read``."""
        for key, identity in (await self.locate(target)).identities.items():
            login = await self.sources[key].peek(identity, target) if key != KEY else None
            if login is not None:
                self._usable(login, key, str(identity), target=target)

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with one of its sources."""
        return first_trouble(self.sources.values(), target)

    async def client(self, server: OauthServer, located: LocatedSecrets) -> OauthClient:
        """Say who the client is. Raises Failed(credential_unreadable): its key cannot be used."""
        rule = self._rule
        match rule.authentication:
            case "none":
                return OauthClient(rule.client_id)
            case "private_key_jwt":
                audience = rule.assertion_audience or server.issuer or server.token_url
                signed = await self._signed(located, rule.client_id, audience)
                return OauthClient(rule.client_id, "private_key_jwt", signed, located.name(KEY))
            case method:
                return OauthClient(rule.client_id, method, located.secret(SECRET), located.name(SECRET))

    async def proof(self, server: OauthServer, located: LocatedSecrets) -> Proof:
        """What entitles the client to a token, for grants that spend nothing stored. Raises as ``client``."""
        rule = self._rule
        match rule.grant:
            case "token_exchange":
                return oauth_token.of_subject_token(
                    located.secret("subject_token"),
                    rule.subject_token_type,
                    wanted=rule.requested_token_type,
                    name=located.name("subject_token"),
                    setup=rule.setup_of("subject_token", located.target),
                )
            case "jwt_bearer" if rule.assertion is None:
                audience = rule.assertion_audience or server.token_url
                signed = await self._signed(located, rule.subject or rule.client_id, audience)
                return oauth_token.of_assertion(signed, name=located.name(KEY), setup=rule.key_setup, signed=True)
            case "jwt_bearer":
                name, setup = located.name("assertion"), rule.setup_of("assertion", located.target)
                return oauth_token.of_assertion(located.secret("assertion"), name=name, setup=setup, signed=False)
            case _:
                return oauth_token.OF_CLIENT

    async def _signed(self, located: LocatedSecrets, subject: str, audience: str) -> Secret:
        rule, path = self._rule, located.identities[KEY].entry
        said = claims(rule.client_id, subject, audience=audience, wall=self._clock.wall(), nonce=self._keys.nonce())
        found = await self._keys.files.judged(path, self._keys.home)
        if found is None:
            raise self._no_key(path, located.target)
        try:
            return await self._keys.signer.sign(found.trusted(path), said, algorithm=rule.algorithm, key_id=rule.key_id)
        except ValueError as error:
            raise unreadable(f"the key {path!r}", str(error), hint=self._rule.key_setup) from None

    async def _key_identity(self, path: str, target: Target) -> Identity:
        version = await self._keys.files.version(path)
        if version is None:
            raise self._no_key(path, target)
        return Identity("file", path, version.stamp)

    def _no_key(self, path: str, target: Target) -> Failed:
        return unreadable(f"the key {path!r} for {target.authority!r}", "is not there", hint=self._rule.key_setup)

    def _absent(self, key: str, source: Source, target: Target) -> Identity:
        trouble = trouble_of(source, target)
        if trouble is not None:
            raise Failed(trouble)
        what = f"no {key} of the client {self._rule.client_id!r}"
        raise not_stored(what, source.looked(target), setup=self._rule.setup_of(key, target))

    def _usable(self, login: Login | None, key: str, name: str, *, target: Target) -> Login:
        hint = self._rule.setup_of(key, target)
        if login is None:
            raise unreadable(name, "holds no secret", hint=hint)
        usable(login.stored, name, hint=hint)
        return login
