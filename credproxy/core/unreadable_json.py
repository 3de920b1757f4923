"""What a decoder raises for JSON that somebody else wrote: in a file, a token, an answer."""

from typing import Final

import msgspec


UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""For ``msgspec.json.decode`` and ``json.loads``: a broken text or another shape; bytes that are not UTF-8, or a number with thousands
of digits; endless nesting, which is not an error of either decoder but of the interpreter's stack."""
