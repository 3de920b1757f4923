"""``source = "keyring"``: the keyring of the user's session. Source: freedesktop's Secret Service API 0.2."""

from collections.abc import Iterator

from credproxy.core.formats.checks import Problem, user
from credproxy.core.formats.toml_types import PublicText, UserName
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Library, Use


LIBRARY = Library("keyring", {"linux": "jeepney", "": "keyring"}, {"linux": "jeepney>=0.9", "": "keyring>=25"})


class KeyringSource(SourceBase, frozen=True, tag_field="source", tag="keyring"):
    """A secret of the keyring, by the service that it was stored for; ``username`` picks one of several logins."""

    service: PublicText
    username: UserName | None = None

    def problems(self) -> Iterator[Problem]:
        """What no program stores a secret under."""
        if not self.service or not self.service.isprintable():
            yield ("service",), "wanted the name of a service, as the secret was stored under it"
        yield from user("username", self.username)

    def uses(self) -> Iterator[Use]:
        """The library that asks the keyring."""
        yield LIBRARY
