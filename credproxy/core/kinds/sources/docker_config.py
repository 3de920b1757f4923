"""``source = "docker-config"``: docker's and podman's configuration, with ``docker-credential-*`` programs."""

from collections.abc import Iterator

from credproxy.core.formats.checks import Problem, absolute
from credproxy.core.formats.toml_types import FilePath
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import LoginFile, Use


class DockerConfigSource(SourceBase, frozen=True, tag_field="source", tag="docker-config"):
    """Docker's and podman's configuration, with ``docker-credential-*`` programs; ``path`` overrides ``docker_config``."""

    path: FilePath | None = None

    def problems(self) -> Iterator[Problem]:
        """Its path."""
        return absolute("path", self.path)

    def uses(self) -> Iterator[Use]:
        """A file of its own."""
        if self.path is not None:
            yield LoginFile(self.path, "docker")
