"""Reads TOML, and continues after a line that is not TOML, so that one round of fixing is enough.

Messages of the standard library's parser that use Python's terms are rephrased in those of TOML.
"""

import re
import tomllib
from typing import NamedTuple

from credproxy.core.formats.numbers import TOO_LARGE, line_of_digits
from credproxy.core.formats.toml_lines import KEY


_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_NAMESPACE = re.compile(r"\((.*)\)")
_TABLE = re.compile(r"Cannot (?:declare|redefine|mutate)\b.*(?:twice|namespace)")
_LISTS = {"host": "[[host]]", "actions.rule": "[[actions.rule]]"}
_MOST = 20
"""Lines that are left out at most: a file with more of them is not TOML."""

_LONG = ('"""', "'''")
"""What begins a string that may continue on the next line."""

_PLAINER = {
    "Illegal character '\\n'": "the string is not closed on its line",
    "Invalid value": 'this is not a value; text goes in quotes, as in key = "text"',
    "Invalid statement": "wanted key = value or [table]",
    "Cannot overwrite a value": "this is already set further up",
    "Invalid initial character for a key part": "wanted a key; a table { ... } goes on one line",
}


class Parsed(NamedTuple):
    """What could be read, and what could not.

    Attributes:
        document: what could.
        mistakes: lines that could not, counted from 1, with their problem.
        unread: the keys of those lines that were left out, without their tables.
    """

    document: dict[str, object]
    mistakes: tuple[tuple[int, str], ...] = ()
    unread: tuple[str, ...] = ()


def parse_toml(text: str) -> Parsed:
    """Read a text. A bad line that affects only itself is left out; anything else ends the reading there.

    Args:
        text: a byte order mark at its beginning is ignored.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    mistakes: list[tuple[int, str]] = []
    unread: list[str] = []
    while len(mistakes) < _MOST:
        try:
            return Parsed(tomllib.loads("\n".join(lines)), tuple(mistakes), tuple(unread))
        except tomllib.TOMLDecodeError as error:
            place = _PLACE.search(str(error))
            number = int(place[1]) if place and place[1] else len(lines)
            mistakes.append((number, _plain(_PLACE.sub("", str(error)))))
        except RecursionError:
            mistakes.append((1, "lists or tables are nested too deeply"))
            break
        except ValueError:  # the interpreter's own limit on the digits of a number
            number = line_of_digits("\n".join(lines))
            mistakes.append((number, TOO_LARGE))
        key = KEY.match(lines[number - 1])
        if key is None or _goes_on(lines[number - 1]):
            break
        unread.append(key[1].rpartition(".")[2].strip(" '\""))
        lines[number - 1] = ""
    return Parsed({}, tuple(mistakes))


def _goes_on(line: str) -> bool:
    """Whether a value continues after this line: leaving out the line would leave the rest behind."""
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError as error:
        return str(error).startswith("Unclosed") or any(marks in line for marks in _LONG)
    except ValueError:  # the digits of a number, which ends with its line
        pass
    return False


def _plain(message: str) -> str:
    found = _NAMESPACE.search(message) if _TABLE.match(message) else None
    if found is not None:
        name = ".".join(part.strip(" '\"") for part in found[1].split(",") if part.strip())
        wanted = f"; wanted {_LISTS[name]}, with double brackets" if name in _LISTS else ""
        return f"[{name}] is there twice, or has a value further up{wanted}"
    return _PLAINER.get(message, message[:1].lower() + message[1:])
