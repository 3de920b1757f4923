"""Access keys, with which requests are signed, as sources hold them.

A login with a user name is one, the name being the key's id; so is an object of JSON in one of these forms::

    {"AccessKeyId": ..., "SecretAccessKey": ..., "SessionToken": ..., "Expiration": ...}    credential_process, STS, metadata
    {"access_key": ..., "secret_key": ..., "session_token": ...}                            Vault's secrets engine for AWS
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword, secret_of
from credproxy.core.ask.stored import unreadable
from credproxy.core.unreadable_json import UNREADABLE


HINT = 'store an access key there: a login with its id for a name, or {"AccessKeyId": ..., "SecretAccessKey": ...}'

_IDS: Final = ("AccessKeyId", "access_key")
_SECRETS: Final = ("SecretAccessKey", "secret_key")
_TOKENS: Final = ("SessionToken", "Token", "session_token", "security_token")


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """One access key; ``session_token`` goes with those that are temporary."""

    key_id: str
    secret: Secret
    session_token: Secret | None = None


def aws_keys(stored: Stored, name: str) -> AwsKeys:
    """Read the access key that a source holds.

    Args:
        stored: what it gave.
        name: of the stored secret, for messages.

    Raises:
        Failed(credential_unreadable): it is none, or one that no header can carry.
    """
    if isinstance(stored, UserPassword):
        keys = AwsKeys(stored.username, stored.password)
    else:
        found = _fields(stored)
        key_id, secret, token = (_first(found, names) for names in (_IDS, _SECRETS, _TOKENS))
        keys = AwsKeys(key_id, Secret(secret), Secret(token) if token else None)
    texts = (keys.key_id, keys.secret.reveal(), "" if keys.session_token is None else keys.session_token.reveal())
    if not keys.key_id or not keys.secret:
        raise unreadable(f"the secret {name!r}", "is not an access key: an id and a secret", hint=HINT)
    if not all(text.isascii() and text.isprintable() and " " not in text for text in texts):
        raise unreadable(f"the access key {name!r}", "holds characters that no access key has", hint=HINT)
    return keys


def stored_keys(keys: AwsKeys) -> PlainSecret:
    """An access key as sources hold it: what ``aws_keys`` reads."""
    found = {"AccessKeyId": keys.key_id, "SecretAccessKey": keys.secret.reveal()}
    if keys.session_token is not None:
        found["SessionToken"] = keys.session_token.reveal()
    return PlainSecret(Secret(msgspec.json.encode(found).decode()))


def _fields(stored: Stored) -> Mapping[str, object]:
    if not isinstance(stored, PlainSecret):
        return {}
    try:
        found: object = msgspec.json.decode(secret_of(stored).reveal())
    except UNREADABLE:  # whose text may quote the secret
        return {}
    return found if isinstance(found, dict) else {}


def _first(found: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((value for name in names if isinstance(value := found.get(name), str) and value), "")
