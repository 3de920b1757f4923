"""``source = "codeartifact"``: a token for an AWS CodeArtifact domain, made with an access key."""

from collections.abc import Iterator
from typing import ClassVar, Final

from credproxy.core.ask.token_calls import DURATION, codeartifact_call
from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import PublicText
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use


_LEAST: Final = 900


class CodeartifactSource(SourceBase, frozen=True, tag_field="source", tag="codeartifact"):
    """A CodeArtifact token that is valid for ``duration`` seconds; ``profile`` and ``role_arn`` as for ``aws``."""

    hosts: ClassVar[str] = "DOMAIN-OWNER.d.codeartifact.REGION.amazonaws.com"

    profile: PublicText | None = None
    role_arn: PublicText | None = None
    duration: int = DURATION

    def serves(self, host: str) -> bool:
        """Domains of CodeArtifact: the host says which."""
        return codeartifact_call(host) is not None

    @property
    def keys(self) -> AwsSource:
        """Where the access key is."""
        return AwsSource(self.profile, self.role_arn)

    @property
    def log_in(self) -> str:
        """The same command as for ``aws``."""
        return self.keys.log_in

    def problems(self) -> Iterator[Problem]:
        """The same mistakes as for ``aws``, and durations that CodeArtifact does not offer."""
        yield from self.keys.problems()
        if not _LEAST <= self.duration <= DURATION:
            yield ("duration",), f"wanted seconds from {_LEAST} to {DURATION}"

    def uses(self) -> Iterator[Use]:
        """The same places as for ``aws``."""
        return self.keys.uses()
