"""``provider = "vault"``: headers, or Basic, made from several fields of one Vault or OpenBao secret."""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import msgspec

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import PlainSecret, Secret, Stored, UserPassword, secret_of
from credproxy.core.ask.stored import another_place, from_text, login, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.formats.checks import Problem, header
from credproxy.core.formats.toml_types import HiddenText, PublicText
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width
from credproxy.core.kinds.sources import Sources, SourceSettings
from credproxy.core.kinds.sources.vault import STORE_ITSELF, WHOLE, VaultSource
from credproxy.core.unreadable_json import UNREADABLE


_FIELD: Final = re.compile(r"\{([^{}]+)\}")
"""A field's place in the text of a header."""

_BASIC: Final = ("username", "password")


class VaultHost(DressedHost, frozen=True, tag_field="provider", tag="vault"):
    """``headers`` by name, each a text with ``{FIELD}`` in it; without any, Basic of the two fields that ``basic`` names."""

    source_keys: ClassVar[tuple[str, ...]] = ("secret",)
    calls: ClassVar[str] = "secret"
    lacks: ClassVar[str] = "secret"
    empty: ClassVar[str] = "holds no fields: a secret of Vault's, or an object of JSON"
    remedy: ClassVar[str] = 'send a secret of one text with provider = "header"'

    secret: Sources
    headers: dict[str, HiddenText] = msgspec.field(default_factory=dict)
    basic: tuple[PublicText, PublicText] = _BASIC

    def mistakes(self) -> Iterator[Problem]:
        """Names of headers, texts without a field, and fields that are named in the source as well."""
        for name, text in self.headers.items():
            yield from ((("headers", *path), problem) for path, problem in header(name, name))
            if _FIELD.search(text) is None or not (text.isascii() and text.isprintable()):
                yield (
                    ("headers", name),
                    "wanted a text of ASCII with a field of the secret in it, such as Bearer {token}",
                )
        if len({name.lower() for name in self.headers}) < len(self.headers):
            yield ("headers",), "wanted each header once"
        if self.headers and self.basic != _BASIC:
            yield ("basic",), "there are headers as well; leave one of the two out"
        for path, source in self.secrets():
            for key in ("field", "username", "username_field"):
                if isinstance(source, VaultSource) and getattr(source, key) is not None:
                    yield (*path, key), "headers and basic name the fields: leave it out"

    def whole(self) -> Sources:
        """The sources that give all fields."""
        if isinstance(self.secret, tuple):
            return tuple(_whole(source) for source in self.secret)
        return _whole(self.secret)

    def setup(self, target: Target) -> str:
        """Log in to Vault, unless the secret is somewhere else."""
        del target
        if not any(isinstance(source, VaultSource) for _, source in self.secrets()):
            return another_place("secret")
        return (
            "vault login, or bao login; or write into the secret of its [[host]] how to log in: auth = { method = ... }"
        )

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """Fill the fields in."""
        del width
        fields = self._fields(stored, name)
        if not self.headers:
            user, password = (_text(fields, field, name) for field in self.basic)
            pair = login(user, password, where=f"the secret {name!r}", hint=self.remedy)
            if not isinstance(pair, UserPassword):
                raise unreadable(name, self.empty, hint=self.remedy)
            return (("Authorization", (basic(pair),)),)
        return tuple((key, (_filled(text, fields, name),)) for key, text in self.headers.items())

    def about(self, width: Width) -> Mapping[str, str]:
        """Which headers."""
        del width
        return {"headers": ", ".join(self.headers) or "Authorization"}

    def _fields(self, stored: Stored, name: str) -> dict[str, object]:
        if isinstance(stored, UserPassword):
            return {"username": stored.username, "password": stored.password.reveal()}
        try:
            found: object = msgspec.json.decode(secret_of(stored).reveal()) if isinstance(stored, PlainSecret) else None
        except UNREADABLE:  # whose text may quote the secret
            found = None
        if not isinstance(found, dict):
            raise unreadable(f"the secret {name!r}", self.empty, hint=self.remedy)
        return found


def _whole(source: SourceSettings) -> SourceSettings:
    return msgspec.structs.replace(source, field=WHOLE) if isinstance(source, VaultSource) else source


def _filled(text: str, fields: Mapping[str, object], name: str) -> Secret:
    return Secret(_FIELD.sub(lambda found: _text(fields, found[1], name), text))


def _text(fields: Mapping[str, object], key: str, name: str) -> str:
    """A field's text; numbers as JSON has them."""
    value = fields.get(key)
    if value is None or isinstance(value, (dict, list)):
        names = ", ".join(map(repr, sorted(fields))) or "none"
        hint = "name fields that it has in headers or basic of its [[host]]"
        raise unreadable(f"the secret {name!r}", f"has no text in a field {key!r}: it has {names}", hint=hint)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return secret_of(from_text(text, None, where=f"the field {key!r} of {name!r}", hint=STORE_ITSELF)).reveal()
