"""Finds the line of a key in a TOML text: tomllib gives values without places.

It knows tables, arrays of tables and keys at the beginning of a line, which is how configurations are written; what is
inside an inline value is found at the line where that value begins.
"""

import re


_TABLE = re.compile(r"\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?")
KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
"""A key at the beginning of a line, dotted or not, with its equals sign."""

_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")

Path = tuple[str | int, ...]


def locate(text: str, path: Path) -> int:
    """Give the 1-based line of ``path``, or of its nearest parent that has one; 1 for the document.

    Args:
        text: the document.
        path: keys and indexes, such as ``("host", 1, "match")``.
    """
    lines = _lines(text)
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return 1


def _lines(text: str) -> dict[Path, int]:
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        table = _TABLE.fullmatch(line)
        if table is not None:
            here = _absolute(_parts(table[2]), counts)
            if table[1] == "[[":
                index = counts.get(here, -1) + 1
                counts[here] = index
                found.setdefault(here, number)
                here = (*here, index)
            for length in range(1, len(here) + 1):  # ``[[action.rule]]`` is also where ``action`` begins
                found.setdefault(here[:length], number)
            continue
        key = KEY.match(line)
        if key is not None:
            parts = _parts(key[1])
            for length in range(1, len(parts) + 1):
                found.setdefault((*here, *parts[:length]), number)
    return found


def _absolute(parts: tuple[str, ...], counts: dict[Path, int]) -> Path:
    """Put in the index of the array element that a ``[host.x]`` below ``[[host]]`` belongs to."""
    path: Path = ()
    for position, part in enumerate(parts):
        path = (*path, part)
        if position < len(parts) - 1 and path in counts:
            path = (*path, counts[path])
    return path


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
