"""Which token servers may see a registry's login (SEC-R).

A realm is a URL that the registry names in its challenge. It is trusted when it has the registry's own origin, or when
registry and realm are a listed pair; never because it is well known, since any registry could then have its users'
logins sent there (SEC-8), and never by its registrable domain, which tenants share.

Source: SEC-R.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv6Address, ip_address

from credproxy.core.ask.docker_hub import HUB_API
from credproxy.core.ask.target import Form, Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.hints import in_host


PAIRS = frozenset(
    {
        (HUB_API, "auth.docker.io"),
        ("index.docker.io", "auth.docker.io"),
        ("registry.gitlab.com", "gitlab.com"),
        ("nvcr.io", "authn.nvidia.com"),
        ("docker.elastic.co", "docker-auth.elastic.co"),
        ("lscr.io", "ghcr.io"),
    }
)
"""``(registry, realm host)`` of public registries whose token server has another name; shown by ``config show``."""

_LONGEST = 2048
_PRINTABLE = re.compile(r"[!-\[\]-~]+")


def check_realm(
    realm: str, registry: Target, *, allowed: Collection[str], configured: bool = False, rule: str = ""
) -> Target:
    """Give the realm as a target, if the registry's login may be sent there.

    Args:
        realm: as the challenge has it.
        registry: that sent the challenge.
        allowed: canonical authorities that the operator listed for this registry (``realm_hosts``).
        configured: the operator configured the realm (CH-17), so it needs no pair.
        rule: ``match`` of the ``[[host]]`` that a hint points to; "" for the registry's authority.

    Raises:
        Failed(downgrade): an https registry names a plain http realm.
        Failed(realm_refused): anything else that is not trusted; names both hosts and the line that would allow it.
    """
    rule = rule or registry.authority
    found = _parse(realm, registry, rule)
    if found.scheme == "http" and registry.scheme != "http":
        raise failed(
            Code.DOWNGRADE,
            f"registry {registry.authority!r} sends logins to plain http on {found.authority!r}",
            hint="if that token server speaks https as well, name it so "
            + in_host(rule, _realm(replace(found, scheme="https"))),
        )
    if found.origin == registry.origin or configured:
        return found
    if _may_be_paired(found) and _paired(registry, found, allowed):
        return found
    raise failed(
        Code.REALM_REFUSED,
        f"registry {registry.authority!r} sends logins to {found.authority!r}, which it is not paired with",
        hint=_remedy(found, rule),
    )


def _may_be_paired(realm: Target) -> bool:
    """True for https and a name: a certificate then proves the realm's identity."""
    return realm.scheme == "https" and not _is_address(realm.host)


def _remedy(realm: Target, rule: str) -> str:
    """The setting that makes a realm trusted: ``realm_hosts`` does not work for plain http, nor for an address."""
    if _unfit(realm.host):
        return "no setting allows that address: the registry's administrator has to name another token server"
    setting = f'realm_hosts = ["{realm.authority}"]' if _may_be_paired(realm) else _realm(realm)
    return f"if that is right, say so {in_host(rule, setting)}"


def _realm(realm: Target) -> str:
    return f'realm = "{realm.origin}{realm.path}"'


def _paired(registry: Target, realm: Target, allowed: Collection[str]) -> bool:
    return realm.authority in allowed or (registry.authority, realm.authority) in PAIRS


def _parse(realm: str, registry: Target, rule: str) -> Target:
    if len(realm) > _LONGEST or "#" in realm or "://" not in realm or not _PRINTABLE.fullmatch(realm):
        raise _unusable(registry, rule)
    try:
        found = parse_uri(realm)
    except Failed:
        raise _unusable(registry, rule) from None
    if found.form is Form.LITERAL or found.scheme not in {"http", "https"}:
        raise _unusable(registry, rule)
    return found


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _unfit(host: str) -> bool:
    """True for addresses that are never dialled, whatever is configured; the dial guard makes the final check."""
    if not _is_address(host):
        return False
    address = ip_address(host.strip("[]"))
    inner = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return inner.is_link_local or inner.is_unspecified or inner.is_multicast


def _unusable(registry: Target, rule: str) -> Failed:
    return failed(
        Code.REALM_REFUSED,
        f"registry {registry.authority!r} names a token server that is not an absolute https URL",
        hint="if you know its token server, name it " + in_host(rule, 'realm = "https://HOST/PATH"'),
    )
