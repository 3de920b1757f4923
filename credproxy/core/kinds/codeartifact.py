"""``provider = "codeartifact"``: package repositories of AWS CodeArtifact.

One token for a domain, in two dresses: Basic for the clients of Maven, Python, NuGet and Ruby, Bearer for all others.
Source: docs.aws.amazon.com/codeartifact, "AWS CodeArtifact authentication and tokens", and the pages of each format.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Self

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import Secret, Stored, UserPassword, secret_of
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place, usable
from credproxy.core.ask.target import Target
from credproxy.core.ask.token_calls import codeartifact_call
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.codeartifact import CodeartifactSource


USER: Final = "aws"

_BASIC: Final = frozenset({"maven", "pypi", "nuget", "ruby"})
"""Formats, as the path begins with them, whose clients send Basic."""


class CodeartifactHost(DressedHost, frozen=True, tag_field="provider", tag="codeartifact"):
    """A token for a CodeArtifact domain, in the header that each package format expects."""

    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    calls: ClassVar[str] = "token"
    lacks: ClassVar[str] = "token"
    empty: ClassVar[str] = "holds no access key of Amazon's, and so no token"
    remedy: ClassVar[str] = "log in with Amazon's tools: aws configure, or aws sso login"

    credentials: Sources = (CodeartifactSource(),)

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """All domains."""
        return (cls("*.amazonaws.com"), cls("*.on.aws"))

    def claims(self, target: Target) -> bool:
        """Whether it is CodeArtifact: Amazon has other services below the same domain."""
        return codeartifact_call(target.host) is not None

    def withheld(self, target: Target) -> str:
        """Why a signed URL gets nothing: it carries its own authorisation."""
        return REASON if is_signed(target) else ""

    def setup(self, target: Target) -> str:
        """Log in with Amazon's tools, unless the rule names another place."""
        del target
        return self.tool_login or another_place("credentials")

    def width(self, target: Target) -> Width:
        """The dress of the format."""
        return ("basic" if target.path[1:].partition("/")[0] in _BASIC else "bearer",)

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """A token, whatever user is stored with it."""
        token = secret_of(usable(stored, name, hint=self.remedy))
        if width == ("basic",):
            return (("Authorization", (basic(UserPassword(USER, token)),)),)
        return (("Authorization", (Secret(f"Bearer {token.reveal()}"),)),)

    def about(self, width: Width) -> Mapping[str, str]:
        """Which dress."""
        return {"dress": str(width[0])}
