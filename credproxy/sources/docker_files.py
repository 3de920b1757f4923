"""Docker's and podman's files: where they are, and the last good copy of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from shlex import quote

import structlog

from credproxy.core.errors import Failed, Failure
from credproxy.core.formats.docker_config import Index, parse_index
from credproxy.core.paths import config_home
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files, FileVersion
from credproxy.sources.watched_file import Looks


_OURSELVES = "credproxy"
_OTHERS_READ = 0o077

log = structlog.get_logger("credproxy.sources")


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


@dataclass(slots=True)
class FileCopy:
    """One file: ``version`` belongs to the copy that ``index`` was read from, ``seen`` to the newest one.

    ``content`` is that copy: a file that breaks leaves it in force. ``failure`` is why the newest one is not used.
    """

    seen: FileVersion | None = None
    version: FileVersion | None = None
    index: Index | None = None
    content: bytes = field(default=b"", repr=False)
    failure: Failure | None = None


class DockerFiles:
    """The files of one source.

    Args:
        paths: in order of precedence.

    Attributes:
        copies: of each file, by its path, in that order.
    """

    def __init__(self, paths: tuple[str, ...], *, files: Files, clock: Clock) -> None:
        self.copies = {path: FileCopy() for path in paths}
        self._files = files
        self._looks = Looks(clock)

    def forget(self) -> None:
        """Look again at the next question."""
        self._looks.forget()

    async def look(self) -> None:
        """Read what has changed, once a second at most; what cannot be read is noted in its copy."""
        await self._looks.look(self._read)

    async def _read(self) -> None:
        for path, known in self.copies.items():
            try:
                version = await self._files.version(path)
                # A changed mode does not change the version, so an unreadable file is tried again.
                if version != known.seen:
                    await self._load(path, known, version)
            except Failed as error:
                self._spoiled(path, known, error.failure)

    async def _load(self, path: str, known: FileCopy, version: FileVersion | None) -> None:
        content = await self._files.read(path) if version is not None else None
        known.seen = version
        if content is None or version is None:
            known.version, known.index, known.content, known.failure = None, None, b"", None
            return
        index = parse_index(content, named(path))
        if known.failure is not None:
            log.info("docker configuration can be read again", path=path)
        known.version, known.index, known.content = version, _without_ourselves(index, path), content
        known.failure = None
        if version.mode & _OTHERS_READ and any(key not in index.empty for key in index.auths.values()):
            log.warning("others may read this file of logins", path=path, hint=f"chmod 600 {quote(path)}")

    def _spoiled(self, path: str, known: FileCopy, failure: Failure) -> None:
        if failure != known.failure:  # checked each second, but logged once
            log.error("docker configuration cannot be read", path=path, reason=failure.message, hint=failure.hint)
        known.failure = failure


def _without_ourselves(index: Index, path: str) -> Index:
    """Skip entries that name docker-credential-credproxy: it would ask this daemon again, in an endless loop."""
    names = [name for name, (_, program) in index.helpers.items() if program == _OURSELVES]
    if not names and index.store != _OURSELVES:
        return index
    log.info("entries that name credproxy itself are skipped", path=path, registries=names)
    helpers = {name: entry for name, entry in index.helpers.items() if name not in names}
    store = "" if index.store == _OURSELVES else index.store
    return replace(index, helpers=helpers, store=store)


def named(path: str) -> str:
    """What messages call one of them."""
    return f"the docker configuration {path!r}"
