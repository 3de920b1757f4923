"""``docker-credential-NAME``: which names may be started, what such a program prints, and what to do about it.

Source: docker-credential-helpers, credentials/credentials.go.
"""

import re
from shlex import quote
from typing import Final

import msgspec

from credproxy.core.ask.credential import Stored
from credproxy.core.ask.stored import login, unreadable
from credproxy.core.errors import Failed
from credproxy.core.formats.docker_keys import canonical_key, login_again
from credproxy.core.formats.go_json import as_go_reads, with_names
from credproxy.core.unreadable_json import UNREADABLE


_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


NOT_FOUND: Final = b"credentials not found in native keychain"
"""All that a program prints that has no login."""


def broken_helper(key: str, where: str) -> Failed:
    """Say that ``credHelpers`` names no program for a registry."""
    return unreadable(
        f"the entry {key!r} in 'credHelpers' of {where}",
        "is not the name of a program",
        hint=f'write "{key}": "NAME", for docker-credential-NAME, or remove it',
    )


def is_program(name: str) -> bool:
    """Whether ``docker-credential-NAME`` may be started: it must be a name, never a path."""
    return _PROGRAM.fullmatch(name) is not None


def unusable_program(name: str, where: str) -> Failed:
    """Say that what a file names is not the name of a program."""
    return unreadable(
        f"the credential program name {name!r} in {where}",
        "cannot be used",
        hint=f"write the NAME of docker-credential-NAME, of letters, digits, '.', '_' and '-', in the place of {name!r}",
    )


def install_program(name: str, path: str) -> str:
    """The hint if ``docker-credential-NAME``, which the file at ``path`` names, is not found."""
    program = f"docker-credential-{name}"
    return (
        f"install {program}, or take {name!r} out of {path}; "
        f"where it is installed, name its folder in helper_path, then: credproxy reload"
    )


def from_helper(output: bytes, program: str, *, key: str) -> Stored:
    """Give what ``docker-credential-<program> get`` printed (DC-14, DC-15).

    Raises:
        Failed(credential_unreadable): not a JSON object with ``Username`` and ``Secret``.
    """
    place = f"the answer of 'docker-credential-{program}'"
    by_hand = f"see what it says: echo {quote(key)} | docker-credential-{program} get"
    try:
        found = msgspec.json.decode(with_names(output, ("Username", "Secret")), type=_StoreReply)
    except UNREADABLE:
        raise unreadable(place, "is not the JSON of the docker helper protocol", hint=by_hand) from None
    if not found.secret:
        raise unreadable(place, "holds an empty secret", hint=login_again(key))
    return login(found.username, found.secret, where=place, hint=login_again(key))


class _StoreReply(msgspec.Struct, frozen=True):
    username: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")


def listed(output: bytes) -> frozenset[str] | None:
    """Give the canonical authorities that ``docker-credential-<program> list`` printed; None if it is not such a list."""
    try:
        found = msgspec.json.decode(as_go_reads(output), type=dict[str, str])
    except UNREADABLE:
        return None
    return frozenset(name for name in map(canonical_key, found) if name is not None)
