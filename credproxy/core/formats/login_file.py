"""The file of what ``credproxy login`` has stored: which logins there are, where the secret of each lies, and some secrets.

One file, so that one rename puts a login in place or takes it away. By host, ``host:port`` or either with a path::

    {"logins": {"ghcr.io": {"username": "u", "kept": "keyring", "id": "4f1c..."}}}

A secret that changes by being used is kept apart, in a file that is named by the id of its login: the file of logins is then
not written for each change, and two such secrets do not wait for one another.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import unquote

import msgspec

from credproxy.core.ask.docker_hub import HUB_KEY, login_name
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.ask.urls import leads_elsewhere
from credproxy.core.formats.go_json import broken_line
from credproxy.core.unreadable_json import UNREADABLE


SecretKept = Literal["keyring", "systemd-creds", "file"]
"""Where a secret lies: in the keyring, encrypted for this machine in the file, or as it is in the file."""

KEYRING_SERVICE = "credproxy"
"""What the service of a secret in the keyring begins with."""


class StoredLogin(msgspec.Struct, frozen=True, omit_defaults=True):
    """One login.

    Attributes:
        kept: see SecretKept.
        id: another one each time that it is stored.
        username: "" for a secret without one.
        secret: where ``kept`` is ``file``.
        sealed: what ``systemd-creds encrypt`` made of the secret, where that keeps it.
        rotates: whether the secret changes by being used. What would stand in ``secret`` or ``sealed`` is then kept apart:
            see ``apart``.
    """

    kept: SecretKept
    id: str
    username: str = ""
    secret: str = ""
    sealed: str = ""
    rotates: bool = False

    def __repr__(self) -> str:
        return f"StoredLogin(kept={self.kept!r}, username={self.username!r})"


class LoginIndex(msgspec.Struct, frozen=True):
    """All of them, by canonical name."""

    logins: dict[str, StoredLogin] = msgspec.field(default_factory=dict)

    def find(self, name: str, path: str, *, fold: bool = False) -> tuple[str, StoredLogin] | None:
        """Give the login for a place with the key that it stands under: the longest path counts.

        None as well for a path that leads elsewhere by dots, if there are logins for paths of the host: which of them is meant
        would depend on the reader.

        Args:
            name: as ``login_name`` gives it.
            path: a repository, or the path of a URL; "" for none.
            fold: its server ignores the case of paths.
        """
        below = [key for key in self.logins if key.startswith(f"{name}/")]
        if below and leads_elsewhere(path):
            return None
        known = {_spelt(key, fold=fold): key for key in below}
        known |= {_spelt(name, fold=fold): name} if name in self.logins else {}
        key = next((known[one] for one in _hierarchy(name, path, fold=fold) if one in known), None)
        return None if key is None else (key, self.logins[key])

    def with_login(self, key: str, login: StoredLogin) -> "LoginIndex":
        """The same with one more, or another one in its place."""
        return LoginIndex({**self.logins, key: login})

    def without(self, key: str) -> "LoginIndex":
        """The same without one."""
        return LoginIndex({name: login for name, login in self.logins.items() if name != key})

    def encoded(self) -> bytes:
        """The content of the file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


EMPTY = LoginIndex()

_NUMBER = re.compile(r"[0-9a-f]{1,64}")
"""An id that names a file."""

_WRITTEN_BY_OTHERS = "move it away, and log in again: credproxy login HOST"
_PATH = re.compile(r"(?:(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@%-]+(?:/|$))*")
"""What a path below a host may be: no empty segment, none of dots alone, no query."""


def parse_logins(content: bytes, where: str) -> LoginIndex:
    """Read it. Raises Failed(credential_unreadable): somebody else wrote it."""
    try:
        found = msgspec.json.decode(content, type=LoginIndex) if content.strip() else EMPTY
    except UNREADABLE as error:
        line = broken_line(content, error)
        said = "is not what credproxy login writes" + (f": {line}" if line else "")
        raise unreadable(where, said, hint=_WRITTEN_BY_OTHERS) from None
    if any(login.rotates and _NUMBER.fullmatch(login.id) is None for login in found.logins.values()):
        raise unreadable(where, "is not what credproxy login writes", hint=_WRITTEN_BY_OTHERS)
    return found


def apart_folder(path: str) -> str:
    """The folder of secrets that are kept apart, beside the file of logins at ``path``."""
    return path.removesuffix(".json") + ".d"


def apart(path: str, login: StoredLogin) -> str:
    """The file of one such secret, beside the file of logins at ``path``."""
    return f"{apart_folder(path)}/{login.id}"


def apart_lock(path: str, key: str) -> str:
    """The lock file for using such a secret, wherever the secret is kept; named so that every key can be a file name."""
    return f"{apart_folder(path)}/.{hashlib.sha256(key.encode()).hexdigest()[:32]}.lock"


def kept_apart(path: str, index: LoginIndex) -> frozenset[str]:
    """All files that belong into that folder: secrets, what is being written in their place, and locks."""
    logins = {key: login for key, login in index.logins.items() if login.rotates}
    names = (name for login in logins.values() for name in (login.id, f".{login.id}.new"))
    return frozenset([*(f"{apart_folder(path)}/{name}" for name in names), *(apart_lock(path, key) for key in logins)])


def login_key(text: str) -> str | None:
    """The canonical key of what somebody typed: ``HOST[:PORT][/PATH]``, also as a URL; None for what names no place."""
    if text == HUB_KEY:
        return "docker.io"
    scheme, _, rest = text.rpartition("://")
    host, _, path = rest.partition("/")
    authority = canonical_authority(host, "http" if scheme.lower() == "http" else "https")
    path = path.removesuffix("/")
    if authority is None or scheme.lower() not in {"", "http", "https"} or not _PATH.fullmatch(path):
        return None
    return login_name(authority) + (f"/{path}" if path else "")


def service_of(key: str) -> str:
    """The service under which the keyring has the secret of a login."""
    return f"{KEYRING_SERVICE}:{key}"


def label_of(key: str) -> str:
    """What a person sees of it in the keyring."""
    return f"credproxy login for {key}"


def sealed_name(key: str) -> str:
    """The name that a secret is bound to when it is encrypted, so that it cannot stand under another key.

    Source: systemd-creds(1), credential_name_valid().
    """
    return "credproxy-" + re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", key)


def attributes_of(key: str, username: str) -> Mapping[str, str]:
    """The attributes by which the keyring finds the secret."""
    return {"service": service_of(key), "username": username}


def _spelt(text: str, *, fold: bool) -> str:
    return unquote(text).casefold() if fold else unquote(text)


def _hierarchy(name: str, path: str, *, fold: bool) -> Iterator[str]:
    """``host/a/b``, ``host/a``, ``host``: whole segments only, decoded."""
    parts = [_spelt(part, fold=fold) for part in path.split("/") if part]
    for count in range(len(parts), -1, -1):
        yield "/".join([name, *parts[:count]])
