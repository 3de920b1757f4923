"""``source = "aws"``: the access key that Amazon's own tools would use.

Source: docs.aws.amazon.com "Credential provider chain" and "Standardized credential providers"; botocore's ``credentials.py``.
"""

import re
from collections.abc import Iterator
from shlex import quote as shell
from typing import Final

from credproxy.core.ask.aws_hosts import is_region
from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import PublicText
from credproxy.core.kinds.cloud_libraries import AWS
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use, Usual


KEY_ID: Final = "AWS_ACCESS_KEY_ID"
SECRET: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105  the name of a variable
TOKENS: Final = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
EXPIRATION: Final = "AWS_CREDENTIAL_EXPIRATION"
PROFILES: Final = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
"""Variables that name the profile, in the order of botocore."""

WEB_IDENTITY: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"
CONTAINER: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105  the name of a variable
"""The variable that names the file with what a container shows to be given a key."""

NO_INSTANCE: Final = "AWS_EC2_METADATA_DISABLED"
INSTANCE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
VENDOR_FILE: Final = "/sys/class/dmi/id/sys_vendor"
VENDOR: Final = b"Amazon EC2"
"""What the machines say themselves: only there is asked for what an instance may have."""

_ELSEWHERE: Final = (KEY_ID, WEB_IDENTITY, *CONTAINER)

CREDENTIALS_FILE: Final = Usual(
    _ELSEWHERE, itself="AWS_SHARED_CREDENTIALS_FILE", below=".aws", file="credentials", base="home"
)
CONFIG_FILE: Final = Usual(_ELSEWHERE, itself="AWS_CONFIG_FILE", below=".aws", file="config", base="home")

_ROLE = re.compile(r"arn:[a-z-]{1,20}:iam::[0-9]{12}:role/[!-~]{1,512}")
_PROFILE = re.compile(r"[^\x00-\x1f\x7f\[\]\"']{1,256}")


class AwsSource(SourceBase, frozen=True, tag_field="source", tag="aws"):
    """The access key of Amazon's chain, or of one ``profile``; or that of ``role_arn``, which is assumed with it in ``region``."""

    profile: PublicText | None = None
    role_arn: PublicText | None = None
    region: PublicText | None = None

    @property
    def log_in(self) -> str:
        """The command that stores a login."""
        profile = "" if self.profile is None else f" --profile {shell(self.profile)}"
        return f"aws configure{profile}, or aws sso login{profile}"

    def problems(self) -> Iterator[Problem]:
        """What cannot be the name of a profile."""
        if self.profile is not None and (_PROFILE.fullmatch(self.profile) is None or self.profile.startswith("-")):
            yield ("profile",), "wanted the name of a profile, as aws configure list-profiles shows it"

        if self.role_arn is not None and _ROLE.fullmatch(self.role_arn) is None:
            yield ("role_arn",), "wanted the ARN of a role, such as arn:aws:iam::123456789012:role/build"
        if self.region is not None and not is_region(self.region):
            yield ("region",), "wanted the name of a region, such as eu-west-1"

    def uses(self) -> Iterator[Use]:
        """The library, and what may be missing."""
        yield AWS
        yield CREDENTIALS_FILE
        yield CONFIG_FILE


class AwsTokenSource(SourceBase, frozen=True):
    """A token that one of Amazon's services gives for an access key: the options that every source has that begins with one."""

    profile: PublicText | None = None
    role_arn: PublicText | None = None

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
