"""The Basic scheme. Source: RFC 7617, token-exchange.md TX-4."""

import base64

from credproxy.core.credential import Secret, UserPassword


def basic(login: UserPassword) -> Secret:
    """Give the header's value, ``Basic base64(utf8(user:password))``.

    aiohttp's own helper is not used: it encodes latin-1 and fails on a euro sign.
    """
    pair = f"{login.username}:{login.password.reveal()}".encode()
    return Secret(f"Basic {base64.b64encode(pair).decode('ascii')}")
