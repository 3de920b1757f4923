"""Phrases that made texts hard to read and must not come back, and what to write instead (docs/contributing.md)."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]

PHRASES = {
    r"(?<!there )\b(?:is|are|was|were) no (?!longer\b|more than\b)": '"is not a ..."',
    r"\bwhoever\b": '"the caller", "a user who ...", "anybody who ..."',
    r"\bwho (?:asks|waits)\b": '"the caller", "waiting callers"',
    r"\b(?:he|his|him)\b": '"it" for a program, "the user" for a person',
    r"\b(?:of|by|to) wh(?:ich|om) nobody\b": "two sentences",
    r"\bthat which\b": '"what"',
    r"(?<!`)\banew\b(?![`:])": '"again", or the verb: "renew", "rewrite", "replace"',
    r"\bbelie(?:ve|f)": '"trust" or "accept"',
    r"\bmend(?:s|ed|ing)?\b": '"fix"',
    r"(?:\bNone|\bTrue|\bFalse|\"\") where\b": '"None if ..."',
}
"""Regular expressions, and what to write instead."""

ANY = re.compile("|".join(PHRASES), re.IGNORECASE)

ALLOWED = {
    "tests/docs/test_plain_english.py": "it quotes the phrases",
}
"""Files with such a phrase, and why it is the right one there."""

FENCED = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)

PYTHON = sorted(path for folder in ("bench", "credproxy", "tests") for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted((*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / "credproxy" / "helper").rglob("*.c")))


@pytest.mark.parametrize("folder", ["bench", "credproxy", "tests"])
def test_no_source_has_a_phrase_that_was_replaced(folder: str) -> None:
    """Comments, docstrings and the messages of the product: what a reader of the source or a user sees."""
    found = [
        line
        for path in PYTHON
        if path.is_relative_to(ROOT / folder)
        for number, text in texts(path.read_text(), messages=folder == "credproxy")
        for line in complaints(path, number, text)
    ]
    assert not found, "\n".join(found)


def test_no_page_has_a_phrase_that_was_replaced() -> None:
    """Without code, which may contain any word."""
    found = [
        line
        for path in PAGES
        for number, text in enumerate(blanked(path.read_text()).split("\n"), 1)
        for line in complaints(path, number, text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "A refusal is no error.",
        "Whoever asks gets it.",
        "The daemon tells who asks.",
        "A program and his output.",
        "Something of which nobody\nknows more.",
        "The file is read anew.",
        "It is believed.",
        "The hint mends it.",
        "The path; None where it has none.",
    ],
)
def test_a_phrase_is_found(text: str) -> None:
    """Also across a line break."""
    assert list(complaints(ROOT / "x.py", 1, text))


@pytest.mark.parametrize(
    "text",
    ["There is no file.", "It is no longer used.", "anew: look again.", "``anew`` as above.", "None if there is none."],
)
def test_good_text_is_left_alone(text: str) -> None:
    """A false alarm would teach people to ignore this test."""
    assert not list(complaints(ROOT / "x.py", 1, text))


def complaints(path: Path, first: int, text: str) -> Iterator[str]:
    """One line for each phrase in a text that begins in line ``first``."""
    name = str(path.relative_to(ROOT))
    flat = " ".join(text.split())
    for phrase, instead in PHRASES.items():
        for match in re.finditer(phrase, flat, re.IGNORECASE):
            if name not in ALLOWED:
                around = flat[max(0, match.start() - 40) : match.end() + 40]
                yield f"{name}:{first}: {around!r}: in place of {match[0]!r} write {instead}"


def blanked(page: str) -> str:
    """A page without its code, line for line."""
    return FENCED.sub(lambda match: "\n" * match[0].count("\n"), page)


def texts(source: str, *, messages: bool) -> Iterator[tuple[int, str]]:
    """The docstrings and comments of a module, each with its line; also its other strings if they are messages."""
    if not ANY.search(" ".join(source.split())):
        return  # parsing is what takes the time
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text), lineno=line)):
                yield line, text
            case ast.Constant(value=str(text), lineno=line) if messages and " " in text:
                yield line, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
