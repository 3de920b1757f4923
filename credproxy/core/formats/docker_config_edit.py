"""Docker's configuration with a login more or less, as ``docker login`` and ``docker logout`` leave it.

Whatever else stands in the file stays, what credproxy does not know included; only white space changes, as with docker.
Source: docker/cli cli/config/configfile/file.go, SaveToWriter.
"""

import base64

import msgspec

from credproxy.core.ask.credential import IdentityToken, PlainSecret, RegistryToken, Stored
from credproxy.core.ask.docker_hub import HUB_KEY
from credproxy.core.ask.stored import unreadable
from credproxy.core.formats.docker_keys import canonical_key
from credproxy.core.formats.go_json import broken_line
from credproxy.core.unreadable_json import UNREADABLE


_Members = dict[str, msgspec.Raw]


def with_entry(content: bytes, name: str, *, entry: dict[str, str], where: str) -> bytes:
    """Put an entry into ``auths`` in the place of every one for the registry.

    Args:
        content: of the file; empty for none.
        name: canonical name of the registry, with its path.
        entry: see ``entry_of``; empty for "look in the store".
        where: names the file, for a message.

    Raises:
        Failed(credential_unreadable): it is not the JSON of a docker configuration.
    """
    file, auths, member = _opened(content, where)
    kept = {key: value for key, value in auths.items() if canonical_key(key) != name}
    return _written(file, member, {**kept, docker_key(name): msgspec.Raw(msgspec.json.encode(entry))})


def without_entry(content: bytes, name: str, *, where: str) -> bytes | None:
    """Take every entry of a registry out; None if there is none. Raises as ``with_entry``."""
    file, auths, member = _opened(content, where)
    kept = {key: value for key, value in auths.items() if canonical_key(key) != name}
    return None if len(kept) == len(auths) else _written(file, member, kept)


def entry_of(stored: Stored) -> dict[str, str]:
    """Write a login as docker does."""
    match stored:
        case IdentityToken(token, username):
            return {"auth": _auth(username, ""), "identitytoken": token.reveal()}
        case RegistryToken(token) | PlainSecret(token):
            return {"registrytoken": token.reveal()}
        case _:
            return {"auth": _auth(stored.username, stored.password.reveal())}


def docker_key(name: str) -> str:
    """How docker writes the key of a registry."""
    return HUB_KEY if name == "docker.io" else name


def _auth(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _opened(content: bytes, where: str) -> tuple[_Members, _Members, str]:
    """The members of the file, those of ``auths``, and how that is spelled: Go takes any case."""
    try:
        content = content.removeprefix(b"\xef\xbb\xbf")
        file = msgspec.json.decode(content, type=_Members | None) or {} if content.strip() else {}
        member = next((name for name in file if name.lower() == "auths"), "auths")
        auths = msgspec.json.decode(file.get(member, msgspec.Raw(b"null")), type=_Members | None) or {}
    except UNREADABLE as error:
        line = broken_line(content, error)
        said = "is not the JSON of a docker configuration" + (f": {line}" if line else "")
        raise unreadable(where, said, hint="correct it with an editor, or move it away") from None
    return file, auths, member


def _written(file: _Members, member: str, auths: _Members) -> bytes:
    """The file again, indented with tabs as docker has it."""
    encoded = msgspec.json.encode({**file, member: msgspec.Raw(msgspec.json.encode(auths))})
    lines = msgspec.json.format(encoded, indent=1).split(b"\n")
    return b"\n".join(b"\t" * (len(line) - len(rest := line.lstrip(b" "))) + rest for line in lines) + b"\n"
