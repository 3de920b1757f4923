"""``provider = "header"``: a static header of any name, for remote caches and artifact hosts."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from credproxy.core.ask.credential import Stored, secret_of
from credproxy.core.ask.stored import another_place
from credproxy.core.ask.target import Target
from credproxy.core.formats.checks import Problem, header
from credproxy.core.formats.toml_types import HeaderPrefix, PublicText
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width, one_header
from credproxy.core.kinds.sources import Sources


class HeaderHost(DressedHost, frozen=True, tag_field="provider", tag="header"):
    """A static header of any name: remote caches, artifact hosts. ``prefix`` comes before the secret, such as ``Bearer ``."""

    source_keys: ClassVar[tuple[str, ...]] = ("secret",)
    calls: ClassVar[str] = "secret"
    lacks: ClassVar[str] = "credential"
    login_example: ClassVar[str] = "credproxy login cache.corp.example"

    secret: Sources
    name: PublicText = "Authorization"
    prefix: HeaderPrefix = ""

    def mistakes(self) -> Iterator[Problem]:
        """The header's name."""
        yield from header("name", self.name)

    def setup(self, target: Target) -> str:
        """Store it."""
        return self.log_in(target) or another_place("secret")

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """The secret as it is, ignoring anything stored with it."""
        del width
        return one_header(self.name, self.prefix, secret=secret_of(stored), where=name, remedy=self.remedy)

    def about(self, width: Width) -> Mapping[str, str]:
        """Which header."""
        del width
        return {"header": self.name}
