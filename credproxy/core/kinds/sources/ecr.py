"""``source = "ecr"``: the login for Amazon's registries, made with an access key."""

from collections.abc import Iterator

from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import PublicText
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use


class EcrSource(SourceBase, frozen=True, tag_field="source", tag="ecr"):
    """The login of ECR, private or public, for what ``profile`` and ``role_arn`` say, as those of ``aws``."""

    profile: PublicText | None = None
    role_arn: PublicText | None = None

    @property
    def keys(self) -> AwsSource:
        """Where the access key is."""
        return AwsSource(self.profile, self.role_arn)

    @property
    def log_in(self) -> str:
        """As that of ``aws``."""
        return self.keys.log_in

    def problems(self) -> Iterator[Problem]:
        """As those of ``aws``."""
        return self.keys.problems()

    def uses(self) -> Iterator[Use]:
        """Likewise."""
        return self.keys.uses()
