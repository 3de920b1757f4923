"""``source = "ecr"``: the login for Amazon's registries, made with an access key."""

from collections.abc import Iterator
from typing import ClassVar

from credproxy.core.ask.token_calls import ecr_call
from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import PublicText
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use


class EcrSource(SourceBase, frozen=True, tag_field="source", tag="ecr"):
    """The login for ECR, private or public; ``profile`` and ``role_arn`` mean the same as for ``aws``."""

    hosts: ClassVar[str] = "ACCOUNT.dkr.ecr.REGION.amazonaws.com"

    profile: PublicText | None = None
    role_arn: PublicText | None = None

    def serves(self, host: str) -> bool:
        """Amazon's registries."""
        return ecr_call(host) is not None

    @property
    def keys(self) -> AwsSource:
        """Where the access key is."""
        return AwsSource(self.profile, self.role_arn)

    @property
    def log_in(self) -> str:
        """The same command as for ``aws``."""
        return self.keys.log_in

    def problems(self) -> Iterator[Problem]:
        """The same mistakes as for ``aws``."""
        return self.keys.problems()

    def uses(self) -> Iterator[Use]:
        """The same places as for ``aws``."""
        return self.keys.uses()
