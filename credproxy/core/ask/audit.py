"""What is logged about a hand-out: enough to find it again, and nothing that gives access (R28, A6)."""

from dataclasses import dataclass
from hashlib import sha256

from credproxy.core.ask.credential import Handout
from credproxy.core.ask.target import Target


_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Record:
    """One hand-out.

    Attributes:
        target: the canonical URI without its query, which may be a presigned secret.
        scope: what a registry's token grants; "" for everything else.
        credential: the stored credential behind it, such as ``docker-config:ghcr.io``; "" if unknown.
        token: the first eight hex digits of a Bearer token's SHA-256, by which a token's hand-outs can be found. ""
            for a login and for any other header: people choose passwords, and a digest is enough to guess one.
        expires: POSIX seconds, as the caller was told; None if it was told none.
    """

    target: str
    scope: str = ""
    credential: str = ""
    token: str = ""
    expires: int | None = None


def record(target: Target, handout: Handout) -> Record | None:
    """Describe an answer; None for an empty one, which hands out nothing."""
    if not handout.headers:
        return None
    return Record(
        f"{target.origin}{target.path}",
        handout.detail.get("scopes", ""),
        handout.detail.get("credential", ""),
        _fingerprint(handout),
        handout.expires,
    )


def login(target: Target) -> Record:
    """Describe a stored login that was handed out as it is."""
    return Record(target.origin, credential="stored login")


def _fingerprint(handout: Handout) -> str:
    for name, values in handout.headers:
        for value in values:
            scheme, _, token = value.reveal().partition(" ")
            if name.lower() == "authorization" and scheme.lower() == "bearer":
                return sha256(token.strip().encode()).hexdigest()[:_DIGITS]
    return ""
