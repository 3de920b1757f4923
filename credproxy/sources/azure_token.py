"""Access tokens of Microsoft Entra ID: where a login may be, what the library is asked, and how long an answer is used.

Shared by the sources that begin with one.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple

import msgspec
from cachetools import LRUCache

from credproxy.core.ask.credential import Identity, Lifetime, PlainSecret, Secret
from credproxy.core.ask.login import Login, bounded, login_of
from credproxy.core.ask.worker_messages import AzureToken, AzureWay, LibraryToken
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.cloud_libraries import AZURE
from credproxy.core.kinds.sources.azure import ASSET, AZURES, PROFILE, AzureLogin
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.libraries import CloudLibraries
from credproxy.sources.program_answers import FAILURE_KEEP, Printed, ProgramAnswer
from credproxy.sources.watched_file import Looks, Watched


_MOST = 64
"""Tokens that are remembered: one for each API."""

_SECRETS = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH")
_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105  a variable's name
_ENDPOINTS = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")


class AzureFound(NamedTuple):
    """Where logins were seen.

    Attributes:
        ways: each in which there may be one, in order.
        stamp: what changes with the files that they are in.
        whose: which login is meant: the host that gives tokens, the tenant, the client ID.
    """

    ways: tuple[AzureWay, ...]
    stamp: Hashable = ()
    whose: tuple[str, str, str] = ("", "", "")

    @property
    def name(self) -> str:
        """For people."""
        return self.ways[0] if self.ways else ""


def found_of(identity: Identity) -> AzureFound:
    """What ``AzureTokens.locate`` gave, of the identity that a source made of it: its version holds that alone."""
    assert isinstance(identity.version, tuple)
    (found,) = identity.version
    assert isinstance(found, AzureFound)
    return found


class AzureTokens:
    """The tokens of one login.

    Args:
        settings: which.
        environ: of the daemon.
        libraries: asks for tokens.
    """

    def __init__(
        self,
        settings: AzureLogin,
        environ: Mapping[str, str],
        *,
        files: Files,
        libraries: CloudLibraries,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._files = files
        self._libraries = libraries
        self._clock = clock
        self._profile = Watched(
            PROFILE.path(environ), nothing=False, parse=_has_login, name="azure", files=files, clock=clock
        )
        self._asset: str | None = None
        self._looks = Looks(clock)
        self._found = AzureFound(())
        self._failure: Failure | None = None
        self._tokens: LRUCache[tuple[str, tuple[AzureWay, ...]], ProgramAnswer] = LRUCache(_MOST)

    @property
    def tenant(self) -> str:
        """Of the login, if the rule or the environment says; "" else."""
        return self._settings.tenant or self._environ.get("AZURE_TENANT_ID", "")

    async def locate(self) -> AzureFound | None:
        """Say where a login is, as far as can be told without asking anybody; None if there is none, or no library."""
        await self._looks.look(self._look)
        return self._found if self._found.ways and not self._libraries.lacks(AZURE) else None

    async def token(self, found: AzureFound, scope: str, *, anew: bool) -> Login:
        """Give a token for an API.

        Raises:
            Failed: what the library says; helper_failed, helper_not_runnable: see ``ports.libraries.CloudLibraries``.
        """
        login = await self._answer(found, scope).login(lambda: self._ask(found, scope), anew=anew, stamp=found.stamp)
        assert login is not None
        return login

    def known(self, found: AzureFound, scope: str) -> Login | None:
        """Give the token that there is."""
        return self._answer(found, scope).known

    def trouble(self) -> Failure | None:
        """Why there is none, although there is a login: a file that cannot be read, or a library that is missing."""
        if self._failure is not None:
            return self._failure
        lacks = self._libraries.lacks(AZURE) if self._found.ways else ""
        problem, _, remedy = lacks.partition(": ")
        message = f"the login of Azure's cannot be used: {problem}"
        return Failure(Code.CREDENTIAL_UNREADABLE, message, remedy) if lacks else None

    def looked(self) -> tuple[str, ...]:
        """Say where there is no login, or what is missing to use it."""
        if self._found.ways:
            return (self._libraries.lacks(AZURE),)
        return (*filter(None, (self._libraries.lacks(AZURE),)), *self._not_there())

    def forget(self) -> None:
        """The next question looks and asks again."""
        self._looks.forget()
        self._profile.forget()
        self._asset = None
        for answer in self._tokens.values():
            answer.forget()

    async def _look(self) -> None:
        ways: list[AzureWay] = []
        stamps: list[Hashable] = []
        self._failure = None
        try:
            for way in self._settings.ways:
                stamp = await self._seen(way)
                if stamp is not None:
                    ways.append(way)
                    stamps.append(stamp)
        except Failed as error:
            self._failure = error.failure
        settings = self._settings
        whose = (settings.authority(self._environ), self.tenant, settings.client_id or "")
        self._found = AzureFound(tuple(ways), tuple(stamps), whose)

    async def _seen(self, way: AzureWay) -> Hashable | None:
        """What changes with a login that there may be; None if there is none. Raises Failed(credential_unreadable)."""
        environ = self._environ
        ids = self._settings.tenant or environ.get("AZURE_TENANT_ID"), environ.get("AZURE_CLIENT_ID")
        match way:
            case "environment":
                return way if all(ids) and any(map(environ.get, _SECRETS)) else None
            case "workload":
                path = environ.get(_TOKEN_FILE)
                return await self._stamp(path) if path and all((ids[0], self._settings.client_id or ids[1])) else None
            case "managed":
                return way if any(map(environ.get, _ENDPOINTS)) or await self._is_azures() else None
            case "cli":
                return await self._logged_in()

    async def _logged_in(self) -> Hashable | None:
        """What changes with a login of az; None if there is none, as after ``az logout``, which leaves its file."""
        await self._profile.look()
        if self._profile.failure is not None:
            raise Failed(self._profile.failure)
        version = self._profile.version if self._profile.content else None
        return None if version is None else version.stamp

    async def _stamp(self, path: str) -> Hashable | None:
        version = await self._files.version(path)
        return None if version is None else version.stamp

    async def _is_azures(self) -> bool:
        """Whether the machine is Azure's: elsewhere no metadata server is asked, because that would take seconds."""
        if self._asset is None:
            try:
                self._asset = (await self._files.read(ASSET) or b"").decode("utf-8", "replace").strip()
            except Failed:
                self._asset = ""
        return self._asset == AZURES

    def _not_there(self) -> Iterator[str]:
        for way in self._settings.ways:
            match way:
                case "environment":
                    yield "AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret are not all set in the daemon's environment"
                case "workload":
                    yield f"{_TOKEN_FILE} is not set in the daemon's environment, or the file is not there"
                case "managed":
                    yield f"this machine is not one of Azure's: {ASSET} does not say so"
                case "cli":
                    yield self._no_cli()

    def _no_cli(self) -> str:
        path = self._profile.path
        if path is None:
            return "HOME is not set"
        return f"the file {path!r} " + ("is not there" if self._profile.version is None else "has no login of az in it")

    def _answer(self, found: AzureFound, scope: str) -> ProgramAnswer:
        key = (scope, found.ways)
        answer = self._tokens.get(key)
        if answer is None:
            answer = self._tokens[key] = ProgramAnswer(keep=0.0, key=b"", clock=self._clock, failure_keep=FAILURE_KEEP)
        return answer

    async def _ask(self, found: AzureFound, scope: str) -> Printed:
        settings, since = self._settings, self._clock.boot()
        question = AzureToken(
            scope=scope,
            ways=found.ways,
            authority=settings.authority(self._environ),
            tenant=settings.tenant or "",
            client_id=settings.client_id or "",
            proxy=settings.proxy,
            ca_bundle=settings.ca_bundle,
        )
        given = await self._libraries.ask(question, LibraryToken)
        boot, wall = self._clock.boot(), self._clock.wall()
        stored = PlainSecret(Secret(given.token))
        told = login_of(stored, since=since, boot=boot, wall=wall)
        until = None if given.until is None else boot + given.until - wall
        life = bounded(Lifetime(since, until, wall_until=given.until), told, boot=boot)
        return b"", Login(stored, since=since, until=life.until, wall_until=life.wall_until)


class _AzProfile(msgspec.Struct):
    """The file of az, as far as it is read; without a subscription it has an entry for the tenant."""

    subscriptions: tuple[msgspec.Raw, ...] = ()


def _has_login(content: bytes) -> bool:
    """Whether there may be a login: only az itself knows what to do with a file that is not as usual."""
    try:
        return bool(msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=_AzProfile).subscriptions)
    except UNREADABLE:
        return True
