"""``source = "file"``: a file that holds the secret."""

from collections.abc import Iterator
from typing import ClassVar

from credproxy.core.formats.checks import Problem, absolute, user
from credproxy.core.formats.toml_types import FilePath, UserName
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import SecretFile, Use


class FileSource(SourceBase, frozen=True, tag_field="source", tag="file"):
    """A file whose content, without one trailing newline, is the secret."""

    rewritable: ClassVar[bool] = True

    path: FilePath
    username: UserName | None = None

    def problems(self) -> Iterator[Problem]:
        """Its path, and the name of the user."""
        yield from absolute("path", self.path)
        yield from user("username", self.username)

    def uses(self) -> Iterator[Use]:
        """The file."""
        yield SecretFile(self.path, self.username)
