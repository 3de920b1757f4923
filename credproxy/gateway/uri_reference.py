"""URI references as registries write them: resolved, and in the one spelling that is compared and sent.

``urljoin`` and yarl's ``join`` both leave the dot segments of a reference with an authority, take ``https:x`` for a path
and drop an empty query, so this follows section 5.2 of RFC 3986 to the letter. What a browser repairs is repaired in
the same way: a space, a brace or a letter outside ASCII is percent-encoded. Anything that cannot be intended is refused
with a reason.

Source: RFC 3986, sections 5.2, 6.2.2 and 6.2.3, and appendix B.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

import idna

from credproxy.core.ask.uri import canonical_authority


_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_NOT_ALLOWED = re.compile(rb"[^!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SCHEMES = frozenset({"http", "https"})


class _UnfitError(ValueError):
    """Why a reference cannot be resolved."""


@dataclass(frozen=True, slots=True)
class UnfitReference:
    """A reference that cannot be resolved.

    Attributes:
        reason: such as ``holds a control character``; it quotes only the scheme of the reference, as the rest may be a
            secret.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where a reference leads.

    Attributes:
        scheme: ``http`` or ``https``.
        authority: canonical, without the scheme's default port.
        path: at least ``/``; as written, without dot segments.
        query: as written; None without one.
    """

    scheme: str
    authority: str
    path: str
    query: str | None

    @property
    def origin(self) -> str:
        """Scheme and authority, in the form of ``Reach.origin``."""
        return f"{self.scheme}://{self.authority}"

    @property
    def host(self) -> str:
        """The authority without its port."""
        host, colon, port = self.authority.rpartition(":")
        return host if colon and port.isdigit() else self.authority

    @property
    def url(self) -> str:
        """The whole URL; after a redirect it is usually a secret."""
        return f"{self.origin}{self.path}{'' if self.query is None else f'?{self.query}'}"


def resolve(base: str, reference: str) -> Location | UnfitReference:
    """Resolve a reference.

    Args:
        base: the requested URL, absolute and valid.
        reference: as it was in a header, which one HTTP client decodes as Latin-1 and the other as UTF-8.

    Returns:
        Unfit for another scheme than http and https, no host or a strange one, a login, a control character. This is
        not an exception, which would carry a parser's error, and with it that parser's input.
    """
    try:
        return _resolve(base, reference)
    except _UnfitError as error:
        return UnfitReference(str(error))


def _resolve(base: str, reference: str) -> Location:
    scheme, authority, path, query = _split(_encoded(reference))
    known, before, path_before, query_before = _split(base)
    if scheme is None:
        scheme = known
        if authority is None:
            authority = before
            if not path:
                path, query = path_before, query_before if query is None else query
            elif not path.startswith("/"):
                path = f"{path_before.rpartition('/')[0]}/{path}"
    scheme = (scheme or "").lower()
    if scheme not in _SCHEMES:
        known = f"has the scheme {scheme[:20]!r}" if _SCHEME.fullmatch(scheme) else "has no scheme"
        raise _UnfitError(f"{known}, where http or https is wanted")
    return Location(scheme, _authority(authority or "", scheme), _without_dots(path) or "/", query)


def same_path(one: str, other: str) -> bool:
    """True for two spellings of one path: an escaped letter, digit, ``-._~`` is that character (RFC 3986, 6.2.2.2)."""
    return _normal(one) == _normal(other)


def _normal(path: str) -> str:
    def plain(found: re.Match[str]) -> str:
        character = unquote(found[0])
        return character if _UNRESERVED.fullmatch(character) else found[0].upper()

    return _ESCAPE.sub(plain, path)


def _split(text: str) -> tuple[str | None, str | None, str, str | None]:
    parts = _PARTS.fullmatch(text)
    assert parts is not None, "the expression of appendix B matches every text"
    return parts[1], parts[2], parts[3], parts[4]


def _encoded(reference: str) -> str:
    raw = _bytes(reference.strip(" \t"))
    if _CONTROLS.search(raw):
        raise _UnfitError("holds a control character")
    return _NOT_ALLOWED.sub(lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")


def _bytes(text: str) -> bytes:
    """The bytes on the wire; a letter that was not UTF-8 there is encoded as UTF-8, as browsers do."""
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        return _utf8(text)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return text.encode()
    return raw


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _UnfitError("holds an invalid character") from None


def _authority(text: str, scheme: str) -> str:
    if "@" in text:
        raise _UnfitError("holds a user name or a password")
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or not parts[1]:
        raise _UnfitError("names no host, or a port that is not a number")
    port = (parts[2] or "").lstrip("0")
    if parts[2] and not port:
        raise _UnfitError("names the port 0")
    canonical = canonical_authority(f"{_host(parts[1])}:{port}" if port else _host(parts[1]), scheme)
    if canonical is None:
        raise _UnfitError("names a host or a port that does not exist, or writes it in an unusual way")
    return canonical


def _host(text: str) -> str:
    if "%" not in text:
        return text
    try:
        name = unquote_to_bytes(text).decode()
        # An escaped colon or bracket would be read as a port or an address.
        if name.isascii():
            return name if _NAME.fullmatch(name) else ""
        return idna.encode(name, uts46=True).decode()
    except UnicodeError:
        return ""


def _without_dots(path: str) -> str:
    """Remove dot segments. Source: RFC 3986, section 5.2.4."""
    if "." not in path:
        return path
    found: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if len(found) > 1:
                found.pop()
        elif segment != ".":
            found.append(segment)
    if segments[-1] in {".", ".."}:
        found.append("")
    return "/".join(found)
