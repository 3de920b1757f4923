"""Asks the keyring of macOS or Windows for one secret, or stores one, in a separate process: the library may block or crash.

``{"service", "username"}`` on standard input, ``{"username", "secret"}`` or ``{"absent"}`` on standard output; a ``secret`` in
the question is stored.
"""

import json
import sys
from typing import Protocol


NATIVE = ("keyring.backends.macOS", "keyring.backends.Windows")
"""The only backends that are asked: another one that somebody configured may be a plain-text file."""


class KeyringLogin(Protocol):
    """A login as the library returns it."""

    username: str
    password: str


class KeyringBackend(Protocol):
    """The methods of a library backend that are used."""

    def get_credential(self, service: str, username: str | None) -> KeyringLogin | None:
        """Give a login of a service: of the named user, or the only one."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store one, in the place of one that is there."""
        ...


def native(module: str) -> bool:
    """Whether a backend is the operating system's own."""
    return module.startswith(NATIVE)


def answer(question: bytes, backend: KeyringBackend) -> dict[str, str | None]:
    """Search the keyring, or store, as the question says, and give the answer."""
    wanted = json.loads(question)
    if "secret" in wanted:
        backend.set_password(wanted["service"], wanted["username"], wanted["secret"])
        return {}
    found = backend.get_credential(wanted["service"], wanted["username"])
    return {"secret": None} if found is None else {"username": found.username, "secret": found.password}


def main() -> None:
    """Read the question, print the answer."""
    question = sys.stdin.buffer.read()
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  it may be missing
    except ImportError:
        told: dict[str, str | None] = {"absent": "library"}
    else:
        backend = keyring.get_keyring()
        module = type(backend).__module__
        told = (
            answer(question, backend) if native(module) else {"absent": f"{module} is not the keyring of this system"}
        )
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
