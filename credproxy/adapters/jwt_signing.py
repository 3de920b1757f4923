"""Signs JWTs. The libraries are loaded with the first one: most daemons sign nothing.

This is done in a thread: reading a key of 4,096 bits takes some 50 ms.
"""

import asyncio
from collections.abc import Mapping

from credproxy.core.ask.credential import Secret


_LEAST_BITS = 2048
"""Bits of a key: what GitHub's keys have; the library warns about shorter ones."""

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1"}


class JwtSigner:
    """Signs claims. Source: ports.signing.Signer."""

    async def sign(
        self, key: bytes, claims: Mapping[str, str | int], *, algorithm: str = "RS256", key_id: str | None = None
    ) -> Secret:
        """Give the signed JWT. Raises ValueError with a reason of our own: a library's message may quote a key."""
        return await asyncio.to_thread(_signed, key, claims, algorithm, key_id)


def _signed(key: bytes, claims: Mapping[str, str | int], algorithm: str, key_id: str | None) -> Secret:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  see above
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    from joserfc import jwt  # noqa: PLC0415
    from joserfc.jwk import ECKey, RSAKey  # noqa: PLC0415

    try:
        found = load_pem_private_key(key, None)
    except TypeError:
        raise ValueError("is protected by a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a private key in PEM form") from None
    head = {"alg": algorithm} | ({} if key_id is None else {"kid": key_id})
    made: ECKey | RSAKey
    if algorithm in _CURVES:
        curve = _CURVES[algorithm]
        if not isinstance(found, EllipticCurvePrivateKey) or found.curve.name != curve:
            raise ValueError(f"is not a key on the curve {curve}, which {algorithm} needs")
        made = ECKey.import_key(found)
    else:
        if not isinstance(found, RSAPrivateKey) or found.key_size < _LEAST_BITS:
            raise ValueError(f"is not an RSA key of {_LEAST_BITS} bits or more")
        made = RSAKey.import_key(found)
    return Secret(jwt.encode(head, dict(claims), made, algorithms=[algorithm]))
