"""From the text that a source holds to a stored credential."""

import re
from collections.abc import Sequence

from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.empty import blank, empty_login
from credproxy.core.errors import Code, Failed, failed


TOKEN_USER = "<token>"  # noqa: S105  docker's own word for "the secret is an identity token"
"""Source: docker/cli cli/config/credentials/native_store.go (DC-15)."""

UNLOCK = "unlock it: log in to your desktop, or gnome-keyring-daemon --unlock; or log in with --store file"
"""What a person does about a keyring that cannot be read or written."""

# With the halves of surrogate pairs that JSON may hold; those from U+DC80 are bytes that are not UTF-8, and can be sent.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")


def from_text(text: str, username: str | None, *, where: str, hint: str = "") -> Stored:
    """Give a login with ``username``, an identity token for ``<token>``, else a plain secret.

    Args:
        username: the login's, or None.
        text: one trailing newline is removed, and a byte order mark at the beginning, as editors and programs add them.
        where: names the source in a message, such as ``the variable 'X'``.
        hint: how to store a secret there.

    Raises:
        Failed(credential_unreadable): empty or blank, or with control characters, which no header or form may carry.
    """
    value = text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")
    if blank(value):
        raise unreadable(where, "is empty" if not value else "holds nothing but white space", hint=hint)
    if _CONTROL.search(value):
        raise unreadable(where, "holds more than one line, or control characters", hint=hint)
    stored = PlainSecret(Secret(value)) if username is None else login(username, value, where=where, hint=hint)
    return usable(stored, where, hint=hint)


def login(username: str, password: str, *, where: str, hint: str = "") -> UserPassword | IdentityToken:
    """Give the login, or the identity token that docker stores under the user name ``<token>``.

    Raises:
        Failed(credential_unreadable): a user name that Basic cannot carry (RFC 7617, TX-4).
    """
    if username == TOKEN_USER:
        return IdentityToken(Secret(password))
    if blank(username) or ":" in username or _CONTROL.search(username):
        raise unreadable(where, "has a user name that is empty or holds ':' or control characters", hint=hint)
    return UserPassword(username, Secret(password))


def usable(stored: Stored, where: str, *, hint: str = "") -> Stored:
    """Return a stored credential. Raises Failed(credential_unreadable): it is empty."""
    problem = empty_login(stored)
    if problem is not None:
        raise unreadable(where, problem, hint=hint)
    return stored


def not_stored(what: str, looked: Sequence[str], *, setup: str) -> Failed:
    """Say that nothing is stored where a rule points.

    Args:
        what: such as ``no login for 'files.example'``.
        looked: what was found at each place instead.
        setup: what a person does about it.
    """
    places = f": {'; '.join(looked)}" if looked else ""
    return unreadable(what, f"is stored where its rule points{places}", hint=setup)


def another_place(key: str) -> str:
    """How to store a secret for a rule whose ``key`` names the place."""
    return f"add it there, or name another place in its [[host]]: {key} = {{ source = ... }}"


def unreadable(where: str, problem: str, *, hint: str = "") -> Failed:
    """Name a stored credential that was found but is broken."""
    return failed(Code.CREDENTIAL_UNREADABLE, f"{where} {problem}", hint=hint)


def locked(where: str, problem: str) -> Failed:
    """Name a secret that a keyring keeps to itself, or does not take."""
    return unreadable(where, problem, hint=UNLOCK)
