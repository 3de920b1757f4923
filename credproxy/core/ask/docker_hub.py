"""Docker Hub's several names.

They share one login, but not a cache: the ping and the cache key keep the literal host, so that one alias never uses
a challenge learned from another (SC-13). ``library/`` is never put into a scope (SC-12).

Source: SC-11 to SC-13.
"""

HUB_API = "registry-1.docker.io"
"""The host of Docker Hub's API: ``docker.io`` has none (TX-2)."""

HUB = frozenset({"docker.io", "index.docker.io", HUB_API, "registry.hub.docker.com"})
"""Canonical authorities of Docker Hub (SC-11)."""

HUB_KEY = "https://index.docker.io/v1/"
"""Where docker's configuration and its helpers keep the login for all of them."""


def is_hub(authority: str) -> bool:
    """True if the canonical authority is one of Docker Hub's names."""
    return authority in HUB


def login_name(authority: str) -> str:
    """The name that stands for a registry and all others that share its login."""
    return "docker.io" if is_hub(authority) else authority


def api_host(authority: str) -> str:
    """The authority to contact for a registry's canonical one: ``HUB_API`` for ``docker.io``, else itself (TX-2)."""
    return HUB_API if authority == "docker.io" else authority


def in_library(name: str) -> str:
    """A repository of Docker Hub, or a pattern for some, as people shorten it: ``ubuntu`` is ``library/ubuntu``.

    Only for rules and what they are compared with: a scope is the path's own name (SC-12).
    """
    return name if "/" in name or name == "**" else f"library/{name}"
