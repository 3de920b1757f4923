"""What a URL in the configuration must be, and how its path is read. A message never quotes it, because it may hold a login."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from credproxy.core.ask.uri import canonical_authority, is_loopback


_PRINTABLE = re.compile(r"[!-~]+")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATOR = re.compile(r"[/\\]")
_UNCLEAR = re.compile(r"[/\\\x00-\x1f\x7f\ufffd]|%[0-9A-Fa-f]{2}")
"""In a decoded segment: others may read it differently."""

_PROXY = "wanted http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT"

_ENCODED = "in a login write % as %25, @ as %40, : as %3A, / as %2F, ? as %3F and # as %23"


def clear_segments(path: str) -> tuple[str, ...] | None:
    """The decoded segments of a path without its first slash; None if it can be read in two ways (SC-7).

    That is so for a dot segment, an empty one, and a slash or another hidden byte in one.
    """
    segments = tuple(map(unquote, path.split("/")))
    for segment in segments:
        if segment.partition(";")[0] in {"", ".", ".."} or _UNCLEAR.search(segment):
            return None
    return segments


def leads_elsewhere(path: str) -> bool:
    """Whether some server finds a dot segment in a path: what stands before that is then not where it leads."""
    return any(part.partition(";")[0] in {".", ".."} for part in _SEPARATOR.split(unquote(path)))


def proxy_problem(url: str | None) -> str:
    """Say why a proxy cannot be used; "" if it can, or if there is none."""
    if url is None:
        return ""
    parts = _split(url)
    if parts is None:
        return _PROXY
    if parts.scheme != "http":
        return f"a proxy of {parts.scheme}:// is not supported; {_PROXY}"
    if not _has_host(parts):
        return (
            f"the proxy has no host, or a port that is not a number; {_PROXY}; {_ENCODED if '@' in url else ''}".rstrip(
                "; "
            )
        )
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        return f"nothing may follow the proxy's host and port; {_PROXY}"
    return _login_problem(parts)


def realm_problem(url: str | None) -> str:
    """Say why a token server cannot be used; "" if it can, or if there is none."""
    if url is None:
        return ""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not _has_host(parts):
        return "wanted an absolute URL, such as https://auth.example.com/token"
    if "@" in parts.netloc:
        return "a login in the URL of a token server is not used: leave it out, and name a source in credentials"
    return "nothing after a # is sent to a token server: leave it out" if "#" in url else ""


def server_problem(url: str | None, *, insecure: bool) -> str:
    """Say why the address of a server's API cannot be used; "" for one that can, and for none.

    Args:
        url: such as ``https://vault.example.com:8200``.
        insecure: plain http is allowed to other machines as well.
    """
    if url is None:
        return ""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not _has_host(parts):
        return "wanted the address of a server, such as https://vault.example.com:8200"
    if "@" in parts.netloc or parts.path not in {"", "/"} or "?" in url or "#" in url:
        return "nothing but a host and a port may stand in it"
    if not insecure and not _is_unread(parts):
        return "over plain http others could read the token: wanted https://, or insecure = true"
    return ""


def endpoint_problem(url: str) -> str:
    """Say why a URL of the environment cannot be asked with a secret; "" if it can."""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not _has_host(parts) or "@" in parts.netloc:
        return "is not the URL of a server"
    return "" if _is_unread(parts) else "leads to another machine in plain http, where others could read what is sent"


def _is_unread(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    return parts.scheme == "https" or is_loopback(f"[{host}]" if ":" in host else host)


def _split(url: str) -> SplitResult | None:
    if _PRINTABLE.fullmatch(url) is None or "://" not in url:
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _has_host(parts: SplitResult) -> bool:
    return canonical_authority(parts.netloc.rpartition("@")[2]) is not None


def _login_problem(parts: SplitResult) -> str:
    userinfo, at, _ = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    if not at:
        return ""
    if _ESCAPES.fullmatch(userinfo) is None or "@" in userinfo:
        return f"the login of the proxy is not percent-encoded: {_ENCODED}"
    if not user or ":" in unquote(user):
        return "the login of the proxy needs a user without ':'"
    if _CONTROL.search(unquote(user) + unquote(password)):
        return "the login of the proxy has a control character"
    return ""
