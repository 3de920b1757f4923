"""Accounts with their rights, and signed tokens in the form that a real registry verifies."""

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.real.pki import Pki


ISSUER = "token-server.test"
SERVICE = "registry.test"

# The registry's answer to clocks that differ: a token is still accepted this long after its `exp`.
# Source: distribution 2.8, registry/auth/token/token.go, Leeway.
LEEWAY = timedelta(seconds=60)


@dataclass(frozen=True)
class Account:
    """An account's credentials and rights.

    `may` maps a repository, or `*` for all others, to actions: `{"team/app": "pull,push"}`.
    """

    password: str
    may: Mapping[str, str] = field(default_factory=dict)
    identity_token: str | None = None


def granted(may: Mapping[str, str], scopes: Sequence[str]) -> list[dict[str, object]]:
    """The part of what `scopes` ask for that is allowed: never an error, possibly nothing.

    Source: distribution docs/spec/auth/token.md, "Requesting a Token".
    """
    entries: list[dict[str, object]] = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = may.get(name, may.get("*", "")).split(",")
        both = [action for action in actions.split(",") if action in allowed]
        if kind == "repository" and both:
            entries.append({"type": kind, "name": name, "actions": both})
    return entries


class Signer:
    """Signs tokens with a key whose certificate comes from `pki`, so that its bundle is the registry's `rootcertbundle`."""

    def __init__(self, pki: Pki) -> None:
        leaf = pki.issue("token-signer.test")
        self._key = leaf.private_key_pem.bytes().decode()
        chain = (x509.load_pem_x509_certificate(blob.bytes()) for blob in leaf.cert_chain_pems)
        self._x5c = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode() for certificate in chain]

    def sign(self, access: Sequence[Mapping[str, object]], *, subject: str = "", lifetime: int = 300) -> str:
        """A token for `access` that ends in `lifetime` seconds; a negative number makes one that has ended."""
        now = datetime.now(UTC)  # noqa: TID251 - the registry that reads it uses the real clock
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + timedelta(seconds=lifetime),
            "jti": uuid.uuid4().hex,
            "access": list(access),
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"x5c": self._x5c})


def read_claims(token: str) -> dict[str, object]:
    """What a token says, unverified: `exp` in seconds since 1970, `access`, `sub`."""
    payload = token.split(".")[1]
    claims: object = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert isinstance(claims, dict)
    return claims
