"""``source = "codeartifact"``: a token for an AWS CodeArtifact domain, made with an access key."""

from collections.abc import Iterator
from typing import ClassVar, Final

from credproxy.core.ask.token_calls import DURATION, codeartifact_call
from credproxy.core.formats.checks import Problem
from credproxy.core.kinds.sources.aws import AwsTokenSource


_LEAST: Final = 900


class CodeartifactSource(AwsTokenSource, frozen=True, tag_field="source", tag="codeartifact"):
    """A CodeArtifact token that is valid for ``duration`` seconds; ``profile`` and ``role_arn`` as for ``aws``."""

    hosts: ClassVar[str] = "DOMAIN-OWNER.d.codeartifact.REGION.amazonaws.com"

    duration: int = DURATION

    def serves(self, host: str) -> bool:
        """Domains of CodeArtifact: the host says which."""
        return codeartifact_call(host) is not None

    def problems(self) -> Iterator[Problem]:
        """The same mistakes as for ``aws``, and durations that CodeArtifact does not offer."""
        yield from super().problems()
        if not _LEAST <= self.duration <= DURATION:
            yield ("duration",), f"wanted seconds from {_LEAST} to {DURATION}"
