"""The Basic scheme. Source: RFC 7617, TX-4."""

import base64

from credproxy.core.ask.credential import Secret, UserPassword


def basic(login: UserPassword) -> Secret:
    """Give the header's value, ``Basic base64(utf8(user:password))``.

    aiohttp's own helper is not used: it encodes latin-1 and fails on a euro sign. A login of a netrc file that is not UTF-8
    keeps its bytes, as curl does.
    """
    pair = f"{login.username}:{login.password.reveal()}".encode(errors="surrogateescape")
    return Secret(f"Basic {base64.b64encode(pair).decode('ascii')}")
