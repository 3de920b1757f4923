"""What a decoder raises for JSON that somebody else wrote: in a file, a token, an answer, a message of another process."""

from typing import Final

import msgspec


UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""For ``msgspec.json.decode`` and ``json.loads``: a broken text or another shape; bytes that are not UTF-8, or a number with thousands
of digits; endless nesting, which is not an error of either decoder but of the interpreter's stack. The same for a message in
MessagePack, of a process that is not trusted."""
