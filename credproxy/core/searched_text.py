"""A text that is searched for secrets: the form in which it is searched, and where parts of it end.

Everything is found once and looked up by position, so that a search takes linear and not quadratic time.
"""

import re
import unicodedata
from bisect import bisect_left
from typing import NamedTuple


# What is examined character by character: control characters except white space, and everything outside ASCII.
_EACH = re.compile(r"[^\t-\r -~]")
_SIGNS = {
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2018\u2019\u201a\u2039\u203a", "'"),
    "\u2192": ">",
}
_UNSEEN = frozenset({"Cc", "Cf", "Mn", "Me", "Co", "Cn", "Cs"})
CLOSING = {"(": ")", "[": "]", "{": "}"}
"""Which bracket closes which."""

# Where the remedy begins. It ends the part about the secret, and so does the end of a sentence or of a JSON member.
ADVICE = r"(?:please|run|rerun|try|see|visit|execute)\b"
_CLAUSE_END = re.compile(rf"[\r\n;]|[.!?](?=\s)|(?<=[\"'`])\s*,|(?<=[\s(\[,:]){ADVICE}")
_STRUCTURE = re.compile(r"\\.|\"(?:\\.|[^\"\\])*\"|[()\[\]{}]", re.DOTALL)
_PLACE = re.compile(r"[\"'`(]?(?:https?://|[.~]*/)[^?#\"'`,;=]*\Z")
_LONGEST_PLACE = 300


def searched(text: str) -> str:
    """A text of the same length, with what each character is taken for: in lower case, NUL for anything invisible."""
    return _EACH.sub(_searched, text).lower()


def shown(text: str) -> str:
    """A text without control and format characters; white space stays."""
    return _EACH.sub(_shown, text)


class MaskedSpan(NamedTuple):
    """A span that is masked: start and end."""

    begin: int
    end: int


class SearchedText:
    """A text and the positions in it where something ends, each found once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._places = {
            "space": _all(r"\s", text),
            "line": _all(r"[\r\n]", text),
            '"': [place for place in _all(r"\\.|\"", text) if text[place] == '"'],
            '\\"': _all(r"\\\"", text),
            "'": _all("'", text),
            "`": _all("`", text),
            ">": _all(">", text),
        }
        self._clauses = [found.start() for found in _CLAUSE_END.finditer(text)]
        self._closings = _closings(text)

    def next(self, what: str, at: int) -> int:
        """Its next position, or the end."""
        places = self._places[what]
        index = bisect_left(places, at)
        return places[index] if index < len(places) else len(self.text)

    def is_place(self, at: int) -> bool:
        """Whether it is within a URL or a path, as the "token" of ``Post "https://host/token": no such host``."""
        places = self._places["space"]
        index = bisect_left(places, at)
        begin = places[index - 1] + 1 if index else 0
        return at - begin < _LONGEST_PLACE and _PLACE.match(self.text, begin, at) is not None

    def clause(self, at: int) -> int:
        """The end of the clause that contains a position."""
        index = bisect_left(self._clauses, at)
        return self._clauses[index] if index < len(self._clauses) else len(self.text)

    def closing(self, at: int) -> int:
        """Where the bracket at a position is closed; if it is not, the end of the line or, for a structure, of the text."""
        known = self._closings.get(at)
        if known is not None:
            return known
        return self.next("line", at) if self.text[at] == "(" else len(self.text)

    def skip(self, at: int) -> int:
        """The next position that is not white space."""
        index = at
        while index < len(self.text) and (self.text[index].isspace() or self.text[index] == "\0"):
            index += 1
        return index

    def enclosed(self, at: int) -> MaskedSpan | None:
        """The content of the quotes or brackets that open at a position; None if none do."""
        sign = self.text[at : at + 1]
        if self.text.startswith('\\"', at):
            return MaskedSpan(at + 2, self.next('\\"', at + 2))
        if sign in CLOSING:
            return MaskedSpan(at + 1, self.closing(at))
        if sign == "<":
            return MaskedSpan(at + 1, self.next(">", at))
        return MaskedSpan(at + 1, self.next(sign, at + 1)) if sign and sign in "\"'`" else None


def _all(pattern: str, text: str) -> list[int]:
    return [found.start() for found in re.finditer(pattern, text, re.DOTALL)]


def _closings(text: str) -> dict[int, int]:
    """Where each bracket is closed, outside double quotes."""
    closings, opened = dict[int, int](), list[int]()
    for found in _STRUCTURE.finditer(text):
        if found[0] in CLOSING:
            opened.append(found.start())
        elif opened and found[0] == CLOSING[text[opened[-1]]]:
            closings[opened.pop()] = found.start()
    return closings


def _searched(found: re.Match[str]) -> str:
    """What a character is taken for: an equivalent sign, or itself without an accent; NUL if it is invisible.

    Each also has exactly one character in lower case.
    """
    sign = _SIGNS.get(found[0])
    if sign is None and unicodedata.category(found[0]) not in _UNSEEN:
        sign = unicodedata.normalize("NFD", found[0])[0]
    return sign or "\0"


def _shown(found: re.Match[str]) -> str:
    return "" if unicodedata.category(found[0]) in {"Cc", "Cf"} else found[0]
