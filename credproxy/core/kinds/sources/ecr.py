"""``source = "ecr"``: the login for Amazon's registries, made with an access key."""

from typing import ClassVar

from credproxy.core.ask.token_calls import ecr_call
from credproxy.core.kinds.sources.aws import AwsTokenSource


class EcrSource(AwsTokenSource, frozen=True, tag_field="source", tag="ecr"):
    """The login for ECR, private or public; ``profile`` and ``role_arn`` mean the same as for ``aws``."""

    hosts: ClassVar[str] = "ACCOUNT.dkr.ecr.REGION.amazonaws.com"

    def serves(self, host: str) -> bool:
        """Amazon's registries."""
        return ecr_call(host) is not None
