"""``source = "aws"``: the access key that Amazon's own tools would use.

Source: docs.aws.amazon.com "Credential provider chain" and "Standardized credential providers"; botocore's ``credentials.py``.
"""

import re
from collections.abc import Iterator
from typing import Final

from credproxy.core.formats.checks import Problem
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Library, Use, Usual


LIBRARY: Final = Library("aws", {"": "botocore"})

KEY_ID: Final = "AWS_ACCESS_KEY_ID"
SECRET: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105  the name of a variable
TOKENS: Final = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
EXPIRATION: Final = "AWS_CREDENTIAL_EXPIRATION"
PROFILES: Final = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
"""Variables that name the profile, in the order of botocore."""

CREDENTIALS_FILE: Final = Usual(
    (KEY_ID,), itself="AWS_SHARED_CREDENTIALS_FILE", below=".aws", file="credentials", base="home"
)
CONFIG_FILE: Final = Usual((KEY_ID,), itself="AWS_CONFIG_FILE", below=".aws", file="config", base="home")

_PROFILE = re.compile(r"[^\x00-\x1f\x7f\[\]\"']{1,256}")


class AwsSource(SourceBase, frozen=True, tag_field="source", tag="aws"):
    """The access key of Amazon's chain, or of one ``profile``."""

    profile: str | None = None

    def problems(self) -> Iterator[Problem]:
        """What is no name of a profile."""
        if self.profile is not None and (_PROFILE.fullmatch(self.profile) is None or self.profile.startswith("-")):
            yield ("profile",), "wanted the name of a profile, as aws configure list-profiles shows it"

    def uses(self) -> Iterator[Use]:
        """What may be missing."""
        yield CREDENTIALS_FILE
        yield CONFIG_FILE
