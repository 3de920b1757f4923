"""A text that is searched for secrets: what of it is looked at, and where in it something ends.

Everything is found once and looked up by position, so that a search grows with the text and not with its square.
"""

import re
import unicodedata
from bisect import bisect_left
from typing import NamedTuple


# What is looked at letter by letter: control characters but for white space, and all that is not ASCII.
_EACH = re.compile(r"[^\t-\r -~]")
_SIGNS = {
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2018\u2019\u201a\u2039\u203a", "'"),
    "\u2192": ">",
}
_UNSEEN = frozenset({"Cc", "Cf", "Mn", "Me", "Co", "Cn", "Cs"})
CLOSING = {"(": ")", "[": "]", "{": "}"}
"""Which bracket closes which."""

# Where it is told what to do. It ends what is said of the secret, and so does the end of a sentence or of a member of JSON.
ADVICE = r"(?:please|run|rerun|try|see|visit|execute)\b"
_CLAUSE_END = re.compile(rf"[\r\n;]|[.!?](?=\s)|(?<=[\"'`])\s*,|(?<=[\s(\[,:]){ADVICE}")
_STRUCTURE = re.compile(r"\\.|\"(?:\\.|[^\"\\])*\"|[()\[\]{}]", re.DOTALL)
_PLACE = re.compile(r"[\"'`(]?(?:https?://|[.~]*/)[^?#\"'`,;=]*\Z")
_LONGEST_PLACE = 300


def searched(text: str) -> str:
    """A text as long as the given one, letter by letter what each is taken for: in lower case, NUL for what nobody sees."""
    return _EACH.sub(_searched, text).lower()


def shown(text: str) -> str:
    """A text without control and format characters; white space stays."""
    return _EACH.sub(_shown, text)


class MaskedSpan(NamedTuple):
    """What is masked: from where, up to where."""

    begin: int
    end: int


class SearchedText:
    """A text and the places in it where something ends, each found once."""

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
        """Where it stands next, or the end."""
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
        """Where the clause ends that a place is in."""
        index = bisect_left(self._clauses, at)
        return self._clauses[index] if index < len(self._clauses) else len(self.text)

    def closing(self, at: int) -> int:
        """Where the bracket at a place is closed; where none does that, the end of the line or, of a structure, of the text."""
        known = self._closings.get(at)
        if known is not None:
            return known
        return self.next("line", at) if self.text[at] == "(" else len(self.text)

    def skip(self, at: int) -> int:
        """The next place without white space."""
        index = at
        while index < len(self.text) and (self.text[index].isspace() or self.text[index] == "\0"):
            index += 1
        return index

    def enclosed(self, at: int) -> MaskedSpan | None:
        """What is within the quotes or brackets that open at a place; None where none do."""
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
    """Where each bracket is closed, outside of double quotes."""
    closings, opened = dict[int, int](), list[int]()
    for found in _STRUCTURE.finditer(text):
        if found[0] in CLOSING:
            opened.append(found.start())
        elif opened and found[0] == CLOSING[text[opened[-1]]]:
            closings[opened.pop()] = found.start()
    return closings


def _searched(found: re.Match[str]) -> str:
    """What a letter is taken for: a sign that means the same, or itself without an accent; NUL where nobody sees it.

    Each has one letter in lower case, too.
    """
    sign = _SIGNS.get(found[0])
    if sign is None and unicodedata.category(found[0]) not in _UNSEEN:
        sign = unicodedata.normalize("NFD", found[0])[0]
    return sign or "\0"


def _shown(found: re.Match[str]) -> str:
    return "" if unicodedata.category(found[0]) in {"Cc", "Cf"} else found[0]
