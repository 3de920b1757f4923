"""Where a registry's answer may lead. Only GET and HEAD are followed, inside the daemon (clients.md 3.4).

A redirect passed on would make the client dial our socket again for the storage host. Followed here, it is a request of
ours to an address that somebody else chose: no credential goes along, the address guard stays on, and https stays https
(SEC-3 forbids redirects in exchanges; of blobs they are the normal case).
"""

from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from credproxy.core.errors import Code, failed
from credproxy.core.http import Dial, Reach
from credproxy.core.uri import canonical_authority


MOST = 10
"""Redirects of one request: Go's client, which rules_img's gateway uses, follows as many."""

STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Hop:
    """One request on the way.

    Attributes:
        url: absolute; behind a redirect it is presigned mostly, and so a secret: never logged.
        own: it goes to the registry itself, with its credential.
        subject: what to call the other side in a message.
    """

    url: str
    dial: Dial
    own: bool
    subject: str


def first(reach: Reach, path: str, query: str, registry: str) -> Hop:
    """The registry itself."""
    return Hop(
        f"{reach.origin}{path}{f'?{query}' if query else ''}", reach.dial, own=True, subject=f"registry {registry!r}"
    )


def follow(hop: Hop, location: str, reach: Reach, registry: str) -> Hop:
    """The next hop.

    Args:
        hop: the one that answered.
        location: of its answer.
        reach: of the registry: another place on its own origin is still its own.
        registry: its name, for messages.

    Raises:
        Failed: redirect_refused (no place, userinfo, another scheme), downgrade (https to http).
    """
    # A parser's errors quote what they were given, and a presigned URL is a secret. What they drop is refused before.
    sound = location.isascii() and location.isprintable() and " " not in location
    try:
        url = urljoin(hop.url, location)
        parts = urlsplit(url)
        sound = sound and canonical_authority(parts.netloc, parts.scheme) is not None
    except ValueError:
        sound, url, parts = False, "", urlsplit("")
    if not sound or parts.scheme not in {"http", "https"}:
        message = f"{hop.subject} redirects to what is no http or https place"
        raise failed(Code.REDIRECT_REFUSED, message, "ask those who run it")
    if urlsplit(hop.url).scheme == "https" and parts.scheme == "http":
        message = f"{hop.subject} redirects from https to plain http, at {parts.hostname!r}"
        raise failed(Code.DOWNGRADE, message, "ask those who run it")
    url = url.partition("#")[0]
    if hop.own and _origin(url) == reach.origin:
        return Hop(url, reach.dial, own=True, subject=hop.subject)
    subject = f"host {parts.hostname!r}, where registry {registry!r} keeps it,"
    return Hop(url, reach.dial.elsewhere(), own=False, subject=subject)


def renewed(hop: Hop, reach: Reach) -> Hop:
    """A hop that was remembered, as it is made now: the configuration may have changed, and the origin with it."""
    own = hop.own and _origin(hop.url) == reach.origin
    return replace(hop, own=own, dial=reach.dial if own else reach.dial.elsewhere())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
