"""Where ``credproxy login`` stores a login, and ``logout`` deletes it: each place is changed in one step, or not at all.

All changes are made under one lock (``replaced_file.exclusively``), so that there is one writer at a time.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from credproxy.adapters.replaced_file import change_file
from credproxy.adapters.secret_service import NoKeyringError
from credproxy.adapters.writable_keyring import WritableKeyring
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.stored import login
from credproxy.core.errors import Code, failed
from credproxy.core.formats.docker_config import parse_index
from credproxy.core.formats.docker_config_edit import docker_key, entry_of, with_entry, without_entry
from credproxy.core.formats.login_file import (
    SecretKept,
    StoredLogin,
    attributes_of,
    parse_logins,
    sealed_name,
    service_of,
)


_TIMEOUT = 30.0
"""Seconds for a program, which may wait for the user."""

_NOT_FOUND = b"credentials not found in native keychain"


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
    """

    path: Path
    key: str
    kept: SecretKept
    keyring: WritableKeyring
    uid: int

    @property
    def name(self) -> str:
        """The name of the place of the secret."""
        return self._named(self.kept)

    @property
    def warning(self) -> str:
        """The warning for a plain-text file."""
        return f"the password is stored unencrypted in {self.path}" if self.kept == "file" else ""

    def put(self, username: str, secret: Secret) -> None:
        """Store the secret, and then the entry that points to it: if killed in between, the old login stays in force."""
        sealed = _encrypted(self.key, secret, self.uid) if self.kept == "systemd-creds" else ""
        if self.kept == "keyring":
            label = f"credproxy login for {self.key}"
            self.keyring.store(attributes_of(self.key, username), label, secret=secret)
        plain = secret.reveal() if self.kept == "file" else ""
        entry = StoredLogin(self.kept, secrets.token_hex(8), username, plain, sealed)
        before = self._change(entry)
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
        return {"keyring": "the keyring", "systemd-creds": f"{self.path}, encrypted", "file": str(self.path)}[kept]

    def _change(self, entry: StoredLogin | None) -> StoredLogin | None:
        """Put the entry into the file, or remove it; give the previous one."""
        found: list[StoredLogin | None] = [None]

        def change(content: bytes) -> bytes | None:
            logins = parse_logins(content, f"the file of logins {str(self.path)!r}")
            found[0] = logins.logins.get(self.key)
            if entry is None and found[0] is None:
                return None
            return (logins.without(self.key) if entry is None else logins.with_login(self.key, entry)).encoded()

        if entry is not None or self.path.exists():
            change_file(self.path, change)
        return found[0]

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
        """Write the secret; the user name is in the rule."""
        del username
        change_file(self.path, lambda _: secret.reveal().encode() + b"\n")

    def remove(self) -> str:
        """Delete the file."""
        try:
            self.path.resolve().unlink()
        except FileNotFoundError:
            return ""
        return self.name


@dataclass(frozen=True)
class DockerLogins:
    """Docker's configuration, or the program that it names for the registry, as used by ``docker login``.

    Attributes:
        path: of the file.
        key: canonical name of the registry, with its path.
        which: finds a program on the path of the configuration.
    """

    path: Path
    key: str
    which: Callable[[str], str | None]

    @property
    def program(self) -> str:
        """The NAME of the ``docker-credential-NAME`` that stores the login; "" if the file itself does."""
        content = self.path.read_bytes() if self.path.exists() else b""
        index = parse_index(content, self._where)
        return index.helpers.get(self.key.partition("/")[0], ("", index.store))[1]

    @property
    def name(self) -> str:
        """The path of the file, or the name of the program."""
        return f"docker-credential-{self.program}" if self.program else str(self.path)

    @property
    def warning(self) -> str:
        """The same warning as docker's."""
        return "" if self.program else f"your password is stored unencrypted in {self.path}"

    def put(self, username: str, secret: Secret) -> None:
        """Store the login; a program stores it for the whole registry."""
        program, entry = self.program, entry_of(login(username, secret.reveal(), where=self._where))
        if program:
            told = {"ServerURL": self._server, "Username": username, "Secret": secret.reveal()}
            self._run(program, "store", json.dumps(told).encode())
            entry = {}
        change_file(self.path, lambda content: with_entry(content, self.key, entry=entry, where=self._where))

    def remove(self) -> str:
        """Delete the login."""
        if not self.path.exists():
            return ""
        program, name = self.program, self.name
        had = bool(program) and self._run(program, "get", self._server.encode()) is not None
        if had:
            self._run(program, "erase", self._server.encode())
        changed = change_file(self.path, lambda content: without_entry(content, self.key, where=self._where))
        return name if changed or had else ""

    @property
    def _server(self) -> str:
        return docker_key(self.key.partition("/")[0])

    @property
    def _where(self) -> str:
        return f"the docker configuration {str(self.path)!r}"

    def _run(self, program: str, verb: str, said: bytes) -> bytes | None:
        """Run the program; None if it says that it has no login."""
        name = f"docker-credential-{program}"
        place = self.which(name)
        if place is None:
            raise failed(
                Code.HELPER_NOT_RUNNABLE,
                f"{name!r} is not installed, which {self._where} names",
                hint=f"install it, or take {program!r} out of {self.path}",
            )
        done = _run([place, verb], said)
        if done.returncode == 0:
            return done.stdout
        if done.stdout.strip() == _NOT_FOUND:
            return None
        # Its output of a "store" may quote what it was given.
        what = done.stdout.decode("utf-8", "replace").strip()[:200] if verb != "store" else "see what it needs"
        raise failed(Code.HELPER_FAILED, f"{name!r} refuses: {what}", hint=f"run it by hand: {name} list")


def _encrypted(key: str, secret: Secret, uid: int) -> str:
    """Encrypt for this machine, and for this user unless that is root."""
    user = ["--user"] if uid else []
    try:
        done = _run(
            ["systemd-creds", "encrypt", *user, f"--name={sealed_name(key)}", "-", "-"], secret.reveal().encode()
        )
    except OSError:
        raise failed(
            Code.HELPER_NOT_RUNNABLE, "systemd-creds is not installed", hint="log in with --store file"
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-200:]
        raise failed(
            Code.HELPER_FAILED,
            f"systemd-creds does not encrypt: {said}",
            hint="users need systemd 256 for it; else: --store file",
        )
    return done.stdout.decode("ascii")


def _run(argv: list[str], said: bytes) -> "subprocess.CompletedProcess[bytes]":
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(argv, input=said, capture_output=True, env=environ, timeout=_TIMEOUT, check=False)  # noqa: S603  docker's configuration, or this file, names it
    except subprocess.TimeoutExpired:
        raise failed(
            Code.HELPER_FAILED, f"{argv[0]!r} has not answered for {_TIMEOUT:g} s", hint=f"run it by hand: {argv[0]}"
        ) from None
