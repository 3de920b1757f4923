"""What Bazel makes of a helper's standard output, with everything it refuses.

A port of ``GetCredentialsResponse.java`` (its gson type adapter) over gson's lenient ``JsonReader``, and of the two
later places where a header may still make the request fail. The JSON grammar that gson accepts beyond RFC 8259
(comments, single quotes, bare words, ``;`` and ``=``) is ported as well: what it accepts must not look refused here.

Source: docs/design/clients.md#what-bazel-accepts.
"""

import re
from dataclasses import dataclass
from enum import Enum


class Rejected(Exception):  # noqa: N818  named as in the tests
    """Bazel does not use the output; ``reason`` says what it would complain about."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoOutput(Rejected):
    """Bazel says: process exited without output."""


class Crashed(Rejected):
    """An exception that is not treated as a parse error: UNAUTHENTICATED over gRPC, a crash on the download path."""


@dataclass(frozen=True)
class ParsedAnswer:
    """The credentials that Bazel would attach; ``expires_epoch`` is POSIX seconds or None."""

    headers: dict[str, list[str]]
    expires_epoch: int | None = None


def parse(stdout: bytes) -> ParsedAnswer:
    """Read an answer and attach its headers to a request, as Bazel would.

    Raises:
        Rejected: NoOutput or Crashed if Bazel distinguishes these.
    """
    answer = read(stdout)
    for name, values in answer.headers.items():
        for value in values:
            _attach(name, value)
    return answer


def read(stdout: bytes) -> ParsedAnswer:
    """Run only the parser: a header that no request can carry passes."""
    document = _Reader(stdout.decode(errors="replace")).document()
    if document is None:
        raise NoOutput("process exited without output")
    if not isinstance(document, _Object):
        raise Rejected("expected object")
    headers: list[tuple[str, list[str]]] = []
    expires: int | None = None
    for name, value in document.members:
        if name == "headers":
            headers += _headers(value)
        elif name == "expires":
            if not isinstance(value, str):
                raise Rejected("expected value of 'expires' to be a string")
            expires = parse_expires(value)
    if len(dict(headers)) < len(headers):
        # ImmutableMap.Builder: an IllegalArgumentException, not a JsonSyntaxException.
        raise Crashed("multiple entries with the same key")
    return ParsedAnswer(dict(headers), expires)


_EXPIRES = re.compile(
    r"([0-9]{4}|\+[0-9]{5,9})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:Z|([+-])([0-9]{2}):([0-5][0-9]))"
)
_LARGEST_OFFSET = 18 * 60


def parse_expires(text: str) -> int:
    """POSIX seconds of ``yyyy-MM-dd'T'HH:mm:ssXXX``, resolved leniently: fields that are too large roll over."""
    found = _EXPIRES.fullmatch(text)
    if found is None:
        raise Rejected("expected value of 'expires' to be an RFC 3339 formatted timestamp")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    offset = int(found[8] or 0) * 60 + int(found[9] or 0)
    if offset > _LARGEST_OFFSET:
        raise Rejected("zone offset not in valid range: +/-18:00")
    days = _days(year + (month - 1) // 12, (month - 1) % 12 + 1) + day - 1
    local = ((days * 24 + hour) * 60 + minute) * 60 + second
    return local - (-offset if found[7] == "-" else offset) * 60


def _days(year: int, month: int) -> int:
    """Days from 1970-01-01 to the first of a month, for any year."""
    year -= month < 3
    in_year = (153 * (month + (9 if month < 3 else -3)) + 2) // 5
    return year * 365 + year // 4 - year // 100 + year // 400 + in_year - 719_468


def _headers(value: "_Node") -> list[tuple[str, list[str]]]:
    if not isinstance(value, _Object):
        raise Rejected("expected value of 'headers' to be an object")
    found: list[tuple[str, list[str]]] = []
    for name, values in value.members:
        if not isinstance(values, list):
            raise Rejected(f"expected value of {name!r} header to be an array of strings")
        if not all(isinstance(item, str) for item in values):
            raise Rejected(f"expected value of {name!r} header to be a string")
        found.append((name, [item for item in values if isinstance(item, str)]))
    return found


def _attach(name: str, value: str) -> None:
    """``HttpURLConnection.addRequestProperty`` and grpc-java's ``Metadata``: the stricter of both.

    The JVM silently drops Host and similar headers, so fewer headers than given would be sent.
    """
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise Rejected("illegal character(s) in message header field")
    if not re.fullmatch(r"[ -~]*", value):
        raise Rejected(f"illegal character(s) in message header value: {value}")
    if name.lower() in {"connection", "content-length", "host", "origin", "transfer-encoding", "upgrade", "via"}:
        raise Rejected("a header that the JVM keeps for itself")


class _Other(Enum):
    """Values whose content does not matter."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"


@dataclass(frozen=True)
class _Object:
    """Members in order, repeated ones included."""

    members: list[tuple[str, "_Node"]]


_Node = str | _Other | _Object | list["_Node"]

_KEYWORDS = {"true": _Other.BOOLEAN, "false": _Other.BOOLEAN, "null": _Other.NULL}
_SPACE = re.compile(r"(?:[ \t\r\n]+|/\*.*?\*/|(?://|#)[^\r\n]*)*", re.DOTALL)
_WORD = re.compile(r"[^/\\;#={}\[\]:, \t\f\r\n]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPES = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", "\n": "\n", "'": "'", '"': '"', "\\": "\\", "/": "/"}


class _Reader:
    """gson's JsonReader in lenient mode, but as one value instead of a stream of tokens."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff")
        self._at = 0

    def document(self) -> "_Node | None":
        """The only value; None for an empty document or ``null``, after which nothing is checked."""
        if self._peek() == ")" and self._text.startswith(")]}'\n", self._at):
            self._at += 5
        if self._peek() == "":
            return None
        value = self._value()
        if value is _Other.NULL:
            return None
        # Reading is strict again here: not even a comment may follow.
        if self._text[self._at :].strip(" \t\r\n"):
            raise Rejected("JSON document was not fully consumed")
        return value

    def _peek(self) -> str:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
        return self._text[self._at : self._at + 1]

    def _value(self) -> "_Node":
        first = self._peek()
        if first == "{":
            return self._object()
        if first == "[":
            return self._array()
        if first in {'"', "'"}:
            return self._string()
        return self._word(name=False)

    def _object(self) -> _Object:
        members: list[tuple[str, _Node]] = []
        self._at += 1
        if self._peek() == "}":
            self._at += 1
            return _Object(members)
        while True:
            name = self._string() if self._peek() in {'"', "'"} else self._word(name=True)
            if self._peek() not in {":", "="}:
                raise Rejected("expected ':'")
            self._at += 2 if self._text.startswith("=>", self._at) else 1
            assert isinstance(name, str)
            members.append((name, self._value()))
            if self._after("}"):
                return _Object(members)

    def _array(self) -> "list[_Node]":
        items: list[_Node] = []
        self._at += 1
        if self._peek() == "]":
            self._at += 1
            return items
        while True:
            # A missing element is null: [,] has two of them, ["b",] has one.
            items.append(_Other.NULL if self._peek() in {",", ";", "]"} else self._value())
            if self._after("]"):
                return items

    def _after(self, end: str) -> bool:
        """Step over what follows a value; True at the end of its container."""
        found = self._peek()
        if not found or found not in f",;{end}":
            raise Rejected("unterminated object or array")
        self._at += 1
        return found == end

    def _word(self, *, name: bool) -> "_Node":
        found = _WORD.match(self._text, self._at)
        if found is None:
            raise Rejected("expected name" if name else "expected value")
        self._at = found.end()
        word = found[0]
        if name:
            return word
        return _KEYWORDS.get(word.lower()) or (_Other.NUMBER if _NUMBER.fullmatch(word) else word)

    def _string(self) -> str:
        quote = self._text[self._at]
        self._at += 1
        parts: list[str] = []
        while (character := self._text[self._at : self._at + 1]) != quote:
            self._at += 1
            parts.append(self._escape() if character == "\\" else character)
            if not character:
                raise Rejected("unterminated string")
        self._at += 1
        return "".join(parts)

    def _escape(self) -> str:
        character = self._text[self._at : self._at + 1]
        self._at += 1
        if character == "u":
            digits = self._text[self._at : self._at + 4]
            if not re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
                raise Rejected("malformed unicode escape")
            self._at += 4
            return chr(int(digits, 16))
        if character not in _ESCAPES:
            raise Rejected("invalid escape sequence")
        return _ESCAPES[character]
