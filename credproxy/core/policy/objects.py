"""Objects: what a URL names outside a registry's API, such as an S3 object or a release asset, and patterns for them.

::

    https://bucket.s3.eu-west-1.amazonaws.com/prefix/**     everything below, and the prefix itself
    https://api.example.com/repos/*/assets/[0-9]            no: only * and ** and ? are patterns
    https://gitlab.example.com/api/v4/projects/1/**?*       with any query as well

A pattern without a query matches URLs without one: on many servers a query selects something else (``?acl``,
``?versionId=``, ``?list-type=2``). A path that can be read in two ways is matched by no pattern.

Paths are compared decoded: ``/p/%61`` is ``/p/a``. What is denied is denied in every spelling by which a server may know it:
with a query, in another case, and with parameters behind a semicolon.
"""

import re
from itertools import takewhile
from typing import NamedTuple
from urllib.parse import unquote

from credproxy.core.ask.target import Form, Target
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.ask.urls import clear_segments
from credproxy.core.policy.globs import includes, matches


_PATTERN = re.compile(r"(https?)://([^/?#]+)/([A-Za-z0-9._~!$&'()+,;=:@%*?-][A-Za-z0-9._~!$&'()+,;=:@%*/-]*)(\?\*)?")
_WILD = re.compile(r"[*?%]")
_LITERAL = str.maketrans({"*": "\ue000", "?": "\ue001"})
"""An asterisk and a question mark of a name, as a pattern writes them ``%2A`` and ``%3F``: private characters, which no name has."""

_PIECE = re.compile(r"[^*?]+")
_PARAMETERS = re.compile(r";[^/]*")


class ObjectPattern(NamedTuple):
    """The URLs that a rule applies to.

    Attributes:
        origin: ``scheme://authority``, canonical: never a pattern.
        path: a pattern for what follows the first slash, decoded.
        queries: whether URLs with a query match as well.
    """

    origin: str
    path: str
    queries: bool

    def covers(self, target: Target) -> bool:
        """Whether a URL is one of them."""
        name = _name(target)
        return (
            name is not None
            and target.origin == self.origin
            and (self.queries or not target.query)
            and matches(self.path, name)
        )

    def denying(self) -> "ObjectPattern":
        """The same where it denies: a server may ignore a query."""
        return self._replace(queries=True)

    def forbids(self, target: Target) -> bool:
        """Whether a URL may be one of them to some server, which ignores the case of letters or what follows a semicolon."""
        name = _name(target)
        if name is None or target.origin != self.origin:
            return False
        names = {name, _PARAMETERS.sub("", name)}
        return any(matches(self.path, one) for one in names) or any(
            matches(self.path.casefold(), one.casefold()) for one in names
        )

    def meets(self, other: "ObjectPattern") -> bool:
        """Whether a URL of another pattern may be one of these; True if that is hard to tell.

        Letters in another case are the same here: to many servers they are.
        """
        pairs = zip(self.path.lower().split("/"), other.path.lower().split("/"), strict=False)
        literal = takewhile(lambda pair: not _WILD.search("".join(pair)), pairs)
        return self.origin == other.origin and all(one == two for one, two in literal)

    def include(self, other: "ObjectPattern") -> bool:
        """Whether every URL of another pattern is one of these; False if that is hard to tell."""
        wider = self.queries or not other.queries
        return self.origin == other.origin and wider and includes(self.path, other.path)


def object_pattern(text: str) -> ObjectPattern | None:
    """Read a pattern; None if it names no origin, or a path that no URL has."""
    parts = _PATTERN.fullmatch(text)
    if parts is None:
        return None
    scheme, authority, path, queries = parts.groups()
    if canonical_authority(authority, scheme) != authority or clear_segments(path) is None:
        return None
    decoded = _PIECE.sub(lambda piece: _decoded(piece[0]), path)
    return ObjectPattern(f"{scheme}://{authority}", decoded, bool(queries))


def is_object(target: Target) -> bool:
    """Whether a URL names one thing, unambiguously."""
    return _name(target) is not None


def _name(target: Target) -> str | None:
    if target.form is not Form.URL or target.scheme not in {"http", "https"} or clear_segments(target.path[1:]) is None:
        return None
    return _decoded(target.path[1:])


def _decoded(text: str) -> str:
    return unquote(text).translate(_LITERAL)
