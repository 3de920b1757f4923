"""A request as it arrived at the gateway, and the answer as it is sent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from credproxy.ports.forwarder import Room
from credproxy.ports.transfer import Sink


ORIGINAL_HOST = "X-Rules_img-Original-Host"
"""Names the registry; rules_img's own gateway client sends it, in this spelling on the wire."""

Headers = tuple[tuple[str, str], ...]


class Incoming(Struct, frozen=True):
    """One request.

    Attributes:
        path, query: raw, still percent-encoded; the query without ``?``.
        headers: all field lines, in order.
        uid: of the caller.
        sandbox: names the caller's sandbox in the budget of exchanges; None for a caller outside any.
        pid, program: of the process that connected, for the audit log; None and "" if unknown.
        connection: its number, for an authorizer that identifies callers by it.
        room: memory for bodies that are held whole; None if it is not counted.
        account: that its downloads are counted on; None for the user's own, which has no share to keep to.
    """

    method: str
    path: str
    query: str
    headers: Headers
    uid: int
    sandbox: str | None = None
    pid: int | None = None
    program: str = ""
    connection: int = 0
    room: Room | None = None
    account: str | None = None
    _lines: dict[str, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        # Some eight fields are looked up in each request: one pass over its lines instead of one per field.
        found: dict[str, tuple[str, ...]] = {}
        for name, value in self.headers:
            lower = name.lower()
            found[lower] = (*found.get(lower, ()), value)
        force_setattr(self, "_lines", found)

    def all(self, name: str) -> tuple[str, ...]:
        """Every field line of that name, in order; the name in any case."""
        return self._lines.get(name.lower(), ())


def values(headers: Headers, name: str) -> tuple[str, ...]:
    """Every field line of that name, in order; the name in any case."""
    wanted = name.lower()
    return tuple([value for key, value in headers if key.lower() == wanted])


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """The head of an answer, and where it came from.

    Attributes:
        anonymous: the request held no credential.
        own: the registry itself gave it, not a host that it redirected to.
        subject: what messages call the sender; "" for the registry.
    """

    status: int
    headers: Headers
    anonymous: bool = False
    own: bool = True
    subject: str = ""


class RequestBody(Protocol):
    """The unread body of a request."""

    @property
    def length(self) -> int | None:
        """Bytes that were announced; None for a chunked body."""
        ...

    async def whole(self, limit: int) -> bytes:
        """Read it to its end. Raises Failed: too_large, or bad_request if it stalls or breaks off."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Read it piece by piece. Raises Failed(bad_request) if it stalls or breaks off."""
        ...


class Stream(Protocol):
    """A body that is sent after its head."""

    @property
    def length(self) -> int | None:
        """Bytes of the body; None if unknown beforehand."""
        ...

    async def send(self, sink: Sink) -> None:
        """Send the whole body.

        Raises:
            Failed: it cannot be completed; the client's connection must be aborted, or a truncated body looks complete.
            ConnectionError: the client has left.
        """
        ...

    def close(self) -> None:
        """End it, whether sent or not."""
        ...


class Reply(Struct, frozen=True):
    """One answer.

    Attributes:
        headers: without Content-Length, which follows from the body; for HEAD ``length`` stands for the body.
        body: the bytes, or a stream that the server sends and closes.
        code, reason: our own code and message if it is a refusal, for the log.
        told: what the client reads of it, in one line.
        inside: its cause is on this machine, and the daemon has logged it.
        upstream: the refusal comes from a registry, or from a host that it redirected to.
    """

    status: int
    headers: Headers = ()
    body: bytes | Stream = b""
    length: int | None = None
    code: str = ""
    reason: str = ""
    told: str = ""
    inside: bool = False
    upstream: bool = False

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, code={self.code!r})"  # without a body, which may be what an action sent
