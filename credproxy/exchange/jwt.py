"""The claims of a JWT, unverified: the server that made the token is the one that will judge it. Source: RFC 7519."""

import base64
import binascii


def claims(token: str) -> bytes:
    """The JSON text of a token's claims; empty for a token that is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  header, payload, signature
        return b""
    try:
        return base64.urlsafe_b64decode(parts[1] + "==")
    except binascii.Error:
        return b""
