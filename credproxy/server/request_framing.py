"""Requests whose end, or whose version, others may read differently (RFC 9112, sections 2.3 and 6.1).

aiohttp's parser refuses most of what is ambiguous. These it accepts, and gives the bytes of a coded body as if they were its
content.
"""

from typing import Final

from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.http_parser import RawRequestMessage

from credproxy.core.errors import Code, Failure


_SPOKEN: Final = (HttpVersion10, HttpVersion11)
_LINE: Final = 8190
"""Bytes of a line of a head: aiohttp's own limit."""

_UNFORMED: Final = Failure(Code.BAD_REQUEST, "this is not a well-formed HTTP request", "ask through credproxy-helper")
_LONG: Final = Failure(Code.TOO_LARGE, f"a line of the request's head is longer than {_LINE} bytes", "")
_VERSION: Final = Failure(Code.BAD_REQUEST, "the request is of another version of HTTP", "ask with HTTP/1.1")
_CODED: Final = Failure(
    Code.BAD_REQUEST,
    "the request's body is in a transfer coding that is not understood",
    "ask with HTTP/1.1",
)


class UnfitRequestError(BadHttpMessage):
    """A request that is not answered; its connection ends."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def unfit(message: RawRequestMessage) -> Failure | None:
    """Why a request that the parser accepts is refused; None for nearly all."""
    if message.version not in _SPOKEN:
        return _VERSION
    if not message.chunked:
        return None
    lines = message.headers.getall("Transfer-Encoding", ())
    if message.version == HttpVersion10 or [line.strip().lower() for line in lines] != ["chunked"]:
        return _CODED
    return None


def ends_connection(message: RawRequestMessage) -> bool:
    """Whether nothing can be read behind a request: of what came with one for another protocol, aiohttp's parser loses the rest."""
    return message.upgrade or message.method == "CONNECT"


def why(error: BaseException | None) -> Failure:
    """The failure for a request that was not accepted, in our own words."""
    if isinstance(error, UnfitRequestError):
        return error.failure
    return _LONG if isinstance(error, LineTooLong) else _UNFORMED
