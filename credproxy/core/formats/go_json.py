"""JSON files that programs written in Go read: what these accept as text, and where such a file is broken.

Member names are accepted in any case ("preferring exact matches but also accepting case-insensitive matches"), so a
file with ``Auths`` holds logins for docker, and a helper that prints ``secret`` works there.

Source: Go's encoding/json, Unmarshal, and unquoteBytes: "invalid UTF-8 or invalid UTF-16 surrogate pairs are not treated as an error.
Instead, they are replaced by the Unicode replacement character U+FFFD."
"""

import json
import re
from collections.abc import Iterable


REPLACEMENT = "\ufffd"
"""Marks where text is lost."""

_ESCAPE = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # a pair
        |(?P<unpaired>u[dD][89a-fA-F][0-9a-fA-F]{2})
        |.)""",
    re.DOTALL | re.VERBOSE,
)
# Within a string a quote has a backslash before it, and the quote that ends a value is not followed by a colon.
_NAME = re.compile(rb'(?<!\\)"([A-Za-z]{1,20})"(?=\s*:)')
_BYTE = re.compile(r"\(byte ([0-9]+)\)")


def as_go_reads(content: bytes) -> bytes:
    """Write U+FFFD for each byte that is not UTF-8 and for each half of a surrogate pair; the lines stay the same."""
    text = content.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["unpaired"] else found[0], text)


def with_names(content: bytes, names: Iterable[str]) -> bytes:
    """Change these member names to the spelling given here, wherever one is written in another case; the lines stay the same.

    A registry's key may be changed as well, which means the same registry in any case.
    """
    spelled = {name.lower().encode(): name.encode() for name in names}
    return _NAME.sub(lambda found: b'"' + spelled.get(found[1].lower(), found[1]) + b'"', content)


def broken_line(text: bytes, error: Exception) -> str:
    """Say where msgspec's decoder stopped, as ``line 3`` or ``it ends too early``; "" if unknown."""
    if found := _BYTE.search(str(error)):
        line = text.count(b"\n", 0, int(found[1])) + 1
        return f"line {line}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return _end(text) if "truncated" in str(error) else ""


def _end(text: bytes) -> str:
    """Check again: msgspec also says "truncated" for a complete file that has a short word or escape near its end."""
    try:
        json.loads(text.decode("utf-8", "replace"))
    except json.JSONDecodeError as error:
        if "escape" in error.msg or error.doc[error.pos :].rstrip().endswith(("}", "]")):
            return f"line {error.lineno}"
    except RecursionError:
        return "it is nested too deeply"
    except ValueError:  # a number of thousands of digits, which is complete
        pass
    return "it ends too early"
