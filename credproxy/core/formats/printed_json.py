"""A secret in the JSON that a program prints: which of its values it is, whose, and until when."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from credproxy.core.ask.stored import unreadable
from credproxy.core.errors import Failed
from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import Base, PublicText, UserName
from credproxy.core.unreadable_json import UNREADABLE


_PATH: Final = re.compile(r"[^.\x00-\x1f]+(\.[^.\x00-\x1f]+)*")
_PLACE: Final = re.compile(r"[0-9]{1,9}")
_SECONDS: Final = re.compile(r"[0-9]{1,13}(\.[0-9]{1,9})?")
_LATEST: Final = 1e11
"""POSIX seconds: what is larger counts something else, such as milliseconds."""


class PrintedFields(Base, frozen=True, kw_only=True):
    """Where in the JSON each value is: the names on the way to it, with a dot between; a number counts in a list."""

    value: PublicText
    username: UserName | None = None
    expires: PublicText | None = None

    def problems(self) -> Iterator[Problem]:
        """Names that lead nowhere."""
        for key, path in (("value", self.value), ("username", self.username), ("expires", self.expires)):
            if path is not None and _PATH.fullmatch(path) is None:
                yield (key,), 'wanted names with dots between them, such as "status.token"'


class PrintedSecret(NamedTuple):
    """What was found: ``until`` is the POSIX second at which it ends; None if it does not say."""

    text: str
    username: str | None
    until: float | None


def parse_printed_json(output: bytes, fields: PrintedFields, *, where: str, hint: str) -> PrintedSecret:
    """Read the output of a program.

    Args:
        output: that it printed.
        fields: which of its values count.
        where: names the output, for messages; nothing of it is quoted.
        hint: what a person does about it.

    Raises:
        Failed(credential_unreadable): it is not JSON, or a value is not there or of another type.
    """
    try:
        document: object = msgspec.json.decode(output)
    except UNREADABLE:  # whose text may quote the secret
        raise unreadable(where, "is not one value of JSON", hint=hint) from None
    found = _JsonDocument(document, where, hint)
    username = None if fields.username is None else found.text(fields.username)
    until = None if fields.expires is None else found.time(fields.expires)
    return PrintedSecret(found.text(fields.value), username, until)


class _JsonDocument(NamedTuple):
    content: object
    where: str
    hint: str

    def text(self, path: str) -> str:
        value = self._value(path)
        if not isinstance(value, str):
            raise self._wrong(path, "a text")
        return value

    def time(self, path: str) -> float | None:
        """POSIX seconds; None for ``null``, which says that it does not end."""
        value = self._value(path)
        if value is None:
            return None
        if isinstance(value, str) and _SECONDS.fullmatch(value):
            value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LATEST:
            return float(value)
        when = _moment(value) if isinstance(value, str) else None
        if when is None:
            raise self._wrong(path, "a time: of RFC 3339 with its zone, or seconds since 1970")
        return when

    def _value(self, path: str) -> object:
        value = self.content
        for name in path.split("."):
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and _PLACE.fullmatch(name) and int(name) < len(value):
                value = value[int(name)]
            else:
                raise unreadable(self.where, f"has no {path!r}", hint=self.hint)
        return value

    def _wrong(self, path: str, wanted: str) -> Failed:
        return unreadable(self.where, f"has in {path!r} something else than {wanted}", hint=self.hint)


def _moment(text: str) -> float | None:
    try:
        when = datetime.fromisoformat(text)
        return None if when.tzinfo is None else when.timestamp()
    except ValueError:
        return None
