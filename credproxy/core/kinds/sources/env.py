"""``source = "env"``: a variable of the daemon's own environment."""

from collections.abc import Iterator

from credproxy.core.formats.checks import Problem, user, variable
from credproxy.core.formats.toml_types import PublicText, UserName
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use, Variable


class EnvSource(SourceBase, frozen=True, tag_field="source", tag="env"):
    """The daemon's own environment. With ``username`` it is a login, else a plain secret."""

    name: PublicText
    username: UserName | None = None

    def problems(self) -> Iterator[Problem]:
        """The names of the variable and of the user."""
        yield from variable("name", self.name)
        yield from user("username", self.username)

    def uses(self) -> Iterator[Use]:
        """The variable."""
        yield Variable(self.name)
