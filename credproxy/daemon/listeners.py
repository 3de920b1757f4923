"""The sockets while they are served: opened, watched, and closed in an order that no caller notices."""

import os
import socket
from collections.abc import Callable, Sequence
from shlex import quote
from typing import Protocol

import structlog

from credproxy.core.errors import Failed, in_words
from credproxy.core.unit_names import socket_unit
from credproxy.daemon.in_place_restart import Kept
from credproxy.daemon.service_manager import Announcer
from credproxy.ports.clock import Clock
from credproxy.server.listener import AlreadyRunning, Bound, Listener, Standing
from credproxy.server.peer import Gate


_LOOKS = 60.0
"""Seconds between two checks of the sockets' files (P1); without a watchdog, the only thing that wakes an idle daemon."""

_TRIES = 10.0
"""The same while a socket is missing that could not be made at the start: it is made as soon as that is possible."""

log = structlog.get_logger("credproxy.daemon")


class Closes(Protocol):
    """Accepts until it is closed."""

    def close(self) -> None:
        """Stop accepting."""
        ...


class Serves(Protocol):
    """Takes the connections of a socket. ``dropped`` were above ``limit``, ``ended`` gave way to others."""

    gate: Gate
    dropped: int
    ended: int

    @property
    def limit(self) -> int:
        """Connections that may be open at once."""
        ...

    @property
    def open(self) -> int:
        """Connections that are open."""
        ...

    async def accept(self, sock: socket.socket, backlog: int) -> Closes:
        """Begin to accept from a listening socket."""
        ...

    def pre_shutdown(self) -> None:
        """Begin no more requests."""
        ...

    async def shutdown(self, timeout: float) -> None:  # noqa: ASYNC109  as aiohttp's server has it
        """Give requests under way that many seconds, then end them."""
        ...


class ServedSocket:
    """One socket and the server behind it.

    Args:
        name: for people: ``helper`` or ``actions``.
        listener: where callers connect.
        server: makes their connections.
        backlog: connections that may wait in the kernel.
    """

    def __init__(self, name: str, listener: Listener, *, server: Serves, backlog: int) -> None:
        self.name = name
        self._backlog = backlog
        self.server = server
        self._listener = listener
        self._accepting: Closes | None = None

    @property
    def path(self) -> str:
        """Where it is."""
        return str(self._listener.path)

    @property
    def unit(self) -> str:
        """The unit that made it, by the name that we ship it under; empty for one that we made."""
        return "" if isinstance(self._listener, Bound) else socket_unit(self.name)

    async def open(self) -> None:
        """Begin to accept."""
        self._accepting = await self.server.accept(self._listener.sock, self._backlog)

    def close(self) -> None:
        """Stop accepting: a self-made socket's file is removed first, so that callers can find a successor in its place."""
        self._listener.leave()
        if self._accepting is not None:
            self._accepting.close()
        self._listener.close()

    def hand_over(self) -> Kept | None:
        """Stop accepting, and keep the socket open for a successor; None for one that the service manager keeps."""
        if not isinstance(self._listener, Bound):
            self.close()
            return None
        kept = Kept(self.name, os.dup(self._listener.sock.fileno()), self._listener.release())
        if self._accepting is not None:
            self._accepting.close()
        return kept

    def standing(self) -> Standing:
        """What callers find at the path."""
        return self._listener.standing()

    async def restore(self) -> bool:
        """Put a self-made socket back in place; False if it is not ours to put back.

        Raises:
            Failed, OSError, AlreadyRunning: as ``Bound.rebind``.
        """
        if not isinstance(self._listener, Bound):
            return False
        self._listener.rebind(backlog=self._backlog)
        before = self._accepting
        await self.open()
        if before is not None:
            before.close()
        return True


class ServedSockets:
    """Watches the doors.

    Args:
        doors: that are open.
        clock: for the time between checks.
        announcer: told of a socket that callers do not find.
        stop: ends the daemon when nobody reaches it any more.
        late: makes the door that could not be made at the start, and gives None as long as that is so; None if none is missing.
    """

    def __init__(
        self,
        doors: Sequence[ServedSocket],
        *,
        clock: Clock,
        announcer: Announcer,
        stop: Callable[[], None],
        late: Callable[[], ServedSocket | None] | None = None,
    ) -> None:
        self._doors = list(doors)
        self._clock = clock
        self._announcer = announcer
        self._stop = stop
        self._late = late
        self._lost: set[str] = set()

    async def keep(self) -> None:
        """Check each door from time to time, for ever."""
        while True:
            await self._clock.sleep(_LOOKS if self._late is None else _TRIES)
            for door in tuple(self._doors):
                await self._look(door)
            await self._open_late()

    async def _open_late(self) -> None:
        door = None if self._late is None else self._late()
        if door is None:
            return
        await door.open()
        self._doors.append(door)
        self._late = None
        log.info("socket opened", socket=door.path)

    async def _look(self, door: ServedSocket) -> None:
        standing = door.standing()
        if standing is Standing.OURS:
            self._found(door)
        elif standing is Standing.TAKEN and not door.unit:
            self._give_way(door)
        else:
            await self._mend(door, standing)

    def _found(self, door: ServedSocket) -> None:
        if door.name in self._lost:
            self._lost.discard(door.name)
            self._announcer.say(f"{door.name} socket", "")
            log.info("socket is back", socket=door.path)

    def _give_way(self, door: ServedSocket) -> None:
        """Another process serves there, perhaps systemd after an installation: it is not ours to remove."""
        log.warning(
            "socket taken over", socket=door.path, hint="credproxy status tells of the daemon that serves it now"
        )
        self._doors.remove(door)
        door.close()
        if door.name == "helper":
            self._stop()

    async def _mend(self, door: ServedSocket, standing: Standing) -> None:
        # One that is ours is made again without anybody's help, and a second daemon would only find that this one runs.
        again = f"ls -ld {quote(os.path.dirname(door.path))}; it is tried again each minute"  # noqa: PTH120  text
        hint = f"systemctl --user restart {door.unit}" if door.unit else again
        reason = standing.value
        try:
            if await door.restore():
                log.warning("socket restored", socket=door.path, was=standing.value)
                self._found(door)
                return
        except AlreadyRunning:
            self._give_way(door)
            return
        except Failed as error:
            reason, hint = error.failure.message, error.failure.hint
        except OSError as error:
            reason = in_words(error)
        if door.name not in self._lost:
            self._lost.add(door.name)
            log.error("socket lost", socket=door.path, reason=reason, hint=hint)
            self._announcer.say(f"{door.name} socket", f"nobody finds {door.path} ({reason}): {hint}", wrong=True)
