"""``WWW-Authenticate``: what a registry asks for.

RFC 9110, section 11::

    WWW-Authenticate = #challenge
    challenge        = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
    auth-param       = token BWS "=" BWS ( token / quoted-string )

Parsed more leniently, because registries are less strict: tabs and spaces anywhere around ``=`` and ``,``; an unquoted
value ends at a comma or white space, whatever it contains (CH-6); an empty value is an absent parameter (CH-7). Parsed
more strictly where a lenient parser can be deceived: a parameter that occurs twice, or a control character in a value,
poisons its challenge (CH-8, CH-9). Nothing here raises; mistakes are marked on the value.

Source: CH-1 to CH-14.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field


LINES = 16
LINE_LENGTH = 8 * 1024
CHALLENGES = 16
"""Limits, all above what a registry sends; the rest is not read (CH-1)."""

_NAMES = frozenset({"realm", "service", "scope"})
_SEPARATORS = re.compile(r"[ \t,]*")
_SPACE = re.compile(r"[ \t]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_UNQUOTED = re.compile(r"[^ \t,]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(slots=True)
class Challenge:
    """One challenge.

    Attributes:
        scheme: lower case.
        parameters: names in lower case, values unquoted; empty values are left out.
        malformed: its tail could not be parsed; what came before it is kept (CH-10).
        poisoned: never to be used (CH-8, CH-9).
    """

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)
    malformed: bool = False
    poisoned: bool = False


def parse_challenges(lines: Sequence[str]) -> tuple[Challenge, ...]:
    """Parse every field line separately, so that a bad one cannot spoil a good one.

    Args:
        lines: the values of all ``WWW-Authenticate`` lines, in order.

    Returns:
        Challenges in the order sent, at most CHALLENGES.
    """
    found: list[Challenge] = []
    for line in lines[:LINES]:
        if len(line) <= LINE_LENGTH:
            found += _parse_line(line)
    return tuple(found[:CHALLENGES])


def _parse_line(line: str) -> list[Challenge]:
    found: list[Challenge] = []
    seen: set[str] = set()
    at = _end(_SEPARATORS, line, 0)
    while at < len(line):
        name = _TOKEN.match(line, at)
        if name is None:
            _mark(found)
            break
        equals = _EQUALS.match(line, name.end())
        if equals is None:
            seen = set()
            found.append(Challenge(name[0].lower()))
            at = _after_scheme(line, name.end())
            continue
        if not found:
            break  # parameters without a scheme: what the rest of the line belongs to is unknown (CH-12)
        at, value = _value(line, equals.end())
        if value is None:
            _mark(found)
            break
        _keep(found[-1], seen, name[0].lower(), value)
        following = _end(_SPACE, line, at)
        if following < len(line) and line[following] != ",":
            _mark(found)
            break
        at = _end(_SEPARATORS, line, following)
    return found


def _after_scheme(line: str, at: int) -> int:
    """Where parameters begin; a token68 such as ``YII=`` is not one (CH-11).

    ``realm=`` looks like a token68, too. It has to count as a parameter, or a second realm after it would not poison
    the challenge (CH-8).
    """
    token68 = _TOKEN68.match(line, at)
    skipped = token68 is not None and token68[0].strip().rstrip("=").lower() not in _NAMES
    return _end(_SEPARATORS, line, token68.end() if token68 is not None and skipped else at)


def _value(line: str, at: int) -> tuple[int, str | None]:
    if line[at : at + 1] != '"':
        found = _UNQUOTED.match(line, at)
        assert found is not None
        return found.end(), found[0]
    quoted = _QUOTED.match(line, at)
    if quoted is None:
        return at, None
    # The octet after a backslash stands for itself; a string-literal unescaper would refuse "\l" (CH-5).
    return quoted.end(), _ESCAPE.sub(r"\1", quoted[1])


def _keep(challenge: Challenge, seen: set[str], name: str, value: str) -> None:
    if name in seen or _CONTROL.search(value):
        challenge.poisoned = True
    seen.add(name)
    if value and name not in challenge.parameters:
        challenge.parameters[name] = value


def _mark(found: list[Challenge]) -> None:
    if found:
        found[-1].malformed = True


def _end(pattern: re.Pattern[str], line: str, at: int) -> int:
    found = pattern.match(line, at)
    return at if found is None else found.end()
