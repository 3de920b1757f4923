"""A rule of every kind and a setting of every source, made from their types: a new one needs no line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar, get_args

import msgspec
from msgspec import inspect

from credproxy.core.formats.shapes import PATH
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.core.kinds.sources import SourceSettings


T = TypeVar("T", bound=msgspec.Struct)

SOURCES: Final[tuple[type[SourceSettings], ...]] = get_args(SourceSettings)

NOTHING: Final[Mapping[str, object]] = MappingProxyType({})

NEEDED: Final[Mapping[type[msgspec.Struct], Mapping[str, object]]] = {
    OauthHost: {"token_url": "https://id.test/token", "client_auth": "private_key_jwt", "key_file": "/absolute"},
}
"""Options of which a kind needs some, although no single key is required."""

ENV = {"source": "env", "name": "NAME"}


_TEXTS: Final[Mapping[str, str]] = {"match": "*.test"}
"""Texts of one form: some sources have logins for some hosts alone, and may have one of any wildcard."""


def tag(kind: type[msgspec.Struct]) -> str:
    """The name by which a configuration selects it."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return str(info.tag)


def fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """Its options."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info.fields


def is_path(field: inspect.Field) -> bool:
    """Whether it names a file or a program."""
    kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    return any(isinstance(kind, inspect.Metadata) and PATH in (kind.extra or {}) for kind in kinds)


def is_list(field: inspect.Field) -> bool:
    """Whether it is a command line."""
    return isinstance(field.type, inspect.Metadata) and isinstance(field.type.type, inspect.VarTupleType)


def takes_source(field: inspect.Field) -> bool:
    """Whether an option takes a source."""
    return isinstance(field.type, inspect.UnionType) and any(
        isinstance(kind, inspect.StructType) and kind.tag_field == "source" for kind in field.type.types
    )


def needed(kind: type[msgspec.Struct], path: str = "/absolute") -> dict[str, object]:
    """The tag of a kind or of a source, and the options without which it is not complete."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    found: dict[str, object] = {str(info.tag_field): info.tag, **NEEDED.get(kind, NOTHING)}
    for field in filter(lambda field: field.required, fields(kind)):
        if is_path(field):
            found[field.encode_name] = a_path(field, path)
        else:
            found[field.encode_name] = ENV if takes_source(field) else _TEXTS.get(field.encode_name, "name")
    return found


def a_path(field: inspect.Field, path: str) -> object:
    """A value for an option that names a file or a program."""
    return [path, "argument"] if is_list(field) else path


def sample(kind: type[T], path: str = "/absolute", more: Mapping[str, object] = NOTHING) -> T:
    """A rule or a source with everything that it needs, ``path`` wherever it names a file, and ``more``."""
    paths = {field.encode_name: a_path(field, path) for field in fields(kind) if is_path(field)}
    return msgspec.convert({**needed(kind, path), **paths, **more}, kind)
