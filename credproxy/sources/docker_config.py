"""Docker's and podman's configuration, with ``docker-credential-*`` programs (docs/design/sources.md).

The last good copy of each file is kept in memory, and of each program its last answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from cachetools import LRUCache

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import PROGRAM_KEEP, Login, login_of
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.formats.docker_config import DockerEntry, Index, parse_inline, read_entry
from credproxy.core.formats.docker_programs import (
    NOT_FOUND,
    broken_helper,
    from_helper,
    install_program,
    is_program,
    unusable_program,
)
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.processes import Command, Processes
from credproxy.sources.docker_files import DockerFiles, named
from credproxy.sources.program_answers import Printed, ProgramAnswer


_ANSWERS = 1024
"""Programs' logins that are remembered."""

_ABSENT_KEEP = 60.0
"""Seconds that "not found" is kept for a registry that no file names: as long as Bazel keeps the resulting ``{}``."""

_FAILURE_KEEP = 10.0
"""Seconds that a store is not asked about such a registry after it failed."""

_ASK_TIMEOUT = 6.0
"""Seconds for a store that is asked about such a registry, within the 8.5 s of a question."""

_ASKED = 1024
"""Such registries that are remembered: questions name them, so nothing else limits their number."""

_TIMEOUT = Command(()).timeout

_INLINE = "DOCKER_AUTH_CONFIG"
_NO_FILE = ""


log = structlog.get_logger("credproxy.sources")


@dataclass(frozen=True, slots=True)
class _StoreAnswer:
    """What the store said about a registry that no file names, and until when that is valid; ``failure`` if it did not answer."""

    until: float
    found: bool = False
    failure: Failure | None = None


class DockerConfig:
    """The logins of docker and podman. Source: ports.source.Source; DC-1 to DC-19.

    Args:
        paths: files in order of precedence; the first one with an entry for a registry answers.
        inline: the value of ``DOCKER_AUTH_CONFIG`` (DC-2), or "".
        key: random bytes of this process, for comparing answers without keeping them.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        *,
        files: Files,
        processes: Processes,
        clock: Clock,
        key: Callable[[], bytes],
        inline: str,
    ) -> None:
        self._files = DockerFiles(paths, files=files, clock=clock)
        self._processes = processes
        self._clock = clock
        self._key = key()
        self._inline = inline.encode("utf-8", "surrogateescape")  # a variable may hold bytes that are not UTF-8
        self._inline_index = self._read_inline() if inline else None
        self._answers: LRUCache[tuple[str, str], ProgramAnswer] = LRUCache(_ANSWERS)
        self._asked: LRUCache[tuple[str, str], _StoreAnswer] = LRUCache(_ASKED)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the entry; None if no file, and no store, has one for the registry.

        A registry that no file names is looked up in the store, once a minute: as for docker, what ``get`` says counts,
        not ``list``. A store that fails leaves such a registry without a login (``trouble``).

        Raises:
            Failed(credential_unreadable): a file that has precedence for this registry could never be parsed (DC-4), or
                its entry in ``credHelpers`` cannot be read.
        """
        if target.form is Form.LITERAL:
            return None
        await self._files.look()
        found = await self._find(target.authority, repository)
        if found is None:
            return None
        path, entry = found
        if entry.kind == "broken":
            raise broken_helper(entry.key, named(path))
        known = self._files.copies[path].version if path else None
        version = None if known is None else known.stamp
        if entry.kind == "auth":
            return Identity("docker-config", f"{path or _INLINE}#{entry.key}", version)
        answer = self._answers.get((entry.program, entry.key))
        return Identity(
            f"docker-credential-{entry.program}", f"{path}#{entry.key}", (version, answer.count if answer else 0)
        )

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the login of the entry that ``locate`` named.

        Raises:
            Failed: credential_unreadable, helper_failed, helper_not_runnable.
        """
        path, _, key = identity.entry.rpartition("#")
        if identity.source == "docker-config":
            return self._in_file(path, key)
        program = identity.source.removeprefix("docker-credential-")
        login = await self._login(path, DockerEntry("helper", key, program), target.authority, anew=anew)
        if login is None and (program, key) in self._asked:
            self._asked[program, key] = _StoreAnswer(self._clock.boot() + _ABSENT_KEEP)
        return login

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give a file's login, or a program's remembered one; else check whether the program could be started.

        Raises:
            Failed: credential_unreadable, helper_not_runnable.
        """
        del target
        path, _, key = identity.entry.rpartition("#")
        if identity.source == "docker-config":
            return self._in_file(path, key)
        program = identity.source.removeprefix("docker-credential-")
        answer = self._answers.get((program, key))
        if answer is None or answer.known is None:
            await self._processes.find(_command(path, program, key))
            return None
        return answer.known

    def trouble(self, target: Target) -> Failure | None:
        """Why the registry's login may be unknown: a store that did not answer, or a file whose older copy is in force."""
        for known in self._files.copies.values():
            entry = known.index.in_store(target.authority) if known.index is not None else None
            asked = self._asked.get((entry.program, entry.key)) if entry is not None else None
            if asked is not None and asked.failure is not None:
                return asked.failure
        return next((known.failure for known in self._files.copies.values() if known.failure is not None), None)

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name each file, what it has for the same host, and the store that it names."""
        files = {f"the docker configuration {path!r}": known.index for path, known in self._files.copies.items()}
        if self._inline_index is not None:
            files = {f"the variable {_INLINE}": self._inline_index, **files}
        if not files:
            return ("no docker configuration is looked at",)
        return tuple(
            f"{where} is not there"
            if index is None
            else f"{where} {index.lacks(target.authority)}{self._store_said(index, target.authority)}"
            for where, index in files.items()
        )

    def _store_said(self, index: Index, authority: str) -> str:
        entry = index.in_store(authority)
        asked = self._asked.get((entry.program, entry.key)) if entry is not None else None
        if entry is None or asked is None:
            return ""
        store = f"its store 'docker-credential-{entry.program}'"
        return f", and {store} cannot tell" if asked.failure is not None else f", and {store} has none either"

    def forget(self) -> None:
        """Make the next question look at files and programs again."""
        self._files.forget()
        self._asked.clear()
        for answer in self._answers.values():
            answer.forget()

    async def _find(self, authority: Authority, repository: RepositoryName | None) -> tuple[str, DockerEntry] | None:
        if self._inline_index is not None:
            entry = self._inline_index.find(authority, repository)
            if entry is not None:
                return _NO_FILE, entry
        for path, known in self._files.copies.items():
            if known.index is None and known.failure is not None:
                raise Failed(known.failure)
            if known.index is not None:
                entry = known.index.find(authority, repository) or await self._in_store(path, known.index, authority)
                if entry is not None:
                    return path, entry
        return None

    async def _in_store(self, path: str, index: Index, authority: str) -> DockerEntry | None:
        entry = index.in_store(authority)
        if entry is None:
            return None
        place = (entry.program, entry.key)
        asked = self._asked.get(place)
        if asked is None or self._clock.boot() >= asked.until:
            asked = self._asked[place] = await self._in_question(path, entry, authority)
        return entry if asked.found else None

    async def _in_question(self, path: str, entry: DockerEntry, authority: str) -> _StoreAnswer:
        try:
            login = await self._login(path, entry, authority, seconds=_ASK_TIMEOUT)
        except Failed as error:
            log.warning("credential store has no answer", registry=authority, reason=error.failure.message)
            return _StoreAnswer(self._clock.boot() + _FAILURE_KEEP, failure=error.failure)
        if login is None:
            return _StoreAnswer(self._clock.boot() + _ABSENT_KEEP)
        return _StoreAnswer(float("inf"), found=True)  # ``read`` finds out whether it still has one

    def _in_file(self, path: str, key: str) -> Login | None:
        stored = read_entry(
            self._inline if path == _INLINE else self._files.copies[path].content, key, where=named(path)
        )
        now = self._clock.boot()
        return None if stored is None else login_of(stored, since=now, boot=now, wall=self._clock.wall())

    async def _login(
        self, path: str, entry: DockerEntry, authority: str, *, anew: bool = False, seconds: float = _TIMEOUT
    ) -> Login | None:
        program, key = entry.program, entry.key
        answer = self._answers.get((program, key))
        if answer is None:
            answer = self._answers[program, key] = ProgramAnswer(keep=PROGRAM_KEEP, key=self._key, clock=self._clock)

        async def run() -> Printed:
            return await self._ask(path, DockerEntry(entry.kind, key, program), authority, seconds)

        known = self._files.copies[path].version if path in self._files.copies else None
        return await answer.login(run, anew=anew, stamp=None if known is None else known.stamp)

    async def _ask(self, path: str, entry: DockerEntry, authority: str, seconds: float) -> Printed:
        program, key = entry.program, entry.key
        done = await self._processes.run(_command(path, program, key, seconds))
        if done.status == 0:
            return done.stdout, from_helper(done.stdout, program, key=key)
        if done.stdout.strip() == NOT_FOUND:
            return done.stdout, None
        raise failed(
            Code.HELPER_FAILED,
            f"'docker-credential-{program}' has no answer for {key!r}: it {done.ended(' and said: ', most=200)}",
            hint=f"log in again: docker login {authority}",
        )

    def _read_inline(self) -> Index | None:
        index = parse_inline(self._inline)
        if index is None:
            log.warning("DOCKER_AUTH_CONFIG is ignored", wanted='{"auths":{"HOST":{"auth":"..."}}} and nothing else')
        return index


def _command(path: str, program: str, key: str, seconds: float = _TIMEOUT) -> Command:
    if not is_program(program):
        raise unusable_program(program, named(path))
    # One at a time: osxkeychain hangs when it is asked twice at once (DC-19).
    return Command(
        (f"docker-credential-{program}", "get"),
        stdin=key.encode(),
        timeout=seconds,
        concurrency=1,
        missing=install_program(program, path),
    )
