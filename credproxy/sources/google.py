"""Google tokens, by Application Default Credentials: the worker obtains them, and this source remembers them."""

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec
from cachetools import LRUCache

from credproxy.core.ask.credential import Identity, Lifetime, Secret, UserPassword
from credproxy.core.ask.google_urls import objects_of
from credproxy.core.ask.login import Login, bounded, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Target
from credproxy.core.ask.worker_messages import GoogleObjects, GoogleToken, LibraryToken
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.cloud_libraries import GOOGLE
from credproxy.core.kinds.sources.google import METADATA_HOSTS, NO_METADATA, PRODUCT, VARIABLE, GoogleSource
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.libraries import CloudLibraries
from credproxy.sources.other_files import OtherFiles
from credproxy.sources.program_answers import FAILURE_KEEP, Printed, ProgramAnswer
from credproxy.sources.watched_file import Watched


USER = "oauth2accesstoken"
"""The name beside a token where a login needs one. Source: cloud.google.com/artifact-registry/docs/docker/authentication."""

_MOST = 256
"""Tokens that are remembered: one for each set of scopes, and for each folder that build actions read."""

_ACCOUNT = re.compile(r"[A-Za-z0-9._%+@-]{1,200}")
_CLOUD_RUN = ("K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET")


class _Adc(NamedTuple):
    """What a file of credentials says of itself; no secret.

    Attributes:
        account: whose it is; "" if it does not say.
        project: that pays; "" for the login's own.
        files: in which what it begins with is, such as the identity token of a job or a pod.
    """

    account: str = ""
    project: str = ""
    files: tuple[str, ...] = ()


class _TokenReach(NamedTuple):
    """What a token is for: scopes, and the objects of a bucket if it is limited to some."""

    scopes: tuple[str, ...]
    bucket: str = ""
    prefix: str = ""


class Google:
    """One Google login. Source: ports.source.Source, ports.source.Narrows.

    Args:
        settings: which login, and what its tokens may do.
        environ: of the daemon.
        libraries: asks for tokens.
        optional: others are asked after it, so that a missing file is not a mistake.
    """

    def __init__(
        self,
        settings: GoogleSource,
        environ: Mapping[str, str],
        *,
        files: Files,
        libraries: CloudLibraries,
        clock: Clock,
        optional: bool,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._files = files
        self._libraries = libraries
        self._clock = clock
        self._optional = optional
        path = settings.path(environ)
        self._file: Watched[_Adc | None] = Watched(
            path, None, parse=self._parsed, name="google", files=files, clock=clock
        )
        self._others = OtherFiles(files, clock)
        self._product: str | None = None
        self._tokens: LRUCache[Hashable, ProgramAnswer] = LRUCache(_MOST)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the login and what its token may do; None if there is no login, or the library is missing."""
        del repository
        await self._file.look()
        found = self._file.content
        if found is None and (self._file.failure is not None or not await self._by_machine()):
            return None
        if self._libraries.lacks(GOOGLE):
            return None
        stamp: Hashable = None
        if found is not None and self._file.version is not None:
            stamp = (self._file.version.stamp, *await self._others.stamps(found.files))
        name = "this machine's service account" if found is None else _entry(self._file.path, found.account)
        wanted = _TokenReach(self._settings.scopes_for(target))
        return Identity("google", self._settings.impersonate or name, (stamp, wanted))

    def narrow(self, identity: Identity, target: Target, *, opened: str) -> Identity | None:
        """Name a token that reads the objects of a folder; None for an ID token."""
        del target
        stamp, wanted = _parts(identity)
        objects = objects_of(opened)
        if objects is None or self._settings.audience is not None:
            return None
        narrow = (stamp, wanted._replace(scopes=(), bucket=objects.bucket, prefix=objects.name))
        return replace(identity, entry=f"{identity.entry} for {opened}", version=narrow)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give a token.

        Raises:
            Failed: what the library says; helper_failed, helper_not_runnable: see ``ports.libraries.CloudLibraries``.
        """
        del target
        stamp, wanted = _parts(identity)
        return await self._answer(wanted).login(lambda: self._ask(stamp, wanted), anew=anew, stamp=stamp)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the token that there is."""
        del target
        return self._answer(_parts(identity)[1]).known

    def trouble(self, target: Target) -> Failure | None:
        """Why there is none: a file that is named and not there, or cannot be used; a library that is missing."""
        del target
        if self._file.failure is not None:
            return self._file.failure
        if self._file.content is None:
            return self._missing()
        lacks = self._libraries.lacks(GOOGLE)
        if not lacks:
            return None
        problem, _, remedy = lacks.partition(": ")
        return Failure(
            Code.CREDENTIAL_UNREADABLE, f"the login in {self._file.path!r} cannot be used: {problem}", remedy
        )

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say at which places there is no login."""
        del target
        lacks = tuple(filter(None, (self._libraries.lacks(GOOGLE),)))
        if self._file.content is not None:
            return lacks
        path = self._file.path
        said = () if path is None else (f"the file {path!r} is not there",)
        if self._named:
            return (*lacks, *said)
        product = f"{PRODUCT} says {self._product[:40]!r}" if self._product else f"{PRODUCT} is not there"
        return (
            *lacks,
            f"{VARIABLE} is not set in the daemon's environment",
            *said,
            f"this machine is not one of Google's: {product}",
        )

    def forget(self) -> None:
        """The next question looks and asks again."""
        self._file.forget()
        self._others.forget()
        self._product = None
        for answer in self._tokens.values():
            answer.forget()

    @property
    def _named(self) -> bool:
        """Whether a file is named, so that no other place is looked at."""
        settings = self._settings
        return bool(settings.credentials_file or settings.account or self._environ.get(VARIABLE))

    def _missing(self) -> Failure | None:
        """What is wrong if a file is named, and not there."""
        if not self._named or self._optional:
            return None
        by = "" if self._settings.credentials_file or self._settings.account else f", which {VARIABLE} names,"
        return unreadable(f"the file {self._file.path!r}{by}", "is not there", hint=self._settings.log_in).failure

    async def _by_machine(self) -> bool:
        """Whether the metadata server is asked: only where the machine says that there is one, since to find out takes seconds."""
        if self._named or self._environ.get(NO_METADATA, "").lower() == "true":
            return False
        if any(self._environ.get(name) for name in (*METADATA_HOSTS, *_CLOUD_RUN)):
            return True
        if self._product is None:
            try:
                self._product = (await self._files.read(PRODUCT) or b"").decode("utf-8", "replace").strip()
            except Failed:
                self._product = ""
        return self._product.startswith("Google")

    def _parsed(self, content: bytes) -> _Adc:
        """Read what is not secret. Raises Failed(credential_unreadable)."""
        try:
            found: object = msgspec.json.decode(content)
        except UNREADABLE:  # whose text may quote the file
            found = None
        if not isinstance(found, dict):
            problem = "is not a JSON object with a login of Google's"
            raise unreadable(f"the file {self._file.path!r}", problem, hint=self._settings.log_in)
        account = str(found.get("client_email") or found.get("account") or "")
        return _Adc(
            account if _ACCOUNT.fullmatch(account) else "",
            str(found.get("quota_project_id") or ""),
            tuple(_begins_with(found)),
        )

    def _answer(self, wanted: _TokenReach) -> ProgramAnswer:
        found = self._tokens.get(wanted)
        if found is None:
            found = self._tokens[wanted] = ProgramAnswer(
                keep=0.0, key=b"", clock=self._clock, failure_keep=FAILURE_KEEP
            )
        return found

    def _question(self, wanted: _TokenReach, path: str) -> GoogleToken:
        settings = self._settings
        return GoogleToken(
            scopes=wanted.scopes,
            credentials=path,
            audience=settings.audience or "",
            impersonate=settings.impersonate or "",
            objects=GoogleObjects(wanted.bucket, wanted.prefix) if wanted.bucket else None,
            proxy=settings.proxy,
            ca_bundle=settings.ca_bundle,
        )

    async def _ask(self, stamp: Hashable, wanted: _TokenReach) -> Printed:
        since = self._clock.boot()
        question = self._question(wanted, "" if stamp is None else self._file.path or "")
        given = await self._libraries.ask(question, LibraryToken)
        boot, wall = self._clock.boot(), self._clock.wall()
        stored = UserPassword(USER, Secret(given.token))
        told = login_of(stored, since=since, boot=boot, wall=wall)
        until = None if given.until is None else boot + given.until - wall
        life = bounded(Lifetime(since, until, wall_until=given.until), told, boot=boot)
        project = self._settings.quota_project or given.project
        beside = (("x-goog-user-project", project),) if project and not question.audience else ()
        return b"", Login(stored, since=since, until=life.until, wall_until=life.wall_until, beside=beside)


def _begins_with(found: Mapping[str, object]) -> Iterator[str]:
    """The files that an external account names, also one that acts for another account. Source: google-auth, identity_pool.py."""
    for info in (found, found.get("source_credentials")):
        source = info.get("credential_source") if isinstance(info, dict) else None
        path = source.get("file") if isinstance(source, dict) else None
        if isinstance(path, str) and path:
            yield path


def _entry(path: str | None, account: str) -> str:
    """A file, and whose login it holds where it says that."""
    return f"{path}#{account}" if account else path or ""


def _parts(identity: Identity) -> tuple[Hashable, _TokenReach]:
    assert isinstance(identity.version, tuple)
    stamp, wanted = identity.version
    assert isinstance(wanted, _TokenReach)
    return stamp, wanted
