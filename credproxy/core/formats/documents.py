"""JSON and YAML as plain values with the line of each: strict, bounded, and nothing is constructed.

A YAML scalar is its text, or None if it is a plain null: ``no``, ``12:30`` and ``2026-01-01`` are words, as in
rules_img's parser (goccy/go-yaml). Values that it would rewrite, such as ``1.10`` or ``010``, have to be quoted. Aliases
are followed, up to NODES values, however often they repeat one another.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import yaml

from credproxy.core.formats.numbers import TOO_LARGE, line_of_digits
from credproxy.core.formats.toml_lines import Path
from credproxy.core.redact import cut_words


NODES = 200_000
"""Values in a document, repeated ones counted: 4,096 rules of 48 values, which is more than 1 MiB holds of them."""

_DEPTH = 16
_WORD = 120
_PROBLEM = 400
"""Characters of one word, and of all, of what a message quotes: a key may be a whole file."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_REWRITTEN = re.compile(
    r"\+[0-9][0-9._]*|-?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|0[0-7_]+|[0-9]+_[0-9_]*|[0-9_]+\.[0-9_]*)"
)
_QUOTES = "a pattern with '*' is written in quotes"


class Document(NamedTuple):
    """What a text says, and the 1-based line where each of its values begins."""

    value: object
    lines: Mapping[Path, int]


class DocumentError(Exception):
    """The text is not such a document.

    Attributes:
        line: 1-based.
        problem: lower case.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = cut_words(problem, _WORD, most=_PROBLEM)


class _RepeatedError(Exception):
    """A key occurs twice in a JSON object; the argument is the key."""


def read_json(text: str) -> Document:
    """Read one JSON document.

    Raises:
        UnreadableError: the grammar is broken, a key occurs twice, or it is nested too deeply.
    """
    # JSON is YAML once tabs are gone, which gives its lines; a JSON string holds no tabs.
    text = text.removeprefix("\ufeff")
    as_yaml = text.replace("\t", " ")
    try:
        value: object = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DocumentError(error.lineno, error.msg[:1].lower() + error.msg[1:]) from None
    except RecursionError:
        raise DocumentError(1, "nested too deeply") from None
    except _RepeatedError as error:
        raise DocumentError(_line_of_problem(as_yaml), f"the key {str(error)!r} is there twice") from None
    except ValueError:  # the interpreter's own limit on the digits of a number
        raise DocumentError(line_of_digits(text), TOO_LARGE) from None
    try:
        return Document(value, read_yaml(as_yaml).lines)
    except DocumentError:
        return Document(value, {})


def read_yaml(text: str, *, tags: bool = False) -> Document:
    """Read one YAML document.

    Args:
        text: of the document.
        tags: another program wrote it: tags are ignored, and a scalar is its text, however others read it.

    Raises:
        UnreadableError: the grammar is broken, a key occurs twice, a second document follows, a value has a tag or
            is ambiguous, an alias has no anchor, or it is too large or nested too deeply.
    """
    try:
        return _YamlReader(yaml.parse(text, Loader=yaml.SafeLoader), tags=tags).document()
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        hint = f"; {_QUOTES}" if error.context and "alias" in error.context else ""
        raise DocumentError(line, f"{error.problem}{hint}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(line, "there is a character that is not allowed") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedError(key)
        found[key] = value
    return found


def _line_of_problem(text: str) -> int:
    try:
        read_yaml(text)
    except DocumentError as error:
        return error.line
    return 1


class _YamlReader:
    """Builds values from the parser's events: they come one by one, so that a bound also ends the parsing."""

    def __init__(self, events: Iterator[yaml.Event], *, tags: bool) -> None:
        self._events = events
        self._tags = tags
        self._lines: dict[Path, int] = {}
        self._anchors: dict[str, tuple[object, int]] = {}
        self._nodes = 0

    def document(self) -> Document:
        next(self._events)  # the stream begins
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Document(None, {})
        value = self._value(next(self._events), ())
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise DocumentError(_line(event), "a second document begins; wanted only one")
        return Document(value, self._lines)

    def _value(self, event: yaml.Event, path: Path) -> object:
        self._lines.setdefault(path, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._nodes
        self._count(1, event)
        if len(path) > _DEPTH:
            raise DocumentError(_line(event), "nested too deeply")
        assert isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent))
        if event.tag is not None and not self._tags:
            raise DocumentError(_line(event), f"the tag {event.tag!r} means nothing here")
        value = self._content(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._nodes - before)
        return value

    def _content(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: Path) -> object:
        if isinstance(event, yaml.ScalarEvent):
            if event.style is None and not self._tags and _REWRITTEN.fullmatch(event.value):
                raise DocumentError(_line(event), f"{event.value} can be read in more than one way; put it in quotes")
            return None if event.style is None and event.value in _NULLS else event.value
        return self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._table(path)

    def _list(self, path: Path) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _table(self, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise DocumentError(_line(event), "a key has to be a word")
            if event.value in found:
                raise DocumentError(_line(event), f"the key {event.value!r} is there twice")
            self._lines.setdefault((*path, event.value), _line(event))
            found[event.value] = self._value(next(self._events), (*path, event.value))
        return found

    def _alias(self, event: yaml.AliasEvent) -> object:
        if event.anchor not in self._anchors:
            raise DocumentError(_line(event), f"there is no anchor {event.anchor!r} above; {_QUOTES}")
        value, nodes = self._anchors[event.anchor]
        self._count(nodes, event)
        return value

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > NODES:
            raise DocumentError(_line(event), f"more than {NODES} values, those of aliases counted")


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None, "the parser marks every event"
    return event.start_mark.line + 1
