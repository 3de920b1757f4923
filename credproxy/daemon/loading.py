"""Reading the configuration, and the policy file that it may name: both or neither."""

import asyncio
from dataclasses import replace
from pathlib import PurePath
from typing import NamedTuple

from credproxy.core.config.parse import ConfigError, decode, load_files
from credproxy.core.config.settings import Settings
from credproxy.core.config.trusted_files import trusted_files
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.ownership import Exposure
from credproxy.core.policy.policy import Policy
from credproxy.ports.files import Files, FileVersion


class Loaded(NamedTuple):
    """A configuration that may be put in force.

    It comes with its rules for build actions, what members of a group could change, and the files that it was read from.
    """

    settings: Settings
    policy: Policy
    exposed: tuple[Exposure, ...] = ()
    files: tuple[str, ...] = ()


class _SeenFiles(NamedTuple):
    """What is compared to tell whether reading again could give something different: a mode is not part of a version."""

    version: FileVersion | None
    exposures: tuple[Exposure, ...]


class Loader:
    """Reads, and knows whether reading again could give something different.

    Args:
        files: the port.
        paths: configuration files, the most important first.
        required: whether each of them has to exist.
        system: one service for all users, whom it cannot tell from their build actions: that has to be accepted.
        home: what ``~/`` stands for in the configuration; "" if there is none.
    """

    def __init__(
        self, files: Files, paths: tuple[str, ...], *, required: bool, system: bool = False, home: str = ""
    ) -> None:
        self._home = home
        self._system = system
        self._files = files
        self._paths = paths
        self._required = required
        self._seen: dict[str, _SeenFiles] = {}
        self._exposed: list[Exposure] = []
        # One after the other: a large policy that was read first must not be in force last.
        self._turn = asyncio.Lock()

    async def load(self) -> Loaded:
        """Read everything.

        Raises:
            Failed(config_invalid): with the first mistake; ``changed`` tells when it may have been fixed.
        """
        async with self._turn:
            self._seen, self._exposed = {}, []
            try:
                return await self._load()
            except ConfigError as error:
                raise error.failed() from None

    async def changed(self) -> bool:
        """Tell whether a file that was read, or was missing, has another version by now."""
        seen = dict(self._seen)  # a reload may read, and so check, in the meantime
        return {path: await self._look(path) for path in seen} != seen

    async def _load(self) -> Loaded:
        texts = [(path, await self._text(path)) for path in self._paths]
        found = [(path, text) for path, text in texts if text is not None]
        settings = load_files(found, self._home)
        if self._system and settings.peer_namespaces != "any":
            raise failed(
                Code.CONFIG_INVALID,
                "a system service cannot see the namespaces of other users' processes, so nothing but the sockets' groups "
                "keeps build actions out",
                hint=f'to accept that, write peer_namespaces = "any" into {self._paths[0]}',
            )
        policy = await self._policy(settings)
        for subject, path in trusted_files(settings):
            self._check_writers(subject, path, (await self._look(path, keep=True)).exposures)
        return Loaded(settings, policy, tuple(self._exposed), tuple(path for path, _ in found))

    async def _policy(self, settings: Settings) -> Policy:
        router = settings.router()
        path = settings.actions.policy_file
        if path is None:
            return Policy(settings.actions.rule, router)
        from credproxy.core.config.policy_file import load_policy  # noqa: PLC0415  few have one, and YAML takes 15 ms to import

        content = await self._read("the policy file", path)
        if content is None:
            raise failed(Code.CONFIG_INVALID, f"the policy file {path!r} is not there", hint="credproxy config check")
        # Off the loop: 4,096 rules in YAML are two thirds of a second.
        found = await asyncio.to_thread(load_policy, content, path)
        # Refusals name the file, and a build action is not told where it is (T19).
        return Policy(found.rules, router, place=replace(found, path=PurePath(path).name))

    async def _text(self, path: str) -> str | None:
        content = await self._read("the configuration", path)
        if content is None and self._required:
            raise failed(
                Code.CONFIG_INVALID,
                f"the configuration {path!r} is not there",
                hint="write it, or name another one: credproxy serve --config FILE",
            )
        return None if content is None else decode(content, path)

    async def _read(self, subject: str, path: str) -> bytes | None:
        # The check comes first: what is written between the two is then read again.
        await self._look(path, keep=True)
        try:
            found = await self._files.judged(path, self._home)
        except Failed as error:
            raise failed(Code.CONFIG_INVALID, error.failure.message, hint=error.failure.hint) from None
        if found is None:
            return None
        self._check_writers(subject, path, found.exposures)
        return found.content

    def _check_writers(self, subject: str, path: str, exposures: tuple[Exposure, ...]) -> None:
        """Note what a group could change. Raises Failed(config_invalid) if anybody else could."""
        for one in exposures:
            if one.grave:
                raise failed(
                    Code.CONFIG_INVALID, f"{subject} {path!r} is not trusted: it {one.problem}", hint=one.remedy
                )
        self._exposed += [one._replace(problem=f"{subject} {path!r} {one.problem}") for one in exposures]

    async def _look(self, path: str, *, keep: bool = False) -> _SeenFiles:
        try:
            found = _SeenFiles(await self._files.version(path), await self._files.exposures(path, self._home))
        except Failed:
            found = _SeenFiles(None, ())
        if keep:
            self._seen[path] = found
        return found
