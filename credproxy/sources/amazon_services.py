"""Tokens of ECR and of CodeArtifact, made with the access key of another source: one for all that it is good for."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from cachetools import LRUCache

from credproxy.core.ask.aws_keys import aws_keys
from credproxy.core.ask.credential import Identity, Lifetime, PlainSecret, Stored, UserPassword
from credproxy.core.ask.http import Method
from credproxy.core.ask.login import Login, bounded
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Form, Target
from credproxy.core.ask.token_calls import TokenCall
from credproxy.core.ask.urls import endpoint_problem
from credproxy.core.errors import Failure
from credproxy.core.kinds.uses import NOT_INSTALLED
from credproxy.exchange.amazon_token import amazon_token
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient
from credproxy.ports.signing import AwsSigner
from credproxy.ports.source import Source
from credproxy.ports.trouble import trouble_of
from credproxy.sources.program_answers import FAILURE_KEEP, Printed, ProgramAnswer
from credproxy.sources.source_exchange import hold


_MOST: Final = 256
"""Tokens that are remembered: one for each region, domain and login."""

_METHOD: Final[Method] = "POST"

_IGNORED: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


class AmazonTokens:
    """Tokens of one service. Source: ports.source.Source, ports.trouble.Fallible, ports.source.Caches.

    Args:
        tag: of the source.
        call: what is asked for a host; None for one that is not the service's.
        keys: the source of the access key.
        signer: signs.
        http: asks the service.
        clock: judges lifetimes.
        environ: of the daemon, which may name another address of the service.
        optional: others are asked as well, so that a missing library is not a mistake.
    """

    def __init__(
        self,
        tag: str,
        call: Callable[[str], TokenCall | None],
        *,
        keys: Source,
        signer: AwsSigner,
        http: HttpClient,
        clock: Clock,
        environ: Mapping[str, str],
        optional: bool,
    ) -> None:
        self._tag = tag
        self._call = call
        self._keys = keys
        self._signer = signer
        self._http = http
        self._clock = clock
        self._environ = environ
        self._optional = optional
        self._answers: LRUCache[Hashable, ProgramAnswer] = LRUCache(_MOST)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the access key, and what its token is for; None for another host, and where there is no key.

        Raises:
            Failed(credential_unreadable): as the source of the key; the library that signs is not installed; the environment
                names an address of the service that cannot be asked.
        """
        del repository
        call = self._of(target)
        if call is None or (self._signer.lacking and self._optional):
            return None
        found = await self._keys.locate(target, None)
        if found is None:
            return None
        if self._signer.lacking:
            raise unreadable("the library that signs", "is not installed", hint=self._signer.lacking)
        call = self._placed(call)
        # Not the registry: one token serves them all.
        return Identity(self._tag, f"{call.region} by {found}", (call.url, found.entry, found.version))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the token; None if there is no access key after all.

        Raises:
            Failed: as the source of the key does, and as ``exchange.amazon_token`` says.
        """
        call = self._of(target)
        if call is None:
            return None
        call = self._placed(call)
        _, entry, version = _parts(identity)
        keys = Identity("aws", entry, version)
        return await self._answer(identity).login(lambda: self._asked(call, keys, target, anew=anew), anew=anew)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give it as far as it is known; else look at the access key."""
        known = self._answer(identity).known
        if known is None:
            _, entry, version = _parts(identity)
            keys = await self._keys.peek(Identity("aws", entry, version), target)
            if keys is not None:
                aws_keys(keys.stored, entry)
        return known

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with the place of the key."""
        return None if self._of(target) is None else trouble_of(self._keys, target)

    def looked(self, target: Target) -> tuple[str, ...]:
        """Where there is no key, or why none is looked for."""
        if self._of(target) is None:
            return (f"{target.authority!r} is not a host of {self._tag}",)
        if self._signer.lacking:
            return (f"the library that signs{NOT_INSTALLED}{self._signer.lacking}",)
        return self._keys.looked(target)

    def forget(self) -> None:
        """The next question asks for another token."""
        for answer in self._answers.values():
            answer.forget()

    def _of(self, target: Target) -> TokenCall | None:
        """What is asked for a target, at the service's own address."""
        if target.form is Form.LITERAL or target.port is not None:
            return None
        return self._call(target.host)

    def _placed(self, call: TokenCall) -> TokenCall:
        """At the address that the environment names. Raises Failed(credential_unreadable)."""
        names = (f"AWS_ENDPOINT_URL_{call.service.upper().replace('-', '_')}", "AWS_ENDPOINT_URL")
        name = next((name for name in names if self._environ.get(name)), "")
        if not name or self._environ.get(_IGNORED, "").lower() == "true":
            return call
        other = self._environ[name]
        if problem := endpoint_problem(other):
            hint = f"write https://HOST into it, or unset {name}; then credproxy stop"
            raise unreadable(f"the variable {name!r}", problem, hint=hint)
        parts = urlsplit(call.url)
        query = f"?{parts.query}" if parts.query else ""
        return replace(call, url=f"{other.rstrip('/')}{parts.path}{query}", named=True)

    def _answer(self, identity: Identity) -> ProgramAnswer:
        # Not the version of a temporary key, which changes each hour while the token is still good.
        key = _parts(identity)
        if key not in self._answers:
            self._answers[key] = ProgramAnswer(keep=0.0, key=b"", clock=self._clock, failure_keep=FAILURE_KEEP)
        return self._answers[key]

    async def _asked(self, call: TokenCall, identity: Identity, target: Target, *, anew: bool) -> Printed:
        login = await self._keys.read(identity, target, anew=anew)
        if login is None:
            return b"", None
        keys = aws_keys(login.stored, str(identity))
        headers = (await self._signer.ready()).sign(
            keys,
            service=call.service,
            region=call.region,
            method=_METHOD,
            url=call.url,
            headers=call.headers,
            body=call.body,
        )
        found = await hold(amazon_token(call, headers), self._http, clock=self._clock)
        stored: Stored = UserPassword(call.username, found.token) if call.username else PlainSecret(found.token)
        life = Lifetime(found.since, found.until, wall_until=found.wall_until)
        life = bounded(life, login, boot=self._clock.boot())
        return b"", Login(stored, found.since, life.until, wall_until=life.wall_until)


def _parts(identity: Identity) -> tuple[str, str, Hashable]:
    version = identity.version
    assert isinstance(version, tuple)
    url, entry, keys = version
    assert isinstance(url, str)
    assert isinstance(entry, str)
    return url, entry, keys
