"""Which token servers may see a registry's login (SEC-R).

A realm is a URL that the registry names in its challenge. It is trusted when it has the registry's own origin, or when
registry and realm are a listed pair; never because it is well known by itself, since any registry could then have its
callers' logins sent there (SEC-8), and never by its registrable domain, which tenants share.

Source: token-exchange.md sections 6.2 and 6.3.
"""

import re
from collections.abc import Collection
from ipaddress import ip_address

from credproxy.core.errors import Code, Failed, failed
from credproxy.core.target import Form, Target
from credproxy.core.uri import parse_uri


PAIRS = frozenset(
    {
        ("registry-1.docker.io", "auth.docker.io"),
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


def check_realm(realm: str, registry: Target, allowed: Collection[str], *, configured: bool = False) -> Target:
    """Give the realm as a target, if the registry's login may be sent there.

    Args:
        realm: as the challenge has it.
        registry: whose challenge it is.
        allowed: canonical authorities that the operator listed for this registry (``realm_hosts``).
        configured: the realm is the operator's own word (CH-17) and needs no pair.

    Raises:
        Failed(downgrade): an https registry names a plain http realm.
        Failed(realm_refused): anything else that is not trusted; names both hosts and the line that would allow it.
    """
    found = _parse(realm, registry)
    if found.scheme == "http" and registry.scheme != "http":
        raise failed(
            Code.DOWNGRADE,
            f"registry {registry.authority!r} sends logins to plain http on {found.authority!r}",
            "the registry's administrator has to name an https token server",
        )
    if found.origin == registry.origin or configured:
        return found
    if found.scheme == "https" and not _literal(found.host) and _paired(registry, found, allowed):
        return found
    raise failed(
        Code.REALM_REFUSED,
        f"registry {registry.authority!r} sends logins to {found.authority!r}, which it is not paired with",
        f'if that is right, add realm_hosts = ["{found.authority}"] to the [[host]] of {registry.authority!r}',
    )


def _paired(registry: Target, realm: Target, allowed: Collection[str]) -> bool:
    return realm.authority in allowed or (registry.authority, realm.authority) in PAIRS


def _parse(realm: str, registry: Target) -> Target:
    if len(realm) > _LONGEST or "#" in realm or "://" not in realm or not _PRINTABLE.fullmatch(realm):
        raise _unusable(registry)
    try:
        found = parse_uri(realm)
    except Failed:
        raise _unusable(registry) from None
    if found.form is Form.LITERAL or found.scheme not in {"http", "https"}:
        raise _unusable(registry)
    return found


def _literal(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _unusable(registry: Target) -> Failed:
    return failed(
        Code.REALM_REFUSED,
        f"registry {registry.authority!r} names a token server that is no absolute https URL",
        "the registry's administrator has to mend its realm",
    )
