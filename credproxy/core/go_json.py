"""JSON files that programs written in Go read: what these take for text, and where such a file is broken.

Source: Go's encoding/json, unquoteBytes: "invalid UTF-8 or invalid UTF-16 surrogate pairs are not treated as an error.
Instead, they are replaced by the Unicode replacement character U+FFFD."
"""

import json
import re

import msgspec


REPLACEMENT = "\ufffd"
"""Stands where the text is lost."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What ``msgspec.json.decode`` raises for content that is not what was asked for; the last one for nesting without end."""

_ESCAPE = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # a pair
        |(?P<unpaired>u[dD][89a-fA-F][0-9a-fA-F]{2})
        |.)""",
    re.DOTALL | re.VERBOSE,
)
_BYTE = re.compile(r"\(byte ([0-9]+)\)")


def as_go_reads(content: bytes) -> bytes:
    """Write U+FFFD for each byte that is not UTF-8 and for each half of a surrogate pair; the lines stay the same."""
    text = content.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["unpaired"] else found[0], text)


def broken_line(text: bytes, error: Exception) -> str:
    """Say where msgspec's decoder stopped, as ``line 3`` or ``it ends too early``; "" where that is not known."""
    if found := _BYTE.search(str(error)):
        line = text.count(b"\n", 0, int(found[1])) + 1
        return f"line {line}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return _end(text) if "truncated" in str(error) else ""


def _end(text: bytes) -> str:
    """Look again: msgspec says "truncated" also of a file that is complete and has a short word or escape near its end."""
    try:
        json.loads(text.decode("utf-8", "replace"))
    except json.JSONDecodeError as error:
        if "escape" in error.msg or error.doc[error.pos :].rstrip().endswith(("}", "]")):
            return f"line {error.lineno}"
    except RecursionError:
        return "it is nested too deeply"
    return "it ends too early"
