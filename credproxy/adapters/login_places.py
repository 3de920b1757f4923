"""Where ``credproxy login`` stores a login, and ``logout`` deletes it: each place is changed in one step, or not at all.

All changes are made under one lock (``replaced_file.exclusively``), so that there is one writer at a time.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from credproxy.adapters.directories import make_folders
from credproxy.adapters.login_programs import encrypted
from credproxy.adapters.replaced_file import change_file, exclusively, replace_file
from credproxy.adapters.secret_service import NoKeyringError
from credproxy.adapters.writable_keyring import WritableKeyring
from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Failed
from credproxy.core.formats.login_file import (
    EMPTY,
    LoginIndex,
    SecretKept,
    StoredLogin,
    apart,
    apart_folder,
    attributes_of,
    kept_apart,
    label_of,
    parse_logins,
    service_of,
)


class LoginPlace(Protocol):
    """A place where a login is stored."""

    @property
    def name(self) -> str:
        """The name shown to people, such as ``the keyring``."""
        ...

    @property
    def warning(self) -> str:
        """What the user should know about it; "" for nothing."""
        ...

    def put(self, username: str, secret: Secret) -> None:
        """Store a login, replacing the one that is there. Raises Failed, OSError, and what the keyring raises."""
        ...

    def remove(self) -> str:
        """Delete the login; give the name of what it was deleted from, "" if there was none. Raises the same as ``put``."""
        ...


@dataclass(frozen=True)
class LoginsFile:
    """The file of logins, with the secret in it or elsewhere. Source: core/formats/login_file.py.

    Attributes:
        path: of the file.
        key: of the login.
        kept: where the secret is stored.
        keyring: holds the secret, or held it before.
        uid: of the user for whom it is encrypted.
        rotates: whether the secret changes by being used, and is kept apart.
    """

    path: Path
    key: str
    kept: SecretKept
    keyring: WritableKeyring
    uid: int
    rotates: bool = False

    @property
    def name(self) -> str:
        """The name of the place of the secret."""
        return self._named(self.kept)

    @property
    def warning(self) -> str:
        """The warning for a plain-text file."""
        what = "refresh token" if self.rotates else "password"
        return f"the {what} is stored unencrypted in {self._named('file')}" if self.kept == "file" else ""

    def put(self, username: str, secret: Secret) -> None:
        """Store the secret, and then the entry that points to it: if killed in between, the old login stays in force."""
        sealed = encrypted(self.key, secret, uid=self.uid) if self.kept == "systemd-creds" else ""
        if self.kept == "keyring":
            self.keyring.store(attributes_of(self.key, username), label_of(self.key), secret=secret)
        plain = secret.reveal() if self.kept == "file" else ""
        entry = StoredLogin(self.kept, secrets.token_hex(8), username, plain, sealed, self.rotates)
        try:
            before = self._change(self._apart(entry) if self.rotates else entry)
        except BaseException:
            self._undo(entry)
            raise
        if before is not None and before.kept == "keyring" and (self.kept, username) != ("keyring", before.username):
            self._erase({"service": service_of(self.key), "username": before.username})

    def remove(self) -> str:
        """Delete the secret, and then the entry that points to it: if killed in between, the user can log out again."""
        erased = self._erase({"service": service_of(self.key)})
        before = self._change(None)
        if before is None:
            return self._named("keyring") if erased else ""
        return self._named(before.kept)

    def _named(self, kept: SecretKept) -> str:
        path = apart_folder(str(self.path)) if self.rotates else str(self.path)
        return {"keyring": "the keyring", "systemd-creds": f"{path}, encrypted", "file": path}[kept]

    def _undo(self, entry: StoredLogin) -> None:
        """Delete a secret that nothing points to."""
        Path(apart(str(self.path), entry)).unlink(missing_ok=True)
        with suppress(Failed, OSError):
            content = self.path.read_bytes() if self.path.exists() else b""
            there = parse_logins(content, str(self.path)).logins.get(self.key)
            if self.kept == "keyring" and (
                there is None or (there.kept, there.username) != ("keyring", entry.username)
            ):
                self._erase(attributes_of(self.key, entry.username))

    def _apart(self, entry: StoredLogin) -> StoredLogin:
        """Put what changes into a file of its own, or make the place for the lock of one that is in the keyring."""
        place = Path(apart(str(self.path), entry))
        make_folders(place.parent, 0o700)
        if self.kept != "keyring":
            replace_file(place, (entry.sealed or f"{entry.secret}\n").encode())
        return replace(entry, secret="", sealed="")

    def _tidy(self, logins: LoginIndex) -> None:
        """Delete the separate files of logins that no longer exist, or that were never finished."""
        wanted = kept_apart(str(self.path), logins)
        for place in Path(apart_folder(str(self.path))).glob("*"):
            if str(place) not in wanted:
                place.unlink(missing_ok=True)

    def _change(self, entry: StoredLogin | None) -> StoredLogin | None:
        """Put the entry into the file, or remove it; give the previous one."""
        before, after = EMPTY, EMPTY

        def change(content: bytes) -> bytes | None:
            nonlocal before, after
            before = parse_logins(content, f"the file of logins {str(self.path)!r}")
            after = before.without(self.key) if entry is None else before.with_login(self.key, entry)
            return None if after == before else after.encoded()

        if entry is not None or self.path.exists():
            change_file(self.path, change)
        self._tidy(after)
        return before.logins.get(self.key)

    def _erase(self, attributes: Mapping[str, str]) -> int:
        try:
            return self.keyring.erase(attributes)
        except NoKeyringError:
            return 0


@dataclass(frozen=True)
class NamedKeyring:
    """The keyring secret that a rule names.

    Attributes:
        service, username: as in the rule.
    """

    service: str
    username: str | None
    keyring: WritableKeyring
    name: str = "the keyring"
    warning: str = ""

    def put(self, username: str, secret: Secret) -> None:
        """Store the secret under the user name of the rule, else under the one that was typed."""
        attributes = {"service": self.service, "username": self.username or username}
        self.keyring.store(attributes, f"credproxy login for {self.service}", secret=secret)

    def remove(self) -> str:
        """Delete the secret."""
        user = {} if self.username is None else {"username": self.username}
        return self.name if self.keyring.erase({"service": self.service, **user}) else ""


@dataclass(frozen=True)
class NamedFile:
    """The file that a rule names."""

    path: Path

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self.path)

    @property
    def warning(self) -> str:
        """The warning for a plain-text file."""
        return f"it is stored unencrypted in {self.path}"

    def put(self, username: str, secret: Secret) -> None:
        """Write the secret; the user name is in the rule. A daemon that is renewing the old secret comes first."""
        del username
        with exclusively(self.path):
            change_file(self.path, lambda _: secret.reveal().encode() + b"\n")

    def remove(self) -> str:
        """Delete the file."""
        try:
            self.path.resolve().unlink()
        except FileNotFoundError:
            return ""
        return self.name
