"""Signs JWTs with RS256. The library is loaded with the first one: most daemons sign nothing.

A thread does it: to read a key of 4,096 bits takes some 50 ms.
"""

import asyncio
from collections.abc import Mapping

from credproxy.core.ask.credential import Secret


_LEAST_BITS = 2048
"""GitHub makes keys of so many; the library warns of shorter ones."""


class JwtSigner:
    """Signs claims. Source: ports.Signer."""

    async def rs256(self, key: bytes, claims: Mapping[str, str | int]) -> Secret:
        """Give the signed JWT. Raises ValueError with the reason, in words of ours: what a library says may quote a key."""
        return await asyncio.to_thread(_rs256, key, claims)


def _rs256(key: bytes, claims: Mapping[str, str | int]) -> Secret:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  see above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    from joserfc import jwt  # noqa: PLC0415
    from joserfc.jwk import RSAKey  # noqa: PLC0415

    try:
        found = load_pem_private_key(key, None)
    except TypeError:
        raise ValueError("is protected by a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a private key in PEM form") from None
    if not isinstance(found, RSAPrivateKey) or found.key_size < _LEAST_BITS:
        raise ValueError(f"is not an RSA key of {_LEAST_BITS} bits or more")
    return Secret(jwt.encode({"alg": "RS256"}, dict(claims), RSAKey.import_key(found), algorithms=["RS256"]))
