"""Texts of a configuration that nothing can use, whichever key they are for: empty ones, and those with invisible characters.

What a kind says about a value of its own is better; this is for the keys about which it says nothing.
"""

from collections.abc import Iterator, Mapping
from functools import cache

from msgspec import Struct, inspect

from credproxy.core.ask.empty import blank, is_scheme
from credproxy.core.formats.checks import Problem, within
from credproxy.core.formats.shapes import PATH
from credproxy.core.formats.toml_types import SHOWN


_NUL = "has a NUL character in it, which no path, program or variable can have"
_UNSEEN = "has a character in it that cannot be seen, such as a line end: wanted printable text"
_ASCII = "wanted printable ASCII, as the value of a header has to be"
_EMPTY = "is empty: write a text, or leave the key out"


def unusable_texts(table: Struct) -> Iterator[Problem]:
    """Give the place of each in a table, and in the tables within it."""
    for key, extra in _keys(type(table)).items():
        value = getattr(table, key)
        if isinstance(value, str) and PATH not in extra and value != _default(table, key):
            prefix = extra.get(SHOWN) == "prefix"
            problem = _problem(value, may_be_empty=prefix) or (_prefix_problem(value) if prefix else "")
            if problem:
                yield (key,), problem
        elif PATH not in extra and isinstance(value, tuple):
            for index, item in enumerate(value):
                problem = _problem(item, may_be_empty=False) if isinstance(item, str) else ""
                yield from (((key, index), problem),) if problem else within((key, index), _inside(item))
        else:
            yield from within((key,), _inside(value))


def _inside(value: object) -> Iterator[Problem]:
    """Paths, arguments and variables may be anything else that a program takes."""
    if isinstance(value, Struct):
        yield from unusable_texts(value)
    elif isinstance(value, str):
        if "\0" in value:
            yield (), _NUL
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from within((index,), _inside(item))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from within((str(name),), _inside(str(name)))
            yield from within((str(name),), _inside(item))


def _prefix_problem(text: str) -> str:
    if not text.isascii():
        return _ASCII
    return f'runs into what comes after it: wanted "{text} ", with a space at the end' if is_scheme(text) else ""


def _problem(text: str, *, may_be_empty: bool) -> str:
    if "\0" in text:
        return _NUL
    if not text.isprintable():
        return _UNSEEN
    return _EMPTY if blank(text) and not (may_be_empty and not text) else ""


def _default(table: Struct, key: str) -> object:
    return _defaults(type(table)).get(key)


@cache
def _defaults(kind: type[Struct]) -> dict[str, object]:
    optional = kind.__struct_fields__[len(kind.__struct_fields__) - len(kind.__struct_defaults__) :]
    return dict(zip(optional, kind.__struct_defaults__, strict=True))


@cache
def _keys(kind: type[Struct]) -> dict[str, Mapping[str, object]]:
    """The keys of a table, and what the type of each says about its text."""
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType)
    return {known.encode_name: _extra(known.type) for known in about.fields}


def _extra(kind: inspect.Type) -> Mapping[str, object]:
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return next((member.extra or {} for member in members if isinstance(member, inspect.Metadata)), {})
