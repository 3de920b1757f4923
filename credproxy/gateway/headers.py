"""Which header fields pass the gateway; every other one is dropped.

Lists of what passes, not of what does not: a client's ``Authorization``, forwarding headers and our own names never
leave, and a registry's cookies, challenges and server versions never arrive.
"""

import contextlib
import math
import re

from credproxy.core.ask.http import VALUES
from credproxy.core.ask.retry_after import retry_after
from credproxy.core.errors import Code, failed
from credproxy.gateway.incoming import Headers, Incoming, values


_READ = ("Accept", "Accept-Encoding", "If-Match", "If-None-Match", "If-Range", "Range", "User-Agent")
_WRITE = ("Accept", "Content-Encoding", "Content-Range", "Content-Type", "User-Agent")

_ANSWER = frozenset(
    {
        "accept-ranges",
        "age",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-range",
        "content-type",
        "docker-content-digest",
        "docker-distribution-api-version",
        "etag",
        "expires",
        "last-modified",
        "oci-chunk-max-length",
        "oci-chunk-min-length",
        "oci-filters-applied",
        "oci-subject",
        "oci-tag",
        "range",
        "vary",
    }
)

_WARNED = "warning"

_ONE_WARNING = r'299 [!-~]+ "(?:[^"\\]|\\.)*"(?: "[^"]*")?'
_WARNING = re.compile(rf"{_ONE_WARNING}(?:[\t ]*,[\t ]*{_ONE_WARNING})*")
_LENGTH = re.compile(r"[0-9]{1,18}")

_LONGEST_WARNINGS = 4096
"""Bytes of all warnings of an answer that the distribution specification allows."""


def upward(incoming: Incoming, *, writing: bool) -> Headers:
    """Fields of a request that go to the registry, without the length, which belongs to the code that sends the body.

    Raises:
        Failed(bad_request): a value has a control character; aiohttp's parser refuses most of them earlier.
    """
    passed = [(name, value) for name in (_WRITE if writing else _READ) for value in incoming.all(name)]
    if VALUES.fullmatch("".join([value for _, value in passed])) is None:
        name = next(name for name, value in passed if VALUES.fullmatch(value) is None)
        raise failed(Code.BAD_REQUEST, f"the header {name} holds a control character")
    return tuple(passed)


def downward(headers: Headers) -> Headers:
    """Fields of an answer that go to the client; the server sets its length, the gateway its locations."""
    names = [name.lower() for name, _ in headers]
    passed = [field for name, field in zip(names, headers, strict=True) if name in _ANSWER]
    if VALUES.fullmatch("".join([value for _, value in passed])) is None:
        passed = [field for field in passed if VALUES.fullmatch(field[1])]
    return (*passed, *_warnings(headers)) if _WARNED in names else tuple(passed)


def announced(headers: Headers) -> int | None:
    """The Content-Length of an answer to HEAD; None if there is none or it is not a number."""
    found = values(headers, "Content-Length")
    return int(found[0]) if len(found) == 1 and _LENGTH.fullmatch(found[0]) else None


def refused(headers: Headers) -> Headers:
    """Fields of a refusal that go to the client: the total length, when to ask again, warnings."""
    found = tuple(("Content-Range", value) for value in values(headers, "Content-Range")[:1] if VALUES.fullmatch(value))
    pause = retry_after(headers, None)
    if pause is not None:
        found += (("Retry-After", str(math.ceil(pause))),)
    return (*found, *_warnings(headers))


def warning(text: str) -> tuple[str, str]:
    """A ``Warning`` of our own. Source: OCI distribution specification, "Warnings"; RFC 7234, section 5.5."""
    printable = "".join(character if " " <= character <= "~" else "?" for character in text)
    quotable = printable.replace("\\", "/").replace('"', "'")
    return ("Warning", f'299 - "{quotable[: _LONGEST_WARNINGS // 2]}"')


def _warnings(headers: Headers) -> Headers:
    """Warnings for the client's user: with code 299, as the specification says, and no more than it allows."""
    found: list[tuple[str, str]] = []
    left = _LONGEST_WARNINGS
    for value in map(_line, values(headers, "Warning")):
        left -= len(value.encode())
        if left >= 0 and _WARNING.fullmatch(value):
            found.append(("Warning", value))
    return tuple(found)


def _line(value: str) -> str:
    """A text for people, as one line: some clients decode headers as Latin-1, others as UTF-8."""
    with contextlib.suppress(UnicodeError):
        value = value.encode("latin-1").decode()
    return "".join(character if character.isprintable() else "?" for character in value.strip())
