"""Whether the result of an exchange may be given to a build action: third-party code that must not get a secret.

Source: SC-20, T12.
"""

import base64
import binascii
from collections.abc import Sequence

from credproxy.core.ask.credential import Grant, IdentityToken, PlainSecret, RegistryToken, Stored, UserPassword
from credproxy.exchange.granted import UnknownAccessError, access, beyond


_TELLING = 5
"""Least characters of a secret that is looked for inside a token: shorter ones occur in any text by chance."""


def refusal(grant: Grant, stored: Stored | None, *, scopes: Sequence[str]) -> str | None:
    """Say why a grant must stay inside the daemon; None if an action may have it.

    Args:
        grant: what the exchange gave.
        stored: what it was obtained with.
        scopes: the requested ones, canonical.
    """
    if grant.empty:
        return None
    if isinstance(stored, RegistryToken):
        return "a stored registry token cannot be narrowed to one repository"
    values = [value.reveal() for _, found in grant.headers for value in found]
    if len(values) != 1 or not values[0].startswith("Bearer "):
        return "the registry takes the login itself, as Basic"
    token = values[0].removeprefix("Bearer ")
    texts = [token, *_decoded(token)]
    if any(
        secret == token or (len(secret) >= _TELLING and secret in text) for secret in _secrets(stored) for text in texts
    ):
        return "the token holds the stored secret"
    if any(_wider(text, scopes) for text in texts):
        return "the token grants more than was asked for"
    return None


def _secrets(stored: Stored | None) -> list[str]:
    match stored:
        case UserPassword(_, password):
            return [password.reveal()]
        case IdentityToken(token, _, password):
            return [token.reveal(), *([password.reveal()] if password else [])]
        case PlainSecret(value) | RegistryToken(value):
            return [value.reveal()]
        case None:
            return []


def _decoded(token: str) -> list[str]:
    """What base64 hides: the parts of a JWT, or a login that is passed off as a token."""
    found = []
    for part in token.split("."):
        for alphabet in (b"-_", b"+/"):
            try:
                data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=alphabet, validate=True)
            except (binascii.Error, ValueError):
                continue
            found.append(data.decode("utf-8", "replace"))
    return found


def _wider(text: str, scopes: Sequence[str]) -> bool:
    """True for claims whose ``access`` exceeds the requested scopes."""
    try:
        granted = access(text)
    except UnknownAccessError:
        return True  # it cannot be read, so it cannot be trusted to be narrow
    return granted is not None and bool(beyond(granted, scopes))
