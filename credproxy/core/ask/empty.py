"""What looks like a credential and holds none: an unset variable, a file of spaces, ``null``, an empty user and password.

An upstream would refuse it with a message about permissions, or, worse, take it for an anonymous request. So it is reported
as what it is, with the place where it comes from.
"""

import base64
import unicodedata
from collections.abc import Sequence

from credproxy.core.ask.credential import IdentityToken, PlainSecret, RegistryToken, Secret, Stored, UserPassword


_SCHEMES = frozenset(
    {
        "api-key", "apikey", "aws4-hmac-sha256", "basic", "bearer", "digest", "dpop", "gnap", "hoba", "jwt", "key",
        "negotiate", "ntlm", "oauth", "pat", "private-token", "privatetoken", "token",
    }
)  # a table  # fmt: skip
"""Words that come before a credential, in lower case. Source: IANA's registry of authentication schemes, and what
servers invent beside it."""

_EVERYBODYS = frozenset(
    {
        "$oauthtoken", "<token>", "__token__", "_dcgcloud_token", "_json_key", "_json_key_base64", "_token", "aws",
        "gitlab-ci-token", "iamapikey", "oauth2", "oauth2accesstoken", "token", "x-access-token", "x-token-auth",
        "00000000-0000-0000-0000-000000000000",
    }
)  # a table  # fmt: skip
"""Generic user names, in lower case: with them the password is the whole credential. With a specific name
an empty password may be intended: some services take an API key as the user name."""

_NAMES = ("authorization", "auth", "token", "key", "secret", "password", "cookie")
"""Parts of the names of headers that hold a credential."""


_NOTHINGS = frozenset(
    {
        "null",
        "undefined",
        "None",
        "nil",
        "<nil>",
        "<null>",
        "(null)",
        "<none>",
        "<no value>",
        "%!s(<nil>)",
        "[object Object]",
    }
)
"""What programs print for a missing value: jq, JavaScript, Python, Ruby, Go and its templates, C and kubectl. As
they spell it, because ``none`` in lower case can also be an intended word."""


def is_scheme(word: str) -> bool:
    """Whether it is a word that comes before a credential in a header, in any case, such as ``Bearer``."""
    return word.lower() in _SCHEMES


def blank(text: str) -> bool:
    """Whether a text is empty, or holds nothing visible: white space of any alphabet, controls, a BOM.

    A byte that is not UTF-8 (``surrogateescape``) counts as visible: in another encoding it is a letter.
    """
    return not any(category[0] not in "ZC" or category == "Cs" for category in map(unicodedata.category, text))


def empty_login(stored: Stored) -> str | None:
    """What is empty about a stored credential, as the rest of a sentence about it; None if it holds something."""
    match stored:
        case UserPassword(username, password):
            return _pair(username, password.reveal())
        case IdentityToken(token) | RegistryToken(token):
            return _bare(token.reveal(), "holds an empty token")
        case PlainSecret(value):
            return _bare(value.reveal(), "is empty")


def empty_header(name: str, values: Sequence[str]) -> str | None:
    """What is empty about a header that should hold a credential; None if it holds something.

    Args:
        name: any case; shown in the message.
        values: as they would be sent.
    """
    # Only there do words such as ``Bearer`` precede something; elsewhere such a word may be the whole value.
    schemes = name.lower() in {"authorization", "proxy-authorization"}
    problems = [_value(value) if schemes else _bare(value, "is empty") for value in values]
    if not problems or None in problems:
        return None
    return f"the header {name!r} {problems[0]}"


def empty_answer(headers: Sequence[tuple[str, Sequence[Secret]]]) -> str | None:
    """What is empty about headers that are given as a credential; None for none at all.

    A header whose name says that it holds a credential must hold one; of all others, at least one must.
    """
    found = [(name, empty_header(name, [value.reveal() for value in values])) for name, values in headers]
    problems = [(name, problem) for name, problem in found if problem is not None]
    for name, problem in problems:
        if len(problems) == len(found) or any(part in name.lower() for part in _NAMES):
            return problem
    return None


def _pair(username: str, password: str) -> str | None:
    if not blank(password):
        # A chosen password may be anything; with these user names it is a token.
        return _word(password) if username.lower() in _EVERYBODYS else None
    if blank(username):
        return "has an empty user name and an empty password"
    if password:
        return "has a password that consists of white space"
    return "has an empty password" if username.lower() in _EVERYBODYS else None


def _value(value: str) -> str | None:
    scheme, _, rest = value.strip().partition(" ")
    bare = _bare(value, "is empty")
    if bare is not None or scheme.lower() not in _SCHEMES:
        return bare
    if _hollow(rest):
        return f"holds {scheme!r} and nothing after it"
    if (word := _word(rest)) is not None:
        return f"{word}, after {scheme!r}"
    if scheme.lower() != "basic":
        return None
    pair = rest.strip().rstrip("=")  # padding is often left out
    try:
        decoded = base64.b64decode(pair + "=" * (-len(pair) % 4), validate=True).decode()
    except ValueError:  # neither base64 nor UTF-8: it holds something
        return None
    username, colon, password = decoded.partition(":")
    problem = _pair(username, password) if colon else None
    return None if problem is None else f"{problem}, in base64"


def _bare(text: str, empty: str) -> str | None:
    return empty if _hollow(text) else _word(text)


def _word(text: str) -> str | None:
    """Return the word for "nothing" that a text consists of, with or without quotation marks; None for any other text."""
    word = text.strip(" \t\r\n\"'")
    return f"holds {word!r}, which programs print for a value that is missing" if word in _NOTHINGS else None


def _hollow(text: str) -> bool:
    """Blank, or nothing but quotation marks, and the dots of a JWT whose parts are empty."""
    return blank(text.translate(_MARKS))


_MARKS = dict.fromkeys(map(ord, ".\"'"))
