r"""How a line of a ``.bazelrc`` is cut into words, and how a word is written so that it stays one.

::

    a backslash takes the next character as it is, within quotes of either kind and without
    ' and " begin a quotation that the same one ends, anywhere in a word
    # begins a comment, even within a word, but not within quotes
    ${NAME} is replaced by the variable, if set, before anything else

Source: bazel src/main/cpp/util/strings.cc (Tokenize), src/main/cpp/rc_file.cc.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple


_BLANKS = " \n\t\r"
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./*~^-]+")
_VARIABLE = re.compile(r"\$\{(.*?)\}")


class Words(NamedTuple):
    """The words of a line; ``closed`` is false if a quotation is not closed; Bazel extends it to the end of the line."""

    words: tuple[str, ...]
    closed: bool


def split_words(line: str, environ: Mapping[str, str]) -> Words:
    """Cut a line into words as Bazel does.

    Args:
        line: with its continuation lines joined.
        environ: for ``${NAME}``; a variable that is not set stays as it is written.
    """
    text = _VARIABLE.sub(lambda found: environ.get(found[1]) or found[0], line.strip())
    words: list[str] = []
    word, quote = "", ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            word += next(characters, "")
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character == "#":
            break
        elif character in "'\"":
            quote = character
        elif character in _BLANKS:
            words, word = [*words, word], ""
        else:
            word += character
    return Words(tuple(filter(None, [*words, word])), not quote)


def quoted(word: str) -> str:
    """Write a word so that it stays one.

    Raises:
        ValueError: it has a line break, which no line of a ``.bazelrc`` can hold.
    """
    if "\n" in word or "\r" in word:
        raise ValueError(word)
    return word if _PLAIN.fullmatch(word) else f'"{"".join(_escaped(word))}"'


def _escaped(word: str) -> Iterator[str]:
    before = ""
    for character in word:
        # "${" would be taken for a variable, even within quotes.
        yield f"\\{character}" if character in '"\\' or (before, character) == ("$", "{") else character
        before = character
