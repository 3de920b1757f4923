"""Docker's and podman's configuration files: which entry answers for a registry, and what it holds.

Source: DC-2, DC-5 to DC-13; containers-auth.json(5); docker/cli cli/config.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from credproxy.core.ask.credential import IdentityToken, RegistryToken, Secret, Stored
from credproxy.core.ask.docker_hub import HUB_KEY, is_hub, login_name
from credproxy.core.ask.names import Authority, RepositoryName, without_port
from credproxy.core.ask.stored import login, unreadable
from credproxy.core.formats.docker_keys import canonical_key, hierarchy, login_again
from credproxy.core.formats.go_json import REPLACEMENT, as_go_reads, broken_line, with_names
from credproxy.core.unreadable_json import UNREADABLE


_MEMBER = re.compile(r"at `\$\.(auths|credHelpers|credsStore)`")
_HINT = "correct it with an editor, or move it away and log in again with docker login"


_NAMES = ("auths", "credHelpers", "credsStore", "auth", "username", "password", "identitytoken", "registrytoken")


class _Auth(msgspec.Struct, frozen=True):
    """One entry; ``null`` is "not set", as in docker's own reader."""

    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None

    @property
    def empty(self) -> bool:
        return not any(self._texts)

    @property
    def legible(self) -> bool:
        """Whether no part of it was lost: a server would refuse what docker sends of a damaged one."""
        return not any(text and REPLACEMENT in text for text in self._texts)

    @property
    def _texts(self) -> tuple[str | None, ...]:
        return self.auth, self.username, self.password, self.identitytoken, self.registrytoken


class _ConfigDocument(msgspec.Struct, frozen=True):
    """A file whose entries are still JSON, so that one that cannot be read does not affect the others."""

    auths: dict[str, msgspec.Raw] | None = None
    cred_helpers: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="credHelpers")
    creds_store: str | None = msgspec.field(default=None, name="credsStore")


class _StrictAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    auth: str


class _Inline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    auths: dict[str, _StrictAuth]


@dataclass(frozen=True, slots=True)
class DockerEntry:
    """Where one registry's credential is in a file.

    Attributes:
        kind: ``auth`` for the file itself, ``helper`` for a program of its own, ``store`` for the common one, ``broken``
            for an entry that cannot be read.
        key: as written in the file; for a program, the server URL to ask it about.
        program: the ``<name>`` of ``docker-credential-<name>``.
    """

    kind: Literal["auth", "helper", "store", "broken"]
    key: str
    program: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """A file without its secrets, sufficient to choose an entry.

    Attributes:
        auths: canonical ``host[:port][/path]`` to the key as written.
        empty: those keys whose entry holds nothing: "look in the store" (DC-12).
        registry_tokens: those keys that hold a ``registrytoken``, which survives a helper (DC-5).
        helpers: canonical authority to (key as written, program); the program is "" if the entry cannot be read.
        store: the common program, "" for none.
    """

    auths: dict[str, str] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()
    registry_tokens: frozenset[str] = frozenset()
    helpers: dict[str, tuple[str, str]] = field(default_factory=dict)
    store: str = ""

    def find(self, authority: Authority, repository: RepositoryName | None) -> DockerEntry | None:
        """The entry for a repository of a registry; None if the file names neither.

        Strict order, no fall-through: a program of its own, the common program for what ``auths`` names, the file
        itself (DC-5, DC-8). A path-scoped key never answers for another path (DC-9).
        """
        canonical = login_name(authority)
        for name in hierarchy(canonical, repository):
            if name in self.auths and self.auths[name] in self.registry_tokens:
                return DockerEntry("auth", self.auths[name])
        helper = self.helpers.get(canonical)
        if helper is not None:
            return DockerEntry("helper" if helper[1] else "broken", *helper)
        for name in hierarchy(canonical, repository):
            # An empty entry means "look in the store"; without a store it means nothing, and the next source may know (DC-12).
            if name in self.auths and (self.store or self.auths[name] not in self.empty):
                return self.in_store(authority) or DockerEntry("auth", self.auths[name])
        return None

    def in_store(self, authority: str) -> DockerEntry | None:
        """The entry by which the common program is asked for a registry; None without such a program (DC-7: never a namespaced key)."""
        return DockerEntry("store", HUB_KEY if is_hub(authority) else authority, self.store) if self.store else None

    def lacks(self, authority: str) -> str:
        """Say that there is no login for a registry, and for what else on the same host there is one."""
        host = without_port(login_name(authority))
        named = {name for name in (*self.auths, *self.helpers) if without_port(name.partition("/")[0]) == host}
        near = sorted(named - {login_name(authority)})
        said = f"has no login for {authority!r}"
        if login_name(authority) in self.auths:
            said = f"has an entry for {authority!r} that is empty"
        if near:
            said += f", only for {', '.join(map(repr, near))}: port and path matter"
        return said

    def authorities(self) -> Iterator[str]:
        """Every registry with a login, canonical: an empty entry means "look in the store", and there may be no store."""
        named = [name for name, key in self.auths.items() if self.store or key not in self.empty]
        yield from dict.fromkeys([*(name.partition("/")[0] for name in named), *self.helpers])


def parse_index(content: bytes, where: str) -> Index:
    """Read a file, without keeping secrets.

    Raises:
        Failed(credential_unreadable): not the JSON of a docker configuration. An empty file is an empty configuration (DC-4).
    """
    file = _decode(content, where)
    entries = {key: _entry(raw) for key, raw in (file.auths or {}).items()}
    empty = frozenset(key for key, auth in entries.items() if auth is not None and auth.empty)
    auths: dict[str, str] = {}
    # Two spellings of one registry: an entry that holds something wins, then the plain spelling, which podman and newer
    # dockers write.
    for key in sorted(entries, key=lambda key: (key not in empty, key == canonical_key(key))):
        name = canonical_key(key)
        if name is not None:
            auths[name] = key
    helpers = {}
    for key, raw in (file.cred_helpers or {}).items():
        name, program = canonical_key(key), _text(raw)
        if name is not None and program != "":
            helpers[name] = (key, program or "")
    tokens = frozenset(key for key, auth in entries.items() if auth is not None and auth.registrytoken)
    return Index(auths, empty, tokens, helpers, file.creds_store or "")


def parse_inline(content: bytes) -> Index | None:
    """Read ``DOCKER_AUTH_CONFIG``: ``auths`` with ``auth`` and nothing else; None for anything else (DC-2)."""
    try:
        inline = msgspec.json.decode(with_names(as_go_reads(content), _NAMES), type=_Inline)
    except UNREADABLE:
        return None
    names = ((canonical_key(key), key) for key in inline.auths)
    return Index({name: key for name, key in names if name is not None})


def read_entry(content: bytes, key: str, *, where: str) -> Stored | None:
    """Give what an entry of the file holds; None for an empty one (DC-11, DC-12).

    Raises:
        Failed(credential_unreadable): the entry cannot be used; the message names file and key.
    """
    place = f"the entry {key!r} of {where}"
    raw = (_decode(content, where).auths or {}).get(key)
    if raw is None:
        return None
    auth = _entry(raw)
    if auth is None:
        raise unreadable(place, "is not what docker writes for a login", hint=login_again(key))
    if auth.empty:
        return None
    if auth.registrytoken:
        return RegistryToken(Secret(auth.registrytoken))
    pair = _pair(auth, place, login_again(key))
    if auth.identitytoken:
        if pair is None or not pair[1]:
            return IdentityToken(Secret(auth.identitytoken), pair[0] if pair else "")
        return IdentityToken(Secret(auth.identitytoken), pair[0], Secret(pair[1]))
    if pair is None:
        raise unreadable(place, "has a password without a user name", hint=login_again(key))
    return login(*pair, where=place, hint=login_again(key))


def _pair(auth: _Auth, place: str, hint: str) -> tuple[str, str] | None:
    """User and password; ``auth`` wins over the plain fields (DC-11)."""
    if not auth.auth:
        return (auth.username, auth.password or "") if auth.username else None
    try:
        # Unpadded base64 is common; a surplus of padding is ignored by the decoder.
        text = base64.b64decode(auth.auth + "==", validate=False).decode()
    except (binascii.Error, ValueError):
        raise unreadable(place, "has an 'auth' that is not base64 of UTF-8", hint=hint) from None
    username, colon, password = text.partition(":")
    if not colon:
        raise unreadable(place, "has an 'auth' without ':' between user name and password", hint=hint)
    if not username:
        raise unreadable(place, "has an 'auth' with an empty user name", hint=hint)
    return username, password.strip("\0")


def _decode(content: bytes, where: str) -> _ConfigDocument:
    text = with_names(as_go_reads(content.removeprefix(b"\xef\xbb\xbf")), _NAMES)
    if not text.strip():
        return _ConfigDocument()
    try:
        return msgspec.json.decode(text, type=_ConfigDocument | None) or _ConfigDocument()
    except UNREADABLE as error:
        # msgspec's text may quote the content; the position is enough to find it.
        raise unreadable(where, f"is not the JSON of a docker configuration{_place(text, error)}", hint=_HINT) from None


def _place(text: bytes, error: Exception) -> str:
    """What is wrong, as ``: line 3`` or ``: 'auths' is not an object``."""
    found = _MEMBER.search(str(error))
    if found:
        return f": {found[1]!r} is not a string" if found[1] == "credsStore" else f": {found[1]!r} is not an object"
    where = broken_line(text, error)
    return f": {where}" if where else ""


def _entry(raw: msgspec.Raw) -> _Auth | None:
    """One entry of ``auths``; None for one that cannot be read."""
    try:
        auth = msgspec.json.decode(raw, type=_Auth | None) or _Auth()
    except UNREADABLE:
        return None
    return auth if auth.legible else None


def _text(raw: msgspec.Raw) -> str | None:
    """A value of ``credHelpers``: "" if it is not set, None if it is not a text."""
    try:
        text = msgspec.json.decode(raw, type=str | None) or ""
    except UNREADABLE:
        return None
    return None if REPLACEMENT in text else text
