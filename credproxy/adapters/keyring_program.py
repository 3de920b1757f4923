"""Asks the keyring of macOS or Windows for one secret: a program of its own, which a library may block or crash.

``{"service", "username"}`` on standard input, ``{"username", "secret"}`` or ``{"absent"}`` on standard output.
"""

import json
import sys
from typing import Protocol


NATIVE = ("keyring.backends.macOS", "keyring.backends.Windows")
"""The only ones that are asked: what somebody configured besides may be a file of plain text."""


class KeyringLogin(Protocol):
    """A login, as the library has it."""

    username: str
    password: str


class KeyringBackend(Protocol):
    """What of the library's is used."""

    def get_credential(self, service: str, username: str | None) -> KeyringLogin | None:
        """Give a login of a service: of that user, or of the only one."""
        ...


def native(module: str) -> bool:
    """Whether a backend is the system's own."""
    return module.startswith(NATIVE)


def answer(question: bytes, backend: KeyringBackend) -> dict[str, str | None]:
    """Ask."""
    wanted = json.loads(question)
    found = backend.get_credential(wanted["service"], wanted["username"])
    return {"secret": None} if found is None else {"username": found.username, "secret": found.password}


def main() -> None:
    """Read the question, print the answer."""
    question = sys.stdin.buffer.read()
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  it may be missing, which is an answer
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
