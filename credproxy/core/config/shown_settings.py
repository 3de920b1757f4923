"""Settings as people may see them, in a terminal or a bug report. All code that prints settings uses this.

Whether a text may be seen is part of its type, next to the setting itself (``core/formats/toml_types.py``); one whose type
does not say so is masked.
"""

import re

from msgspec import Struct, inspect, to_builtins

from credproxy.core.config.settings import Settings
from credproxy.core.redact import mask_command, mask_name, mask_text


_PREFIX = re.compile(r"[A-Za-z-]{0,16}[ :=]?")
_HIDDEN = "***"


def shown_settings(settings: Settings) -> dict[str, object]:
    """Give every key, defaults included, as JSON has it, and no secret."""
    return {name: _whole(kind, getattr(settings, name)) for name, kind in _types(settings).items()}


def ways(kind: inspect.Type) -> frozenset[str]:
    """How the texts of a type are shown, as SHOWN has it: "" for one whose type does not say so. Tables are not looked into."""
    match kind:
        case inspect.Metadata(extra={"shown": way}):
            return frozenset({str(way)})
        case inspect.Metadata(type=inner) | inspect.VarTupleType(item_type=inner) | inspect.DictType(value_type=inner):
            return ways(inner)
        case inspect.UnionType(types=inner) | inspect.TupleType(item_types=inner):
            return frozenset().union(*map(ways, inner))
        case inspect.LiteralType():  # a closed list has no secrets
            return frozenset({"text"})
        case inspect.StrType():
            return frozenset({""})
        case _:
            return frozenset()


def _types(table: Struct) -> dict[str, inspect.Type]:
    info = inspect.type_info(type(table))
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: field.type for field in info.fields}


def _whole(kind: inspect.Type, value: object) -> object:
    """A table of settings with its defaults; for a rule, most of whose keys do not apply, only what was written."""
    if isinstance(value, Struct):
        return {key: _shown(inner, getattr(value, key)) for key, inner in _types(value).items()}
    return _shown(kind, value)


def _shown(kind: inspect.Type, value: object) -> object:
    if isinstance(value, Struct):
        types = _types(value)
        # msgspec leaves out defaults; the tag, which is in a closed list, is not a field of the struct.
        return {
            key: _shown(types[key], getattr(value, key)) if key in types else plain
            for key, plain in to_builtins(value).items()
        }
    if isinstance(value, tuple) and all(isinstance(item, Struct) for item in value):
        return [_shown(kind, item) for item in value]
    found = ways(kind)
    return _masked(next(iter(found)) if len(found) == 1 else "", to_builtins(value))


def _masked(way: str, value: object) -> object:
    if isinstance(value, dict):
        return {key: _masked(way, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [*mask_command(value)] if way == "command" else [_masked(way, item) for item in value]
    return _text(way, value) if isinstance(value, str) else value


def _text(way: str, text: str) -> str:
    match way:
        case "text":
            return mask_text(text)
        case "name":
            return mask_name(text)
        case "prefix" if _PREFIX.fullmatch(text):
            return text
        case _:
            return _HIDDEN
