"""``source = "netrc"``: a netrc file."""

from collections.abc import Iterator

from credproxy.core.formats.checks import Problem, absolute
from credproxy.core.formats.toml_types import FilePath
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import LoginFile, Use


class NetrcSource(SourceBase, frozen=True, tag_field="source", tag="netrc"):
    """A netrc file; ``path`` overrides the top-level ``netrc``."""

    path: FilePath | None = None

    def problems(self) -> Iterator[Problem]:
        """Its path."""
        return absolute("path", self.path)

    def uses(self) -> Iterator[Use]:
        """A file of its own."""
        if self.path is not None:
            yield LoginFile(self.path, "netrc")
