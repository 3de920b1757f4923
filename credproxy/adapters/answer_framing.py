"""Where the body of an answer ends, and heads that leave it open: a guess could make a short body look whole.

Source: RFC 9112, sections 2.2, 5.1, 6.1 and 6.3.
"""

import http.client
import re
from collections.abc import Iterable


CODED = "sent its body in a transfer coding that was not asked for"
"""Reason for an answer that has another transfer coding beside chunks."""

_CONTRADICTS = "gave a length that is not a number, or more than one"
_GARBLED = "sent a head with a line that is not a header field"

_PLAIN: tuple[list[str], ...] = (["chunked"], ["identity"], [])
"""``identity`` is of the first HTTP/1.1, and means none."""

_LENGTH = re.compile(r"[0-9]{1,18}")
_BARE = re.compile(rb"\r(?!\n)")
_HEAD = re.compile(rb"[^\n]*\n(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*\r?\n")
"""A first line, and fields; a field may go on in lines that begin with a space. Names have the characters that the standard
library accepts: with any other one, it ends the head as well."""


class UnfitAnswerError(http.client.HTTPException):
    """What came does not answer the request; ``reason`` continues a sentence that begins with the sender."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_chunked(lines: Iterable[str]) -> bool:
    """Whether a body comes in chunks.

    Args:
        lines: every Transfer-Encoding of a head.

    Raises:
        UnfitAnswerError: it is coded in another way as well: its bytes are not those of the content.
    """
    codings = [one.strip().lower() for line in lines for one in line.split(",") if one.strip()]
    if codings not in _PLAIN:
        raise UnfitAnswerError(CODED)
    return codings == ["chunked"]


def one_length(lines: Iterable[str]) -> int | None:
    """Give the length that a head announces; None if it announces none.

    Args:
        lines: every Content-Length of a head; each may repeat a number.

    Raises:
        UnfitAnswerError: it cannot be read, or there are two.
    """
    found = {one.strip() for line in lines for one in line.split(",")}
    if not found:
        return None
    length = found.pop()
    if found or _LENGTH.fullmatch(length) is None:
        raise UnfitAnswerError(_CONTRADICTS)
    return int(length)


def readable(head: bytes) -> bytes:
    """Give a head in which a return ends no line on its own: the standard library would begin another field there.

    Raises:
        UnfitAnswerError: a line is neither a field nor a part of one. The library would take it for the end of the head, and
            ignore what follows, the length perhaps.
    """
    clean = _BARE.sub(b" ", head)
    if _HEAD.fullmatch(clean) is None:
        raise UnfitAnswerError(_GARBLED)
    return clean
