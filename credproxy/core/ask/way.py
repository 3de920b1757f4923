"""Where a request goes, as the daemon tells its other processes."""

from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.core.ask.private_message import PrivateMessage


class Way(PrivateMessage, frozen=True, array_like=True):
    """A Reach and its Dial as sent; ``bundle`` represents the path of a CA bundle, which stays with the daemon.

    With ``relay``, connections to the origin are asked for by that name: see Connect. ``bundle`` then counts for other hosts.
    """

    origin: Origin
    prefix: str
    networks: tuple[str, ...] = ()
    own: bool = False
    addresses: tuple[str, ...] = ()
    bundle: str | None = None
    tls_verify: bool = True
    proxy: str | None = None
    rule: str = ""
    release_api: str = ""
    kind: str = "oci"
    relay: str = ""


def way(reach: Reach) -> Way:
    """Encode a reach; the name of its CA bundle is an opaque mark, not a path that a carrier could read."""
    dial = reach.dial
    return Way(
        reach.origin,
        reach.prefix,
        dial.networks,
        dial.own,
        dial.addresses,
        dial.ca_bundle,
        dial.tls_verify,
        dial.proxy,
        dial.rule,
        reach.release_api,
        dial.kind,
    )


def reach(told: Way) -> Reach:
    """Decode it."""
    dial = Dial(
        told.networks,
        told.own,
        told.addresses,
        told.bundle,
        told.tls_verify,
        proxy=told.proxy,
        rule=told.rule,
        kind=told.kind,
        relay=told.relay,
    )
    return Reach(told.origin, dial, told.prefix, told.release_api)
