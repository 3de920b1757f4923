"""Which addresses may be connected to (SEC-4, PY16, T15).

``ipaddress.is_global`` alone is not enough: it takes NAT64, multicast and, on Python 3.11, 6to4 for global, and does
not look inside IPv4-mapped addresses.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from credproxy.core.ask.http import Dial


_NAT64 = IPv6Network("64:ff9b::/96")
_NOT_GLOBAL = (ip_network("192.0.0.0/24"), ip_network("198.18.0.0/15"), ip_network("100.64.0.0/10"))
_METADATA = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "100.100.100.200",
    )
)


def allowed(address: str, dial: Dial) -> bool:
    """Whether a connection to this literal address may be made.

    Unspecified and multicast addresses never, link-local and metadata ones only where the cloud is asked who the machine is;
    other non-global ones only if the host was named exactly, the registry itself was reached there, or the operator
    listed the network. Unparsable: no.
    """
    try:
        outer = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _unwrap(outer)
    for judged in {outer, inner}:
        if judged.is_multicast or judged.is_unspecified:
            return False
        if (judged in _METADATA or judged.is_link_local) and not dial.metadata:
            return False
    if dial.metadata or _is_global(outer, inner):
        return True
    return dial.own or str(inner) in dial.addresses or _listed(inner, dial.networks)


def unread(address: str, *, metadata: bool = False) -> bool:
    """Whether nobody on the way can read plain http to this literal address: it does not leave the machine.

    Args:
        address: that is connected to. A form that leads there through a gateway (NAT64, 6to4) leaves the machine first.
        metadata: the machine's cloud is asked who the machine is, which every cloud answers in plain http on the machine's own
            link.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    judged = (isinstance(found, IPv6Address) and found.ipv4_mapped) or found
    return judged.is_loopback or (metadata and (judged.is_link_local or judged in _METADATA))


def network_of(address: str) -> str | None:
    """What ``allow_private`` has to list for an address; None if nothing allows it."""
    if not allowed(address, Dial(networks=("0.0.0.0/0", "::/0"))):
        return None
    inner = _unwrap(ip_address(address.partition("%")[0]))
    return f"{inner}/{inner.max_prefixlen}"


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Give the IPv4 address that an IPv6 one leads to: mapped, 6to4, NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_global(outer: IPv4Address | IPv6Address, inner: IPv4Address | IPv6Address) -> bool:
    if any(inner in network for network in _NOT_GLOBAL):
        return False
    # A mapped address is not global by itself; what it leads to decides.
    return inner.is_global and (outer is not inner or outer.is_global)


def _listed(address: IPv4Address | IPv6Address, networks: tuple[str, ...]) -> bool:
    return any(address in ip_network(network, strict=False) for network in networks)
