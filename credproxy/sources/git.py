"""What git's own credential helpers know: Git Credential Manager, osxkeychain, libsecret, store, and whatever else there is."""

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from shlex import quote

import structlog
from cachetools import LRUCache

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import PROGRAM_KEEP, Login, ended, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.formats.git_credential import (
    GitHelpers,
    credential_request,
    named_helpers,
    parse_git_answer,
    parse_git_config,
    repository_path,
)
from credproxy.core.kinds.sources.git import PASSED, GitSource, git_config_files
from credproxy.core.kinds.sources.login import shared_name
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.processes import Command, Processes
from credproxy.sources.program_answers import Printed, ProgramAnswer
from credproxy.sources.watched_file import Watched


_TIMEOUT = 10.0
"""Seconds for one run: a helper that opens a window which nobody looks at must not hold a build."""

_NOTHING_KEEP = 60.0
"""Seconds that "no login" is remembered, as that of docker's programs is."""

_HOSTS = 256
"""Hosts, or repositories, whose answers are remembered."""

_NONE = ("could not read Username", "could not read Password", "told us to quit")
"""What git says where no helper has a login: it would ask, and may not. Source: git's credential.c and prompt.c."""

_QUIET = {"GIT_ASKPASS": "", "GCM_INTERACTIVE": "never", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
"""Nobody is asked anything; and what git says is in its own words."""

_GIT = ("git", "-C", "/", "-c", "core.askPass=", "-c", "credential.interactive=false")
"""In no repository: the configuration of one may name a program, and it would be run."""

_UNKNOWN = GitHelpers(frozenset({""}), by_path=True)
"""Where git cannot say what its configuration has: there may be any, and what they say may depend on anything."""

log = structlog.get_logger("credproxy.sources")


@dataclass(frozen=True, slots=True)
class _GitPlace:
    """Whose login it is: a host, and a path where that matters."""

    host: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.path else self.host


class Git:
    """What git's helpers know. Source: ports.source.Source, ports.source.Guesses, core/formats/git_credential.py.

    The files of git's configuration are looked at once a second; where none of them can name a helper, git is not started. Else
    it is asked once what its configuration says of helpers, which includes other files, and then the helpers about each host.
    They are never told to store or to erase anything.

    Args:
        settings: which user.
        environ: of the daemon.
        key: gives random bytes of this process, for comparing outputs without keeping them.
        optional: others are asked beside it: helpers that cannot be asked are then "not mine", and it is logged.
    """

    def __init__(
        self,
        settings: GitSource,
        environ: Mapping[str, str],
        *,
        files: Files,
        processes: Processes,
        clock: Clock,
        key: Callable[[], bytes],
        optional: bool = False,
    ) -> None:
        self._user = settings.username
        self._processes = processes
        self._clock = clock
        self._key = key
        self._optional = optional
        self._files = [
            Watched(path, frozenset[str](), parse=named_helpers, name="git", files=files, clock=clock)
            for path in git_config_files(environ)
        ]
        self._asking = asyncio.Lock()
        self._helpers: GitHelpers | None = None
        self._helpers_of: Hashable = None
        self._answers: LRUCache[_GitPlace, ProgramAnswer] = LRUCache(_HOSTS)
        self._told: LRUCache[_GitPlace, str] = LRUCache(_HOSTS)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the host, or its repository; None if no helper is configured, or there was no login within the minute."""
        del repository
        if target.form is Form.LITERAL:
            return None
        for file in self._files:
            await file.look()
        if not self._served(target):
            return None
        place = self._place(target)
        answer = self._answers.get(place)
        if answer is not None and answer.nothing:
            return None
        return Identity("git", str(place), (self._stamp, answer.count if answer else 0))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Ask git; None if its helpers have no login.

        Raises:
            Failed: helper_failed, helper_not_runnable, credential_unreadable, unless others are asked as well.
        """
        del identity
        await self._look_up_helpers()
        place = self._place(target)
        if not self._served(target):
            return None
        answer = self._answer(place)
        return await answer.login(lambda: self._run(place), anew=anew, stamp=self._stamp)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give it as far as it is known; else look whether git is there. Raises Failed(helper_not_runnable)."""
        del identity
        known = self._answer(self._place(target)).known
        if known is None:
            await self._processes.find(self._command("credential", "fill"))
        return known

    def trouble(self, target: Target) -> Failure | None:
        """Why a file of git's configuration cannot be read."""
        del target
        return next((file.failure for file in self._files if file.failure is not None), None)

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say that no helper is configured, or that they have nothing."""
        place = self._place(target)
        if told := self._told.get(place):
            return (told,)
        if not self._served(target):
            return (f"git has no credential helper for {place.host!r}",)
        return (f"git's credential helpers have no login for {str(place)!r}",)

    def guessed(self, identity: Identity) -> bool:
        """Always: what the helpers have is not known before they are asked."""
        del identity
        return True

    def unasked(self, identity: Identity, target: Target) -> str:
        """That the helpers were not asked; "" once they were."""
        del identity
        place = self._place(target)
        answer = self._answers.get(place)
        known = answer is not None and answer.known is not None
        return (
            "" if known else f"git's credential helpers have to be asked whether they have a login for {str(place)!r}"
        )

    def forget(self) -> None:
        """The next question looks at the files, and asks git."""
        self._helpers = None
        for file in self._files:
            file.forget()
        for answer in self._answers.values():
            answer.forget()

    @property
    def _stamp(self) -> Hashable:
        return tuple(file.version and file.version.stamp for file in self._files)

    @property
    def _known(self) -> GitHelpers:
        """What git said of its helpers; until it has, what its files show, and that it may depend on the path."""
        known = self._helpers if self._helpers_of == self._stamp else None
        if known is None:
            return GitHelpers(frozenset().union(*(file.content for file in self._files)), by_path=True)
        return known

    def _served(self, target: Target) -> bool:
        """Whether a helper may know the host."""
        host = shared_name(target.authority).partition(":")[0]
        return any(file.content for file in self._files) and self._known.serve(host)

    def _place(self, target: Target) -> _GitPlace:
        return _GitPlace(shared_name(target.authority), repository_path(target) if self._known.by_path else "")

    def _answer(self, place: _GitPlace) -> ProgramAnswer:
        if place not in self._answers:
            self._answers[place] = ProgramAnswer(
                keep=PROGRAM_KEEP, nothing_keep=_NOTHING_KEEP, key=self._key(), clock=self._clock
            )
        return self._answers[place]

    async def _look_up_helpers(self) -> None:
        """Ask git what its configuration says, once for every version of its files."""
        async with self._asking:
            if self._helpers is not None and self._helpers_of == self._stamp:
                return
            stamp = self._stamp
            try:
                done = await self._processes.run(self._command("config", "--null", "--get-regexp", r"^credential\."))
            except Failed as error:
                if not self._optional:
                    raise
                self._say(error.failure)
                self._helpers, self._helpers_of = GitHelpers(), stamp
                return
            # 1: there is no such key. Anything else, ``git credential`` says itself.
            self._helpers = parse_git_config(done.stdout) if done.status <= 1 else _UNKNOWN
            self._helpers_of = stamp

    def _command(self, *arguments: str, stdin: bytes = b"") -> Command:
        return Command(
            (*_GIT, *arguments),
            stdin=stdin,
            timeout=_TIMEOUT,
            env=_QUIET,
            pass_env=PASSED,
            missing="install git where the daemon finds it (helper_path), or name another source in the [[host]]",
        )

    async def _run(self, place: _GitPlace) -> Printed:
        try:
            return await self._ask(place)
        except Failed as error:
            if not self._optional:
                raise
            self._say(error.failure)
            self._told[place] = f"git's credential helpers cannot be asked: {error.failure.message}"
            return b"", None

    def _say(self, failure: Failure) -> None:
        log.warning("git cannot be asked", reason=failure.message, hint=failure.hint)

    async def _ask(self, place: _GitPlace) -> Printed:
        """Ask about the repository as it is usually cloned, with ``.git``; if the path is sent, also without."""
        self._told.pop(place, None)
        paths = (f"{place.path}.git", place.path) if place.path and self._known.sent_path else (place.path,)
        for path in paths:
            printed = await self._fill(place, path)
            if printed[1] is not None:
                return printed
        return b"", None

    async def _fill(self, place: _GitPlace, path: str) -> Printed:
        stdin, since = credential_request(place.host, path, username=self._user), self._clock.boot()
        done = await self._processes.run(self._command("credential", "fill", stdin=stdin))
        by_hand = f"printf 'protocol=https\\nhost=%s\\n\\n' {quote(place.host)} | git credential fill"
        if done.status != 0:
            if any(text in done.complaint for text in _NONE):
                return b"", None
            raise failed(
                Code.HELPER_FAILED,
                f"the program 'git' {done.ended()}",
                hint=by_hand,
            )
        where = f"what git's credential helpers have for {str(place)!r}"
        try:
            answer = parse_git_answer(done.stdout)
        except UnicodeDecodeError:
            raise failed(Code.CREDENTIAL_UNREADABLE, f"{where} is not UTF-8 text", hint=by_hand) from None
        if answer is None:
            return b"", None
        boot, wall = self._clock.boot(), self._clock.wall()
        if answer.until is not None and answer.until <= wall:
            self._told[place] = f"{where} has expired"
            return b"", None
        stored = from_text(answer.password.reveal(), answer.username or None, where=where, hint=by_hand)
        login = login_of(stored, since=since, boot=boot, wall=wall, keep=PROGRAM_KEEP)
        return done.stdout, login if answer.until is None else ended(login, answer.until, boot=boot, wall=wall)
