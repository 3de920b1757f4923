"""Docker's and podman's configuration, with ``docker-credential-*`` programs (token-exchange.md section 4).

What is kept in memory is which registries are named and where; a secret is read for the exchange that needs it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from cachetools import LRUCache

from credproxy.core.credential import Identity
from credproxy.core.docker_config import (
    Entry,
    Index,
    fold,
    from_helper,
    listed,
    parse_index,
    parse_inline,
    read_entry,
)
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.hub import HUB_KEY, is_hub
from credproxy.core.login import Login, login_of
from credproxy.core.paths import config_home
from credproxy.core.stored import unreadable
from credproxy.core.target import Form, Target
from credproxy.ports import Clock, Command, Completed, Files, FileVersion, Processes
from credproxy.sources.programs import Answer, Printed


_LOOK = 1.0
"""Seconds between looks at the files (DC-3): a new login is seen within one."""

_HELPER_KEEP = 240.0
"""Seconds that a program's answer is used; GAR's workload-identity tokens live 300 (DC-19)."""

_ANSWERS = 1024
"""Logins of programs that are remembered."""

_LIST_KEEP = 300.0
"""Seconds that a store's list is kept (DC-16)."""

_OURSELVES = "credproxy"
_NOT_FOUND = b"credentials not found in native keychain"
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OTHERS_READ = 0o077

log = structlog.get_logger("credproxy.sources")


@dataclass(slots=True)
class _Known:
    """One file: ``version`` is of the copy that ``index`` was read from, ``seen`` of the newest one.

    ``failure`` is set where it never parsed.
    """

    seen: FileVersion | None = None
    version: FileVersion | None = None
    index: Index | None = None
    failure: Failed | None = None


def places(environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """Where ``docker_config = "auto"`` looks, in order (DC-1)."""
    home, config = environ.get("HOME"), config_home(environ)
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    found = [
        environ.get("REGISTRY_AUTH_FILE", ""),
        f"{environ['DOCKER_CONFIG']}/config.json" if environ.get("DOCKER_CONFIG") else "",
        f"{home}/.docker/config.json" if home else "",
        f"{runtime}/containers/auth.json",
        f"{config}/containers/auth.json" if config else "",
    ]
    return tuple(dict.fromkeys(path for path in found if path))


class DockerConfig:
    """The logins of docker and podman. Source: ports.Source; DC-1 to DC-19.

    Args:
        paths: files in order of precedence; the first with an entry for a registry answers.
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
        inline: str = "",
    ) -> None:
        self._paths = paths
        self._files = files
        self._processes = processes
        self._clock = clock
        self._key = key()
        self._inline = inline.encode()
        self._inline_index = self._read_inline() if inline else None
        self._known = {path: _Known() for path in paths}
        self._looked = float("-inf")
        self._answers: LRUCache[tuple[str, str], Answer] = LRUCache(_ANSWERS)
        self._lists: dict[str, tuple[float, frozenset[str]]] = {}

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the entry; None where no file, and no store's list, names the registry.

        Raises:
            Failed(credential_unreadable): a file that comes first for this registry never parsed (DC-4).
        """
        if target.form is Form.LITERAL:
            return None
        if self._clock.boot() - self._looked >= _LOOK:
            await self._look()
        found = await self._find(target.authority, repository)
        if found is None:
            return None
        path, entry = found
        known = self._known[path].version if path else None
        version = None if known is None else known.stamp
        if entry.kind == "auth":
            return Identity("docker-config", f"{path or 'DOCKER_AUTH_CONFIG'}#{entry.key}", version)
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
            return await self._in_file(path, key)
        program = identity.source.removeprefix("docker-credential-")
        answer = self._answers.get((program, key))
        if answer is None:
            answer = self._answers[program, key] = Answer(keep=_HELPER_KEEP, key=self._key, clock=self._clock)

        async def run() -> Printed:
            return await self._ask(program, key, target.authority)

        known = self._known[path].version if path in self._known else None
        return await answer.login(run, anew=anew, stamp=None if known is None else known.stamp)

    def forget(self) -> None:
        """Look at files, programs and lists again."""
        self._looked = float("-inf")
        self._lists.clear()
        for answer in self._answers.values():
            answer.forget()

    async def hosts(self) -> frozenset[str]:
        """Every registry that the files name, canonical."""
        await self._look()
        return frozenset(
            name for known in self._known.values() if known.index is not None for name in known.index.authorities()
        )

    async def _find(self, authority: str, repository: str | None) -> tuple[str, Entry] | None:
        if self._inline_index is not None:
            entry = self._inline_index.find(authority, repository)
            if entry is not None:
                return "", entry
        for path, known in self._known.items():
            if known.failure is not None:
                raise Failed(known.failure.failure)
            if known.index is not None:
                entry = known.index.find(authority, repository) or await self._in_store(known.index, authority)
                if entry is not None:
                    return path, entry
        return None

    async def _in_store(self, index: Index, authority: str) -> Entry | None:
        if not index.store or fold(authority) not in await self._list(index.store):
            return None
        return Entry("store", HUB_KEY if is_hub(authority) else authority, index.store)

    async def _list(self, program: str) -> frozenset[str]:
        until, names = self._lists.get(program, (float("-inf"), frozenset()))
        if self._clock.boot() < until:
            return names
        found: frozenset[str] | None = None
        try:
            done = await self._run(program, "list", b"unused")
            found = listed(done.stdout) if done.status == 0 else None
        except Failed as error:
            log.warning("credential store cannot be listed", program=program, reason=error.failure.message)
        # A host that only a broken store might know is not configured (P-7): it gets {}, and the log says why.
        self._lists[program] = (self._clock.boot() + _LIST_KEEP, found or frozenset())
        return found or frozenset()

    async def _in_file(self, path: str, key: str) -> Login | None:
        since = self._clock.boot()
        content = self._inline if path == "DOCKER_AUTH_CONFIG" else await self._files.read(path)
        stored = None if content is None else read_entry(content, key, _where(path))
        if stored is None:
            return None
        return login_of(stored, since=since, boot=self._clock.boot(), wall=self._clock.wall())

    async def _ask(self, program: str, key: str, authority: str) -> Printed:
        done = await self._run(program, "get", key.encode())
        if done.status == 0:
            return done.stdout, from_helper(done.stdout, program)
        if done.stdout.strip() == _NOT_FOUND:
            return done.stdout, None
        raise failed(
            Code.HELPER_FAILED,
            f"'docker-credential-{program}' has no answer for {key!r}: it ended with status {done.status}"
            + (f" and said: {done.complaint[-200:]}" if done.complaint else ""),
            f"log in again: docker login {authority}",
        )

    async def _run(self, program: str, verb: str, stdin: bytes) -> Completed:
        if not _PROGRAM.fullmatch(program):
            raise unreadable(
                f"the credential program name {program!r}",
                "is not one",
                "it may have letters, digits, '.', '_' and '-'",
            )
        # One at a time: osxkeychain hangs when it is asked twice at once (DC-19).
        return await self._processes.run(Command((f"docker-credential-{program}", verb), stdin=stdin, concurrency=1))

    async def _look(self) -> None:
        for path, known in self._known.items():
            try:
                version = await self._files.version(path)
                if version != known.seen:
                    await self._load(path, known, version)
            except Failed as error:
                self._spoiled(path, known, error)
        self._looked = self._clock.boot()

    async def _load(self, path: str, known: _Known, version: FileVersion | None) -> None:
        content = await self._files.read(path) if version is not None else None
        known.seen = version
        if content is None or version is None:
            known.version, known.index, known.failure = None, None, None
            return
        index = parse_index(content, _where(path))
        known.version, known.index, known.failure = version, _without_ourselves(index, path), None
        if version.mode & _OTHERS_READ and any(key not in index.empty for key in index.auths.values()):
            log.warning("others may read this file of logins", path=path, hint=f"chmod 600 {path}")

    def _spoiled(self, path: str, known: _Known, error: Failed) -> None:
        # The last good copy goes on serving (DC-3); a file that never parsed is an error for whoever would use it.
        if known.index is None:
            known.failure = error
        log.error("docker configuration cannot be read", path=path, reason=error.failure.message)

    def _read_inline(self) -> Index | None:
        index = parse_inline(self._inline)
        if index is None:
            log.warning("DOCKER_AUTH_CONFIG is ignored", wanted='{"auths":{"HOST":{"auth":"..."}}} and nothing else')
        return index


def _without_ourselves(index: Index, path: str) -> Index:
    """Skip entries that name docker-credential-credproxy: asking it would ask ourselves, and so on without end."""
    names = [name for name, (_, program) in index.helpers.items() if program == _OURSELVES]
    if not names and index.store != _OURSELVES:
        return index
    log.info("entries that name credproxy itself are skipped", path=path, registries=names)
    helpers = {name: entry for name, entry in index.helpers.items() if name not in names}
    store = "" if index.store == _OURSELVES else index.store
    return Index(index.auths, index.empty, index.registry_tokens, helpers, store)


def _where(path: str) -> str:
    return f"the docker configuration {path!r}"
