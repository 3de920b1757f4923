"""A list of sources: the first one that has a login for the target gives it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Target
from credproxy.core.errors import Failure
from credproxy.ports.source import Caches, Guesses, Narrows, Rewritable, Source, Turn
from credproxy.ports.trouble import first_trouble, trouble_of


class First:
    """Asks the sources of a list in its order. Source: ports.source.Source, Ordered, Narrows, Guesses, Rewritable.

    "Not mine" goes on to the next one. "Mine but broken" does not, and neither does a file that cannot be read: it may
    have the intended login, and the next source may have somebody else's.

    Args:
        sources: in order.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the credential of the first source that has one; its version includes which source that is. Raises Failed as that source does."""
        for index, source in enumerate(self._sources):
            identity = await source.locate(target, repository)
            if identity is not None:
                return replace(identity, version=(index, identity.version))
            if trouble_of(source, target) is not None:
                return None
        return None

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the named login; if it turns out to be missing, the login of the next source that has one.

        A narrowed login has no next one: other sources' logins would not be narrowed.
        """
        index, own, narrow = _of(identity)
        login = await self._sources[index].read(own, target, anew=anew)
        for source in () if narrow else self._sources[index + 1 :]:
            if login is not None:
                break
            found = await source.locate(target, None)
            login = None if found is None else await source.read(found, target, anew=anew)
        return login

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login that was named, as far as it is known."""
        index, own, _ = _of(identity)
        return await self._sources[index].peek(own, target)

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with the source that could not be passed over."""
        return first_trouble(self._sources, target)

    def looked(self, target: Target) -> tuple[str, ...]:
        """What each source says."""
        return tuple(said for source in self._sources for said in source.looked(target))

    def narrow(self, identity: Identity, target: Target, *, opened: str) -> Identity | None:
        """Narrow it as the source that has the credential does."""
        index, own, _ = _of(identity)
        source = self._sources[index]
        narrow = source.narrow(own, target, opened=opened) if isinstance(source, Narrows) else None
        return None if narrow is None else replace(narrow, version=(index, narrow.version, "narrow"))

    def guessed(self, identity: Identity) -> bool:
        """As the source that named it does."""
        index, own, _ = _of(identity)
        source = self._sources[index]
        return isinstance(source, Guesses) and source.guessed(own)

    def unasked(self, identity: Identity, target: Target) -> str:
        """As the source that named it does."""
        index, own, _ = _of(identity)
        source = self._sources[index]
        return source.unasked(own, target) if isinstance(source, Guesses) else ""

    @contextlib.asynccontextmanager
    async def turn(self, identity: Identity, target: Target, *, until: float) -> AsyncIterator[Turn]:
        """Take exclusive hold of a login; each source of such a list can be written. Raises as the source does."""
        index, own, _ = _of(identity)
        source = self._sources[index]
        assert isinstance(source, Rewritable)  # the kind checks for it: see OauthHost.mistakes
        async with source.turn(own, target, until=until) as turn:
            yield turn

    def passed(self, identity: Identity, target: Target) -> tuple[str, ...]:
        """What the sources before the one with the credential say."""
        return tuple(said for source in self._sources[: _of(identity)[0]] for said in source.looked(target))

    def forget(self) -> None:
        """Make all sources look again."""
        for source in self._sources:
            if isinstance(source, Caches):
                source.forget()


def _of(identity: Identity) -> tuple[int, Identity, bool]:
    """The position of the source in the list, the identity as the source gave it, and whether it is a narrowed one."""
    assert isinstance(identity.version, tuple)
    index, version, *narrow = identity.version
    return index, replace(identity, version=version), bool(narrow)
