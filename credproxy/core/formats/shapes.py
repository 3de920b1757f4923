"""Compares a document with the types that it should have, and finds every mistake in its shape, not just the first.

msgspec stops at the first mistake. Here the correct part of a document is kept, so that the checks of meaning can look at
it as well, and a file can be fixed in one round. Messages use the language of the file: a number, a list, a table.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import inspect

from credproxy.core.formats.numbers import BEYOND, fits
from credproxy.core.formats.shape_words import (
    closest,
    described,
    either,
    elsewhere,
    is_scalar,
    is_table,
    no_choice,
    noun,
    takes,
    unknown_key,
)
from credproxy.core.formats.toml_lines import Path


PATH: Final = "path"
"""The key of ``msgspec.Meta(extra=...)`` that marks file paths; its value says where in the setting they stand.

``whole``: the string itself. ``list``: each of its parts between colons. ``first``: the first item of a list.
"""

_NUMBER = re.compile(r"[+-]?[0-9]+")
_LITERAL_TEXT = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?|true|false")
_BAD: Final = object()


@dataclass(frozen=True, slots=True)
class Shape:
    """How documents of one kind are read.

    Attributes:
        root: the type of the whole document.
        forms: by key, how its value is written, such as ``["/path/to/program"]``; by ``tag.key`` where a kind has it another way.
        table: what a table is called.
        brackets: whether a list of tables is written as ``[[key]]``.
        quoted: numbers may arrive as strings, as they do from YAML.
    """

    root: type[msgspec.Struct]
    forms: Mapping[str, str] = field(default_factory=dict)
    table: str = "a table"
    brackets: bool = True
    quoted: bool = False

    def form(self, tag: str, key: str) -> str:
        """How the value of a kind's key is written; "" if its type says enough."""
        return self.forms.get(f"{tag}.{key}") or self.forms.get(key, "")


@dataclass(frozen=True, slots=True)
class Fitted:
    """The correct part of a document.

    Attributes:
        value: the document without what is wrong; None if nothing in it is correct.
        mistakes: where, what is wrong, and what was wanted.
        moved: for parts that are elsewhere in ``value`` than in the document: the path in ``value`` to that in the document.
    """

    value: dict[str, object] | None
    mistakes: tuple[tuple[Path, str], ...]
    moved: Mapping[Path, Path]

    def meant(self, problems: Iterable[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
        """What checks say about ``value``, at positions of the document, without what only follows from a mistake there."""
        wrong = [path for path, _ in self.mistakes]
        for at, problem in problems:
            path = self.place(at)
            if not any(place[: len(path)] == path for place in wrong):
                yield path, problem

    def place(self, path: Path) -> Path:
        """Where in the document a part of ``value`` is."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.moved:
                return (*self.moved[path[:end]], *path[end:])
        return path


def fit(document: object, shape: Shape, *, home: str = "", unread: Collection[str] = ()) -> Fitted:
    """Compare a document with its types.

    Args:
        document: as a parser of TOML, JSON or YAML gives it.
        shape: what it should be.
        home: replaces ``~`` at the beginning of file paths; "" if there is none.
        unread: keys of lines that the parser left out, which do not count as missing.
    """
    root = inspect.type_info(shape.root)
    assert isinstance(root, inspect.StructType)
    work = _Fit(shape, home, frozenset(unread), frozenset(known.encode_name for known in root.fields))
    value = work.value(root, document, (), ())
    return Fitted(value if isinstance(value, dict) else None, tuple(work.mistakes), work.moved)


class _Fit:
    """One comparison. Paths come in pairs: ``path`` in the document, ``at`` in the value that is kept."""

    def __init__(self, shape: Shape, home: str, unread: frozenset[str], top: frozenset[str]) -> None:
        self._shape = shape
        self._home = home
        self._unread = unread
        self._top = top
        self.mistakes: list[tuple[Path, str]] = []
        self.moved: dict[Path, Path] = {}
        self._tags: dict[Path, str] = {}

    def value(self, kind: inspect.Type, value: object, path: Path, at: Path) -> object:
        """Give the correct part of the value, or _BAD."""
        if isinstance(kind, inspect.Metadata):
            fitted = self.value(kind.type, value, path, at)
            return fitted if fitted is _BAD else self._with_home(fitted, str((kind.extra or {}).get(PATH)), path)
        if isinstance(kind, inspect.UnionType):
            return self._union(kind, value, path, at)
        if not self._takes(kind, value):
            return self._brackets(kind, value, path, at)
        if isinstance(value, (list, dict)):
            return self._collection(kind, value, path, at)
        if isinstance(kind, inspect.LiteralType) and value not in kind.values:
            return self._wrong(path, no_choice(value, kind.values))
        return value if fits(value) else self._wrong(path, BEYOND)

    def _takes(self, kind: inspect.Type, value: object) -> bool:
        plain = kind.type if isinstance(kind, inspect.Metadata) else kind
        if self._shape.quoted and isinstance(plain, inspect.IntType) and isinstance(value, str):
            return _NUMBER.fullmatch(value) is not None
        return takes(plain, value)

    def _union(self, kind: inspect.UnionType, value: object, path: Path, at: Path) -> object:
        fitting = [member for member in kind.types if self._takes(member, value)]
        tagged = [member for member in fitting if isinstance(member, inspect.StructType) and member.tag_field]
        if tagged and isinstance(value, dict):
            return self._tagged(tagged, value, path, at)
        if not fitting:
            return self._unlike(kind, value, path)
        return self.value(fitting[0], value, path, at)

    def _tagged(self, kinds: list[inspect.StructType], table: dict[str, object], path: Path, at: Path) -> object:
        name = kinds[0].tag_field or ""
        everything = {known.encode_name for kind in kinds for known in kind.fields} | {name}
        key = (
            name if name in table else next((key for key in table if closest(key, everything - set(table)) == name), "")
        )
        chosen = [kind for kind in kinds if key and kind.tag == table[key]]
        if chosen:
            return self._table(chosen[0], table, path, at, kinds)
        tags = [kind.tag for kind in kinds]
        for unknown in table.keys() - everything:
            self._unknown(unknown, everything - set(table), path, everything)
        if key:
            return self._wrong((*path, key), no_choice(table[key], tags))
        return self._missing(name, f"{name} = {either(tags)}", path)

    def _table(
        self,
        kind: inspect.StructType,
        table: dict[str, object],
        path: Path,
        at: Path,
        others: Collection[inspect.StructType] = (),
    ) -> object:
        fields = {known.encode_name: known for known in kind.fields}
        known = {*fields, *filter(None, [kind.tag_field])}
        given = {key: key for key in known & table.keys()}
        for key in sorted(table.keys() - known, key=list(table).index):
            meant = self._unknown(key, known - given.keys(), path, known, elsewhere(kind, key, others=others))
            if meant is not None:
                given[meant] = key
        fitted: dict[str, object] = {kind.tag_field: kind.tag} if kind.tag_field else {}
        whole = True
        for name, about in fields.items():
            if name not in given:
                if about.required:
                    self._missing(name, self._form(kind, name, about.type), path)
                    whole = False
                continue
            key = given[name]
            if key != name:
                self.moved[*at, name] = (*path, key)
            self._tags[*path, key] = str(kind.tag or "")
            value = self.value(about.type, table[key], (*path, key), (*at, name))
            if value is not _BAD:
                fitted[name] = value
            whole = whole and not (value is _BAD and about.required)
        return fitted if whole else _BAD

    def _collection(self, kind: inspect.Type, value: list[object] | dict[str, object], path: Path, at: Path) -> object:
        if isinstance(kind, inspect.StructType) and isinstance(value, dict):
            return self._table(kind, value, path, at)
        if isinstance(kind, inspect.DictType) and isinstance(value, dict):
            found = {key: self.value(kind.value_type, item, (*path, key), (*at, key)) for key, item in value.items()}
            return {key: item for key, item in found.items() if item is not _BAD}
        assert isinstance(kind, (inspect.VarTupleType, inspect.TupleType))
        return self._list(kind, list(value), path, at)

    def _list(
        self, kind: inspect.VarTupleType | inspect.TupleType, value: list[object], path: Path, at: Path
    ) -> object:
        exact = isinstance(kind, inspect.TupleType)
        kinds = kind.item_types if isinstance(kind, inspect.TupleType) else (kind.item_type,) * len(value)
        if len(value) != len(kinds):
            return self._wrong(path, f"wanted {self._wanted(kind, path)}, not a list of {len(value)}")
        kept: list[object] = []
        for index, item in enumerate(value):
            here = (*at, len(kept))
            if index != len(kept):
                self.moved[here] = (*path, index)
            fitted = self.value(kinds[index], item, (*path, index), here)
            if fitted is _BAD:
                for stale in [place for place in self.moved if place[: len(here)] == here]:
                    del self.moved[stale]
            else:
                kept.append(fitted)
        return _BAD if exact and len(kept) < len(value) else kept

    def _brackets(self, kind: inspect.Type, value: object, path: Path, at: Path) -> object:
        """``[host]`` for ``[[host]]`` and vice versa are reported, and their content is checked as well."""
        name = ".".join(str(step) for step in path if isinstance(step, str))
        if not self._shape.brackets:
            return self._unlike(kind, value, path)
        if isinstance(kind, inspect.VarTupleType) and isinstance(value, dict) and is_table(kind.item_type):
            self._wrong(path, f"wanted [[{name}]], with double brackets: there may be more than one")
            self.moved[*at, 0] = path
            fitted = self.value(kind.item_type, value, path, (*at, 0))
            return fitted if fitted is _BAD else [fitted]
        if isinstance(kind, inspect.StructType) and isinstance(value, list) and value and isinstance(value[0], dict):
            self._wrong(path, f"wanted [{name}], with single brackets: there is only one")
            for index, item in enumerate(value):
                self.value(kind, item, (*path, index), (*at, index))
            return _BAD
        return self._unlike(kind, value, path)

    def _unlike(self, kind: inspect.Type, value: object, path: Path) -> object:
        # For two plain values, the type is wrong; a list in place of one shows that the writer does not know the form.
        plain = is_scalar(kind) and not isinstance(value, (list, dict))
        wanted = described(kind, self._shape.table) if plain else self._wanted(kind, path)
        bare = isinstance(value, str) and not self._takes(kind, "") and _LITERAL_TEXT.fullmatch(value) is not None
        return self._wrong(
            path, f"wanted {wanted}, not {noun(value, self._shape.table)}{'; write it without quotes' if bare else ''}"
        )

    def _wanted(self, kind: inspect.Type, path: Path) -> str:
        """How the value at a place is written, or what it is; an item of a list is not written as the list is."""
        form = self._shape.form(self._tags.get(path, ""), str(path[-1])) if path and isinstance(path[-1], str) else ""
        return form or described(kind, self._shape.table)

    def _form(self, owner: inspect.StructType, name: str, kind: inspect.Type) -> str:
        """How a key is written with its value, or what its value is."""
        form = self._shape.form(str(owner.tag or ""), name)
        return f"{name} = {form}" if form else described(kind, self._shape.table)

    def _missing(self, name: str, form: str, path: Path) -> object:
        return _BAD if name in self._unread else self._wrong(path, f'"{name}" is missing; wanted {form}')

    def _unknown(
        self, key: str, free: Collection[str], path: Path, known: Collection[str], beside: str = ""
    ) -> str | None:
        """Report an unknown key; return the key that was probably meant, if that is missing."""
        meant = closest(key, free)
        if meant is None and not beside and path and key in self._top:
            beside = "it belongs at the top of the file, before the first [table]"
        reason = f"there is no such key here: {beside}" if beside else unknown_key(key, known)
        self._wrong((*path, key), reason)
        return None if beside else meant

    def _with_home(self, value: object, where: str, path: Path) -> object:
        if isinstance(value, str) and where == "whole":
            return self._expanded(value, path)
        if isinstance(value, str) and where == "list":
            parts = [self._expanded(part, path) for part in value.split(":")]
            return _BAD if _BAD in parts else ":".join(map(str, parts))
        if isinstance(value, list) and where == "first" and value:
            first = self._expanded(str(value[0]), path)
            return _BAD if first is _BAD else [first, *value[1:]]
        return value

    def _expanded(self, text: str, path: Path) -> object:
        if not text.startswith("~"):
            return text
        user, slash, rest = text.partition("/")
        if user != "~":
            return self._wrong(path, f"{user!r} is not looked up, only '~/' is; write the path out")
        if not self._home:
            return self._wrong(path, "there is no home directory for '~'; write the path out")
        return f"{self._home}{slash}{rest}"

    def _wrong(self, path: Path, problem: str) -> object:
        self.mistakes.append((path, problem))
        return _BAD
