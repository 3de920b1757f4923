"""The Secret Service of this session: gnome-keyring, KWallet, KeePassXC or another program that owns its name on the bus.

Each search uses a new connection, so that nothing is kept open and a restarted bus is found again. Methods that would
open a window (``Unlock``, ``Prompt``) are never called. Source: Secret Service API draft 0.2; D-Bus specification.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from credproxy.adapters.own_metadata import is_not_installed
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.stored import locked, unreadable
from credproxy.core.errors import Failed
from credproxy.core.kinds.sources.keyring import LIBRARY
from credproxy.ports.clock import Clock
from credproxy.ports.keyrings import KeyringFound, KeyringItem


TIMEOUT: Final = 5.0
"""Seconds for one search, which usually takes some milliseconds; the bus may have to start the keyring first."""

ADDRESS: Final = "DBUS_SESSION_BUS_ADDRESS"

_SERVICE = "org.freedesktop.secrets"
_ROOT = "/org/freedesktop/secrets"
_SERVICE_API = "org.freedesktop.Secret.Service"
_COLLECTION_API = "org.freedesktop.Secret.Collection"
_ITEM_API = "org.freedesktop.Secret.Item"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_NOTHING = "/"

_NOBODY = ("ServiceUnknown", "NameHasNoOwner", "Disconnected")
"""Errors of the bus if nothing owns the name, by the last word; ``Spawn.`` errors are from starting the owner."""

_GONE = ("NoSuchObject", "UnknownObject", "UnknownMethod")
_LOCKED = "IsLocked"

MessageBody = tuple[object, ...]


class NoKeyringError(Exception):
    """There is no keyring; the message says why."""


class LockedKeyringError(Exception):
    """The keyring is locked: nothing can be stored in it without opening a window."""


class _BusError(Exception):
    """The keyring's own error; ``name`` is its last word."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class _Bus:
    """A connection to the bus."""

    send: Callable[[object], Awaitable[object]]

    async def call(
        self, path: str, interface: str, method: str, signature: str = "", body: MessageBody = ()
    ) -> MessageBody:
        """Call a method of the keyring. Raises _BusError."""
        import jeepney  # type: ignore[import-untyped]  # noqa: PLC0415  untyped; a daemon without a keyring does not need it

        address = jeepney.DBusAddress(path, bus_name=_SERVICE, interface=interface)
        message = jeepney.new_method_call(address, method, signature or None, body)
        reply = await self.send(message)
        try:
            found: MessageBody = jeepney.wrappers.unwrap_msg(reply)
        except jeepney.DBusErrorResponse as error:
            raise _BusError(str(error.name)) from None
        return found

    async def session(self) -> str:
        """Open a session without extra encryption: nobody else can listen on the bus."""
        _, path = await self.call(_ROOT, _SERVICE_API, "OpenSession", "sv", ("plain", ("s", "")))
        return str(path)


class SecretService:
    """The keyring that answers on the session bus. Source: ports.keyrings.Keyring.

    Args:
        environ: says where the bus is.
        clock: limits the waiting.
        uid: whose bus is used if the environment does not name one.
    """

    def __init__(self, environ: Mapping[str, str], *, clock: Clock, uid: int) -> None:
        self._environ = environ
        self._clock = clock
        self._uid = uid

    async def search(self, service: str, username: str | None, *, anew: bool = False) -> KeyringFound:
        """Look for secrets by their attributes ``service`` and ``username``. Raises Failed(credential_unreadable)."""
        del anew  # nothing is remembered
        try:
            async with self._connected() as bus:
                open_ones, closed = await _search(bus, service, username)
                items = tuple([await _item(bus, path) for path in open_ones])
        except NoKeyringError as error:
            return KeyringFound(absent=str(error))
        return KeyringFound(items, len(closed))

    async def reveal(self, item: KeyringItem) -> Secret | None:
        """Read a secret; None if it was deleted or locked since it was found. Raises Failed(credential_unreadable)."""
        try:
            async with self._connected() as bus:
                (secret,) = await bus.call(item.place, _ITEM_API, "GetSecret", "o", (await bus.session(),))
                assert isinstance(secret, tuple)
                return as_secret(bytes(secret[2]))
        except NoKeyringError:
            return None

    async def rewrite(self, service: str, username: str, *, label: str, secret: Secret) -> None:
        """Put another secret in the place of one. Raises Failed(credential_unreadable)."""
        try:
            await self.store({"service": service, "username": username}, label, secret=secret)
        except NoKeyringError as error:
            raise locked("the keyring", f"takes nothing: {error}") from None
        except LockedKeyringError:
            raise locked("the keyring", "takes nothing: it is locked") from None

    async def usable(self) -> None:
        """Check whether something could be stored. Raises the same as ``store``."""
        async with self._connected() as bus:
            collection = await _default(bus)
            (found,) = await bus.call(collection, _PROPERTIES, "Get", "ss", (_COLLECTION_API, "Locked"))
        if found == ("b", True):
            raise LockedKeyringError

    async def store(self, attributes: Mapping[str, str], label: str, *, secret: Secret) -> None:
        """Store a secret, replacing one with the same attributes.

        Raises:
            NoKeyringError: there is no keyring, or it has no default collection.
            LockedKeyringError: the keyring is locked.
            Failed(credential_unreadable): the keyring does not answer.
        """
        async with self._connected() as bus:
            collection = await _default(bus)
            session = await bus.session()
            properties = {
                f"{_ITEM_API}.Label": ("s", label),
                f"{_ITEM_API}.Attributes": ("a{ss}", dict(attributes)),
            }
            sent = (session, b"", secret.reveal().encode(), "text/plain; charset=utf8")
            try:
                _, prompt = await bus.call(
                    collection, _COLLECTION_API, "CreateItem", "a{sv}(oayays)b", (properties, sent, True)
                )
            except _BusError as error:
                raise _cannot_store(error) from None
            if prompt != _NOTHING:
                raise LockedKeyringError

    async def erase(self, attributes: Mapping[str, str]) -> int:
        """Delete all secrets with these attributes; give their number. Raises the same as ``store``."""
        async with self._connected() as bus:
            open_ones, closed = await _found(bus, attributes)
            if closed:
                raise LockedKeyringError
            for path in open_ones:
                (prompt,) = await bus.call(path, _ITEM_API, "Delete")
                if prompt != _NOTHING:
                    raise LockedKeyringError
            return len(open_ones)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Bus]:
        """Connect for one task. Raises NoKeyringError; Failed(credential_unreadable): the bus does not answer."""
        address = await asyncio.to_thread(partial(self._address))
        try:
            async with self._clock.timeout(TIMEOUT):
                from jeepney.io.asyncio import (  # type: ignore[import-untyped]  # noqa: PLC0415  see _Bus.call
                    open_dbus_router,
                )

                async with open_dbus_router(address) as router:
                    yield _Bus(router.send_and_get_reply)
        except ImportError:
            raise NoKeyringError(is_not_installed(LIBRARY)) from None
        except TimeoutError:
            raise unreadable(
                "the keyring",
                f"has not answered for {TIMEOUT:g} s",
                hint="see whether it hangs: secret-tool search x x",
            ) from None
        except _BusError as error:
            raise _refused(error) from None
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            raise NoKeyringError(f"nothing answers on the session bus: {_why(error)}") from None

    def _address(self) -> str:
        """The address of the bus: from the environment, else systemd's default. Raises NoKeyringError."""
        if found := self._environ.get(ADDRESS):
            return found
        place = f"{self._environ.get('XDG_RUNTIME_DIR') or f'/run/user/{self._uid}'}/bus"
        try:
            is_socket = stat.S_ISSOCK(Path(place).stat().st_mode)
        except OSError:
            is_socket = False
        if not is_socket:
            raise NoKeyringError(f"there is no session bus: {ADDRESS} is not set, and {place!r} is not there")
        return f"unix:path={place}"


def as_secret(content: bytes) -> Secret:
    """Decode a stored secret. Raises Failed(credential_unreadable): it is not text."""
    try:
        return Secret(content.decode())
    except UnicodeDecodeError:
        raise unreadable("the secret in the keyring", "is not UTF-8 text", hint="store it as text") from None


async def _search(bus: _Bus, service: str, username: str | None) -> tuple[list[str], list[str]]:
    user = {} if username is None else {"username": username}
    return await _found(bus, {"service": service, **user})


async def _found(bus: _Bus, attributes: Mapping[str, str]) -> tuple[list[str], list[str]]:
    found = await bus.call(_ROOT, _SERVICE_API, "SearchItems", "a{ss}", (dict(attributes),))
    open_ones, closed = (list(map(str, paths)) for paths in found if isinstance(paths, list))
    return open_ones, closed


async def _item(bus: _Bus, path: str) -> KeyringItem:
    (found,) = await bus.call(path, _PROPERTIES, "GetAll", "s", (_ITEM_API,))
    assert isinstance(found, dict)
    (_, attributes), (_, modified) = found["Attributes"], found["Modified"]
    return KeyringItem(path, str(attributes.get("username", "")), int(modified))


async def _default(bus: _Bus) -> str:
    """The default collection, for new secrets. Raises NoKeyringError: there is none, and making one would open a window."""
    (path,) = await bus.call(_ROOT, _SERVICE_API, "ReadAlias", "s", ("default",))
    if path == _NOTHING:
        raise NoKeyringError("the keyring has no collection for new secrets yet")
    return str(path)


def _cannot_store(error: _BusError) -> Exception:
    return LockedKeyringError() if error.name.endswith(_LOCKED) else error


def _refused(error: _BusError) -> NoKeyringError | Failed:
    """Translate an error of the bus or the keyring."""
    if error.name.endswith(_NOBODY) or ".Spawn." in error.name:
        return NoKeyringError("no keyring answers on the session bus")
    if error.name.endswith((*_GONE, _LOCKED)):
        return NoKeyringError("what was found there has gone")
    return unreadable(
        "the keyring", f"refuses: {error.name}", hint="see what it has: secret-tool search --all service x"
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return "it closed the connection" if isinstance(error, EOFError) else "it does not speak as a bus does"
