"""``source = "codeartifact"``: a token for a domain of AWS CodeArtifact's, made with an access key."""

from collections.abc import Iterator
from typing import Final

from credproxy.core.ask.token_calls import DURATION
from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import PublicText
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use


_LEAST: Final = 900


class CodeartifactSource(SourceBase, frozen=True, tag_field="source", tag="codeartifact"):
    """A token of CodeArtifact's that is good for ``duration`` seconds; ``profile`` and ``role_arn`` as those of ``aws``."""

    profile: PublicText | None = None
    role_arn: PublicText | None = None
    duration: int = DURATION

    @property
    def keys(self) -> AwsSource:
        """Where the access key is."""
        return AwsSource(self.profile, self.role_arn)

    @property
    def log_in(self) -> str:
        """As that of ``aws``."""
        return self.keys.log_in

    def problems(self) -> Iterator[Problem]:
        """As those of ``aws``, and what CodeArtifact does not give."""
        yield from self.keys.problems()
        if not _LEAST <= self.duration <= DURATION:
            yield ("duration",), f"wanted seconds from {_LEAST} to {DURATION}"

    def uses(self) -> Iterator[Use]:
        """As those of ``aws``."""
        return self.keys.uses()
