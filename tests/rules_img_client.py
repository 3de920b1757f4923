"""How rules_img's ``img`` reads a helper's answer about a registry.

Everything that it does not understand silently makes it anonymous; it has no other way to fail.
Source: docs/design/clients.md#the-img-client; SC-18; rules_img ``credentialhelper.go``.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Anonymous:
    """The next keychain is asked; after the last one it is anonymous."""


@dataclass(frozen=True)
class Basic:
    """``img`` runs the exchange itself, with this login."""

    username: str
    password: str


@dataclass(frozen=True)
class RegistryToken:
    """Sent as it is, for every repository of this process."""

    token: str


Credential = Anonymous | Basic | RegistryToken

# Go's RFC 3339 parser: real calendar fields, a fraction is fine, the offset has its colon.
_RFC3339 = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.,][0-9]+)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-4]):[0-5][0-9])"
)


def read(stdout: bytes, status: int = 0) -> Credential:
    """The credential that ``img`` takes from a helper that ended with ``status``."""
    if status != 0:
        return Anonymous()
    try:
        answer: object = json.loads(stdout)
    except ValueError:
        return Anonymous()
    value = _authorization(answer)
    return Anonymous() if value is None else _credential(value)


def _authorization(answer: object) -> str | None:
    """The first value of ``Authorization``: Go matches struct members in any case, but map keys exactly."""
    if not isinstance(answer, dict):
        return None
    members = {name.lower(): value for name, value in answer.items()}
    headers, expires = members.get("headers"), members.get("expires")
    if not isinstance(headers, dict) or not all(_is_strings(values) for values in headers.values()):
        return None
    if expires is not None and not (isinstance(expires, str) and _RFC3339.fullmatch(expires)):
        return None
    values = headers.get("Authorization")
    return values[0] or "" if values else None


def _is_strings(values: object) -> bool:
    if values is None:
        return True
    return isinstance(values, list) and all(item is None or isinstance(item, str) for item in values)


def _credential(value: str) -> Credential:
    scheme, _, rest = value.partition(" ")
    if scheme == "Bearer" and rest:
        return RegistryToken(rest)
    if scheme != "Basic":
        return Anonymous()
    try:
        username, colon, password = base64.b64decode(rest, validate=True).decode(errors="replace").partition(":")
    except binascii.Error:
        return Anonymous()
    return Basic(username, password) if colon else Anonymous()
