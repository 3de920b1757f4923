"""Tokens of a GitHub App's installations, each made with the App's key and remembered until shortly before its end."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Final, NamedTuple

from cachetools import LRUCache

from credproxy.core.ask.credential import Identity, Lifetime, PlainSecret, Secret
from credproxy.core.ask.github_urls import PUBLIC, GithubName, api_of, github_name, login_host
from credproxy.core.ask.http import Dial
from credproxy.core.ask.login import Login, bounded, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Form, Target
from credproxy.core.kinds.sources.github_app import CONTENTS, GithubAppSource
from credproxy.exchange.installation_token import TokenRequest, claims, installation_token, not_installed
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.http_client import HttpClient
from credproxy.ports.signing import Signer
from credproxy.sources.program_answers import Printed, ProgramAnswer
from credproxy.sources.secret_file import missing, read_secret_file
from credproxy.sources.source_exchange import hold


_MOST: Final = 1024
"""Tokens that are remembered: one for each owner, and one for each repository that build actions read."""


class _TokenLimits(NamedTuple):
    """What a token is limited to; part of its identity."""

    repositories: tuple[str, ...]
    permissions: tuple[tuple[str, str], ...]
    only: GithubName | None = None


class GithubApp:
    """A GitHub App. Source: ports.source.Source, ports.source.Narrows.

    Args:
        settings: name the App.
        files: reads its key.
        http: asks GitHub.
        signer: signs with the key.
        clock: judges lifetimes.
        home: the directories above it are not judged; "" for none.
        optional: other sources are asked after it: a target without an installation is then "not mine".
    """

    def __init__(
        self,
        settings: GithubAppSource,
        *,
        files: Files,
        http: HttpClient,
        signer: Signer,
        clock: Clock,
        home: str,
        optional: bool,
    ) -> None:
        self._settings = settings
        self._limits = _TokenLimits(settings.repositories, tuple(sorted(settings.permissions.items())))
        self._files = files
        self._http = http
        self._signer = signer
        self._clock = clock
        self._home = home
        self._optional = optional
        self._tokens: LRUCache[Hashable, ProgramAnswer] = LRUCache(_MOST)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the App and the installation; None for another host, and for a URL without an owner if no rule names one."""
        del repository
        whose = self._owner_or_installation(target)
        if whose is None:
            return None
        version = await self._files.version(self._settings.key_file)
        if version is None:
            raise missing(self._settings.key_file, self._hint)
        return Identity("github-app", f"{self._settings.app}@{whose}", (version.stamp, self._limits))

    def narrow(self, identity: Identity, target: Target, *, opened: str) -> Identity | None:
        """Name a token that reads the repository of a target, if this App's tokens may."""
        del opened  # the repository is all that GitHub can limit one to
        place = github_name(target)
        listed = self._settings.repositories
        if place is None or not place.repository or (listed and place.repository not in listed):
            return None
        if CONTENTS not in self._settings.permissions:
            return None
        stamp, _ = _parts(identity)
        limits = _TokenLimits((place.repository,), ((CONTENTS, "read"),), place)
        return replace(identity, entry=f"{identity.entry} for {place.name}", version=(stamp, limits))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give a token; None if the App is not installed for the target and other sources are asked next.

        Raises:
            Failed: credential_unreadable for the key; errors from GitHub, see ``exchange.installation_token``.
        """
        stamp, limits = _parts(identity)
        request = self._request(target, limits)
        login = await self._answer(identity).login(lambda: self._run(request), anew=anew, stamp=stamp)
        if login is None and not self._optional:
            raise not_installed(request)
        return login

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give a remembered token; else check whether the key could sign. Raises Failed(credential_unreadable)."""
        del target
        known = self._answer(identity).known
        if known is None:
            await self._assertion()
        return known

    def looked(self, target: Target) -> tuple[str, ...]:
        """Why it has no login for a target."""
        app, host = self._settings.app, self._settings.host
        if not self._is_mine(target):
            return (f"the GitHub App {app!r} is for {host!r}",)
        return (
            f"the URL names no owner, so that it is not known which installation of the GitHub App {app!r} is meant",
        )

    def forget(self) -> None:
        """Make the next question ask GitHub."""
        for answer in self._tokens.values():
            answer.forget()

    def _owner_or_installation(self, target: Target) -> str | None:
        """Which installation to use; None if the target is not for this App."""
        if not self._is_mine(target):
            return None
        if self._settings.installation is not None:
            return str(self._settings.installation)
        place = github_name(target)
        return None if place is None else place.owner.lower()

    def _is_mine(self, target: Target) -> bool:
        # The signed JWT is sent to this host: a URL may come from anywhere, and must not choose its receiver.
        port = "" if target.port is None else f":{target.port}"
        return target.form is not Form.LITERAL and f"{login_host(target.host)}{port}" == self._settings.host

    def _request(self, target: Target, limits: _TokenLimits) -> TokenRequest:
        return TokenRequest(
            api=api_of(target),
            app=self._settings.app,
            # A host that is named exactly is named on purpose: its addresses may be private (SEC-4).
            dial=Dial(own=self._settings.host != PUBLIC),
            owner=(github_name(target) or GithubName("")).owner,
            installation=self._settings.installation,
            repositories=limits.repositories,
            permissions=dict(limits.permissions),
            only=limits.only,
        )

    def _answer(self, identity: Identity) -> ProgramAnswer:
        key = (identity.entry, _parts(identity)[1])
        found = self._tokens.get(key)
        if found is None:
            found = self._tokens[key] = ProgramAnswer(keep=0.0, key=b"", clock=self._clock)
        return found

    async def _run(self, request: TokenRequest) -> Printed:
        assertion = await self._assertion()
        issued = await hold(installation_token(request, assertion), self._http, clock=self._clock)
        if issued is None:
            return b"", None
        stored, boot = PlainSecret(issued.token), self._clock.boot()
        told = login_of(stored, since=issued.since, boot=boot, wall=self._clock.wall())
        life = bounded(Lifetime(issued.since, issued.until, wall_until=issued.wall_until), told, boot=boot)
        return b"", Login(stored, since=life.since, until=life.until, wall_until=life.wall_until)

    async def _assertion(self) -> Secret:
        path = self._settings.key_file
        key = await read_secret_file(self._files, path, home=self._home, hint=self._hint)
        try:
            return await self._signer.sign(key, claims(self._settings.app, self._clock.wall()))
        except ValueError as error:
            raise unreadable(
                f"the key {path!r} of the GitHub App {self._settings.app!r}", str(error), hint=self._hint
            ) from None

    @property
    def _hint(self) -> str:
        return f"make a key in the App's settings on GitHub, Private keys, and move it to {self._settings.key_file}, mode 0600"


def _parts(identity: Identity) -> tuple[Hashable, _TokenLimits]:
    assert isinstance(identity.version, tuple)
    stamp, limits = identity.version
    assert isinstance(limits, _TokenLimits)
    return stamp, limits
