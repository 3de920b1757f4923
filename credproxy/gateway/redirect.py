"""Where a registry's answer may lead. Only GET and HEAD are followed, inside the daemon (docs/design/clients.md#the-gateway).

A redirect passed on would make the client dial our socket again for the storage host. Followed here, it is our own
request to an address that somebody else chose: no credential is sent, the address guard stays on, and https stays https
(SEC-3 forbids redirects in exchanges; for blobs they are the normal case).

A URL on the registry's origin, in any spelling, is requested with the registry's credential, and any other URL never
is. There is one exception, for the sake of policy: a host that is not the registry may send us back to it, and so
choose a path there. Then the credential is sent only for the repository that policy allowed, and for no other path; for an
object, with no other query either, which on many servers selects something else.
"""

import msgspec

from credproxy.core.ask.endpoint import classify
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.errors import Code, failed
from credproxy.gateway.uri_reference import Location, UnfitReference, resolve
from credproxy.gateway.wanted import Wanted


MOST = 10
"""Redirects of one request: Go's client, which rules_img's gateway uses, follows the same number."""


class Hop(msgspec.Struct, frozen=True):
    """One request along redirects.

    Attributes:
        url: absolute; after a redirect it is usually presigned, and so a secret: never logged.
        own: it is sent to the registry itself, with its credential.
        subject: what to call the other side in a message.
    """

    url: str
    dial: Dial
    own: bool
    subject: str


def first(reach: Reach, path: str, *, query: str, upstream: str) -> Hop:
    """The first hop, to the registry itself."""
    where = f"{reach.origin}{reach.prefix}{path}"
    return Hop(f"{where}?{query}" if query else where, reach.dial, own=True, subject=upstream)


def follow(hop: Hop, location: str, *, reach: Reach, wanted: Wanted) -> Hop:
    """The next hop.

    Args:
        hop: the previous one, which was answered.
        location: of its answer, as it was sent.
        reach: of the registry: another URL on its origin still belongs to it.
        wanted: what policy allowed, on which registry.

    Raises:
        Failed: redirect_refused (an impossible URL, a login, another scheme), downgrade (https to http).
    """
    place = resolve(hop.url, location)
    if isinstance(place, UnfitReference):
        message = f"{hop.subject} sends the request on to a place that {place.reason}"
        raise failed(Code.REDIRECT_REFUSED, message, hint="ask its administrator")
    if hop.url.startswith("https:") and place.scheme == "http":
        message = f"{hop.subject} sends the request on from https to plain http, at {place.host!r}"
        raise failed(Code.DOWNGRADE, message, hint="ask its administrator")
    if place.origin == reach.origin and (hop.own or _same_repository(place, reach, wanted)):
        return Hop(place.url, reach.dial, own=True, subject=wanted.upstream)
    subject = f"host {place.host!r}, where {wanted.upstream} keeps it,"
    return Hop(place.url, reach.dial.elsewhere(), own=False, subject=subject)


def renewed(hop: Hop, reach: Reach) -> Hop:
    """A remembered hop, made again: the configuration may have changed, and the origin with it."""
    place = resolve(hop.url, "")
    own = hop.own and isinstance(place, Location) and place.origin == reach.origin
    return msgspec.structs.replace(hop, own=own, dial=reach.dial if own else reach.dial.elsewhere())


def _same_repository(place: Location, reach: Reach, wanted: Wanted) -> bool:
    if wanted.object is not None:
        return place.path == wanted.path and (place.query or "") == wanted.query
    return classify(place.path, place.query or "", prefix=reach.prefix or None).repository == wanted.repository
