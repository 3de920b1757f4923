r"""URIs as they arrive, and the canonical form that everything else works with.

The raw string is checked here before any URL parser sees it: ``urlsplit`` and yarl drop TAB, CR and LF, resolve ``..``,
and take ``https://h\@evil.com`` for the host ``evil.com``. Anchored regular expressions without nested repeats keep the
cost linear.

Source: SC-1 to SC-6a and SC-16; T14.
"""

import re
from dataclasses import replace
from ipaddress import AddressValueError, IPv6Address

from credproxy.core.ask.names import Authority
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Code, Failed, failed


LONGEST = 8192
"""Bytes of a URI (SC-1)."""

DEFAULT_PORTS = {"https": 443, "http": 80, "grpcs": 443, "grpc": 80}
"""Schemes that are understood, with the port that each implies."""

_LITERAL_SCHEMES = frozenset({"grpc", "grpcs"})
_SHOWN = 160

_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # 0x21 to 0x7E without the backslash (SC-2)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::([1-9][0-9]{0,4}))?")
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_QUAD = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_SOCKET = re.compile(r"%2[Ff](?:[A-Za-z0-9._~+=,-]|%[0-9A-Fa-f]{2})*")
_NO_SLASHES = re.compile(r"([A-Za-z][A-Za-z0-9+-]*):[A-Za-z/].*")  # a port is digits, and no host ends with a colon
_WITH_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://|)([^/?#]*)@([^@/?#]*(?:[/?#].*)?)", re.DOTALL)
_USER = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*")  # RFC 3986, section 3.2.1
_SERVER_URL = re.compile(r"(?:(https?)://)?([^/?#]*)(?:/|/v[12]/?)?")


def parse_uri(raw: str) -> Target:
    """Check a raw URI and give its canonical form.

    Whether plain http may be answered is decided later, by ``plaintext_allowed`` and the host's rule (SC-4).

    Args:
        raw: a full URL, a bare ``host[:port]``, or one of the literal forms of SC-6a.

    Raises:
        Failed(bad_request): the message quotes the URI escaped, without its query and userinfo (SEC-9).
    """
    _check_characters(raw)
    if "://" not in raw:
        return _bare(raw)
    parts = _URL.fullmatch(raw)
    if parts is None:
        raise _refused(raw, "has no valid scheme", "ask for a URL or for a bare host[:port]")
    scheme, authority, path, query = parts.groups(default="")
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise _bad_scheme(raw, scheme)
    host, port, literal = _checked_authority(raw, authority, scheme)
    if literal or scheme in _LITERAL_SCHEMES:
        return Target(scheme, host, port, path, query, Form.LITERAL)
    if path in {"", "/"} and not query:
        return Target(scheme, host, port, "", "", Form.HOST)
    return Target(scheme, host, port, path or "/", query, Form.URL)


def without_userinfo(raw: str) -> str:
    """Give a URI without the user name and password that it may contain, which are never used.

    For the user's own callers, which cannot leave them out: Google's tools write ``https://oauth2accesstoken@HOST/...`` into
    lock files (CL-23).

    Raises:
        Failed(bad_request): parsers may differ about where its host begins: a second ``@``, a character that is allowed in
            no user name, a ``:`` before an ``@`` without a scheme, as in ``mailto:x@host``.
    """
    _check_characters(raw)
    parts = _WITH_USER.fullmatch(raw)
    if parts is None:
        return raw
    scheme, user, rest = parts.groups()
    if _USER.fullmatch(user) is None or (":" in user and not scheme):
        raise _refused(
            raw,
            "has more in front of its '@' than a user name and password",
            "leave it out: credentials come from the configuration",
        )
    return f"{scheme}{rest}"


def parse_server_url(text: str) -> Target:
    """Read the server URL of the docker helper protocol; always Form.HOST.

    Docker sends ``https://index.docker.io/v1/`` or ``host[:port]``, and trims white space as its own helpers do. A user name in it is ignored.

    Raises:
        Failed(bad_request): anything else, a path other than ``/v1/`` or ``/v2/`` included.
    """
    raw = without_userinfo(text.strip(" \t\r\n"))
    parts = _SERVER_URL.fullmatch(raw)
    if parts is None:
        raise _refused(raw, "is not a server URL", "give host[:port] or https://host[:port]")
    scheme = parts[1] or "https"
    found = _authority(parts[2], scheme)
    if found is None:
        raise _bad_authority(raw, parts[2])
    return Target(scheme, *found, "", "", Form.HOST)


def canonical_authority(text: str, scheme: str = "https") -> Authority | None:
    """The canonical ``host`` or ``host:port``, or None if it is not an authority.

    Lower case, without one trailing dot and without the scheme's default port (SC-6); an unknown scheme has
    none, and every port is kept.
    """
    found = _authority(text, scheme)
    if found is None:
        return None
    host, port = found
    return Authority(host if port is None else f"{host}:{port}")


def canonical_uri(target: Target) -> str:
    """The URI in full, such as ``https://ghcr.io/v2/``. It contains the query: never log it (SC-14)."""
    query = f"?{target.query}" if target.query else ""
    return f"{target.origin}{target.path}{query}"


def check_canonical(raw: str, target: Target) -> None:
    """Refuse a URI that is not in canonical form: policy and registry must see the same bytes.

    Args:
        raw: what ``parse_uri`` was given.
        target: what it gave.

    Raises:
        Failed(bad_request): another case, a default port, a trailing dot, a fragment.
    """
    if "#" in raw:
        raise _refused(raw, "has a fragment, which is not sent", "leave out the '#' and what follows it")
    canonical = canonical_uri(target)
    allowed = {target.authority, canonical, f"{canonical}/"} if target.form is Form.HOST else {canonical}
    if target.form is not Form.LITERAL and raw not in allowed:
        raise _refused(raw, "is not in canonical form", f"ask for {shown(canonical)}")


def is_socket(authority: str) -> bool:
    """True for a socket's path as an authority, such as ``%2Frun%2Fx.sock`` (SC-6a): its case counts, it has no port."""
    return _SOCKET.fullmatch(authority) is not None


def is_loopback(host: str) -> bool:
    """True for ``localhost``, 127.0.0.0/8 and ``[::1]``, by name only; ``host`` is canonical and has no port."""
    return host in {"localhost", "[::1]"} or (host.startswith("127.") and _QUAD.fullmatch(host) is not None)


def plaintext_allowed(target: Target, insecure: bool) -> bool:  # noqa: FBT001  it is the rule's own key
    """False if the target asks for plain http and neither loopback nor ``insecure`` permits it (SC-4)."""
    return target.scheme != "http" or insecure or is_loopback(target.host)


def plain(target: Target) -> Target:
    """The same target over plain http, which is what a rule's ``insecure`` means for a URI without a scheme (SC-4)."""
    port = None if target.port == DEFAULT_PORTS["http"] else target.port
    return replace(target, scheme="http", port=port) if target.scheme == "https" else target


def shown(raw: str) -> str:
    """Quote a URI for a message: escaped, shortened, without query, fragment and userinfo.

    The URI may be malformed, so it is unknown where a password ends: everything up to the last ``@`` is left out.
    """
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://|", raw)
    start = scheme[0] if scheme else ""
    cut = re.search(r"[?#]", raw)
    head, tail = (raw, "") if cut is None else (raw[: cut.start()], raw[cut.start() :])
    if "@" in tail:
        head = f"{start}***"
    elif "@" in head:
        head = f"{start}***@{head.rpartition('@')[2]}"
    return ascii(head if len(head) <= _SHOWN else f"{head[:_SHOWN]}...")


def _check_characters(raw: str) -> None:
    if not raw:
        raise failed(Code.BAD_REQUEST, "the uri is empty", hint="ask for a URL or for a bare host[:port]")
    if len(raw) > LONGEST:
        raise failed(Code.BAD_REQUEST, f"the uri has {len(raw)} characters, more than {LONGEST}")
    if _PRINTABLE.fullmatch(raw) is None:
        raise _refused(
            raw,
            "has a character that is not allowed: a space, a control character, a backslash or one outside ASCII",
            "percent-encode it; an international name in its xn-- form",
        )


def _bare(raw: str) -> Target:
    slip = None if "@" in raw else _NO_SLASHES.fullmatch(raw)  # what comes before a login's ':' is not shown
    if slip is not None and slip[1].lower() in DEFAULT_PORTS:
        raise _refused(
            raw, f"has no '//' after {slip[1].lower() + ':'!r}", "write '//' between the first ':' and the host"
        )
    if slip is not None and raw[slip.end(1) + 1] == "/":
        raise _bad_scheme(raw, slip[1])
    if "/" in raw:
        raise _refused(raw, "has a path but no scheme", "put https:// in front, or ask for the bare host[:port]")
    host, port, literal = _checked_authority(raw, raw, "https")
    return Target("https", host, port, "", "", Form.LITERAL if literal else Form.HOST)


def _checked_authority(raw: str, text: str, scheme: str) -> tuple[str, int | None, bool]:
    """Host, port, and whether they are matched literally only (SC-6a)."""
    found = _authority(text, scheme)
    if found is not None:
        return *found, False
    if text.startswith("*."):
        suffix = _authority(text[2:], scheme)
        if suffix is not None and not suffix[0].startswith("["):
            return f"*.{suffix[0]}", suffix[1], True
    elif is_socket(text):
        return text, None, True
    raise _bad_authority(raw, text)


def _authority(text: str, scheme: str) -> tuple[str, int | None] | None:
    parts = _AUTHORITY.fullmatch(text)
    if parts is None:
        return None
    host = _host(parts[1].lower())
    if host is None:
        return None
    if parts[2] is None:
        return host, None
    port = int(parts[2])
    if port > 65535:  # noqa: PLR2004  the highest port there is
        return None
    return host, None if port == DEFAULT_PORTS.get(scheme) else port


def _host(text: str) -> str | None:
    """The canonical form of a lower-case host; None if it is not a host."""
    if text[0] == "[":
        try:
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        except AddressValueError:
            return None
    host = text.removesuffix(".")
    if len(host) > 253 or _HOST.fullmatch(host) is None:  # noqa: PLR2004  RFC 1035, without the root's dot
        return None
    # A resolver takes 127.1, 2130706433 and 0x7f.1 for addresses: only the canonical spelling may pass.
    if _NUMERIC.fullmatch(host.rpartition(".")[2]) and _QUAD.fullmatch(host) is None:
        return None
    return host


def _bad_authority(raw: str, authority: str) -> Failed:
    if "@" in authority:
        return _refused(raw, "holds a user name or password", "leave it out: credentials come from the configuration")
    return _refused(raw, "has no valid host and port", "ask for a URL or for a bare host[:port]")


def _bad_scheme(raw: str, scheme: str) -> Failed:
    return _refused(raw, f"has the scheme {scheme[:20]!r}", "use https:// or a bare host[:port]")


def _refused(raw: str, reason: str, hint: str = "") -> Failed:
    return failed(Code.BAD_REQUEST, f"the uri {shown(raw)} {reason}", hint=hint)
