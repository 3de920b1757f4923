"""How the language of a configuration file names types, values and choices: a number, a list, a table."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from msgspec import inspect

from credproxy.core.redact import mask_name


_TAKES: tuple[tuple[type[inspect.Type], tuple[type, ...]], ...] = (
    (inspect.StructType, (dict,)),
    (inspect.DictType, (dict,)),
    (inspect.VarTupleType, (list,)),
    (inspect.TupleType, (list,)),
    (inspect.LiteralType, (str,)),
    (inspect.StrType, (str,)),
    (inspect.BoolType, (bool,)),
    (inspect.IntType, (int,)),
    (inspect.FloatType, (int, float)),
    (inspect.NoneType, (type(None),)),
)
"""The types of the values that each type of a setting takes."""

_SCALARS: tuple[tuple[type[inspect.Type], str], ...] = (
    (inspect.StrType, "a string"),
    (inspect.BoolType, "true or false"),
    (inspect.IntType, "a whole number"),
    (inspect.FloatType, "a number"),
)
_NOUNS = {str: "a string", int: "a number", float: "a number with a point", list: "a list", type(None): "null"}


def takes(kind: inspect.Type, value: object) -> bool:
    """Whether a value is of the right sort, whatever is in it."""
    if isinstance(kind, inspect.UnionType):
        return any(takes(member, value) for member in kind.types)
    if isinstance(kind, inspect.Metadata):
        return takes(kind.type, value)
    types = next(types for sort, types in _TAKES if isinstance(kind, sort))
    # In Python a bool is also an int; to the writer of a file it is not a number.
    return isinstance(value, types) and (not isinstance(value, bool) or bool in types)


def unknown_key(name: str, known: Collection[str]) -> str:
    """Say that there is no such key, and which was probably meant."""
    close = closest(name, known)
    if close is not None:
        return f"there is no such key; did you mean {close!r}?"
    return f"there is no such key; known here: {', '.join(sorted(known))}"


def closest(name: str, known: Collection[str]) -> str | None:
    """Which of the known keys was probably meant, ignoring case and dashes."""
    return next(iter(get_close_matches(name.lower().replace("-", "_"), sorted(known), 1)), None)


def elsewhere(kind: inspect.StructType, key: str, *, others: Collection[inspect.StructType]) -> str:
    """Which other kinds have a key that this one does not."""
    tags = [other.tag for other in others if any(known.encode_name == key for known in other.fields)]
    return f"only {kind.tag_field} = {either(tags)} has it, not {quoted(kind.tag)}" if tags else ""


def no_choice(value: object, choices: Iterable[object]) -> str:
    """Say that a value is not one of the choices, and which was probably meant."""
    known = [str(choice) for choice in choices]
    if not isinstance(value, str):
        return f"wanted {either(known)}"
    return f"{mask_name(value)!r} is not one of {', '.join(map(quoted, known))}{meant(value, known)}"


def meant(value: str, known: Iterable[str]) -> str:
    """Which of the known words was probably meant, ignoring case, as the end of a sentence; "" if none is close."""
    words = {word.lower(): word for word in known}
    close = get_close_matches(value.lower(), words, 1)
    return f"; did you mean {quoted(words[close[0]])}?" if close else ""


def either(choices: Iterable[object]) -> str:
    """Write choices as ``"a", "b" or "c"``."""
    *most, last = map(quoted, choices)
    return f"{', '.join(most)} or {last}" if most else last


def quoted(text: object) -> str:
    """Write a string as TOML and JSON do."""
    return f'"{text}"'


def is_table(kind: inspect.Type) -> bool:
    """Whether a table is wanted, of whichever kind."""
    if isinstance(kind, inspect.UnionType):
        return all(map(is_table, kind.types))
    return isinstance(kind, inspect.StructType)


def is_none(kind: inspect.Type) -> bool:
    """Whether a type means that the key may be left out."""
    return isinstance(kind, inspect.NoneType)


def is_scalar(kind: inspect.Type) -> bool:
    """Whether a plain value is wanted: a string, a number, true or false."""
    if isinstance(kind, inspect.Metadata):
        return is_scalar(kind.type)
    if isinstance(kind, inspect.UnionType):
        return all(is_scalar(member) or is_none(member) for member in kind.types)
    return isinstance(kind, tuple(scalar for scalar, _ in _SCALARS))


def described(kind: inspect.Type, table: str) -> str:
    """Say what a type takes; ``table`` is what a table is called."""
    match kind:
        case inspect.Metadata():
            return described(kind.type, table)
        case inspect.UnionType():
            kinds = dict.fromkeys(described(member, table) for member in kind.types if not is_none(member))
            return " or ".join(kinds)
        case inspect.LiteralType():
            return either(kind.values)
        case inspect.VarTupleType() | inspect.TupleType():
            return "a list"
        case inspect.StructType() | inspect.DictType():
            return table
        case _:
            return next(name for scalar, name in _SCALARS if isinstance(kind, scalar))


def noun(value: object, table: str) -> str:
    """Say what a value is, and never the value itself: it may be a secret in the wrong place."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return table if isinstance(value, dict) else _NOUNS.get(type(value), "a date or a time")
