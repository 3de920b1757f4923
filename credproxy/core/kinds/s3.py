"""``provider = "s3"``: objects in buckets of Amazon's S3, Cloudflare's R2, and every store that speaks the same.

Each answer is a signature for one method and one URL (Signature Version 4): its holder can do that one thing for a few
minutes, so that a build action may have it.
"""

import re
from collections.abc import Iterator
from typing import ClassVar, Self

from credproxy.core.ask.aws_hosts import AUTO, is_region, r2_account, r2_bucket, s3_place
from credproxy.core.ask.aws_url import signed_form
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place
from credproxy.core.ask.target import Form, Target
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import PublicText
from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.cloud_libraries import AWS
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.r2 import R2Source
from credproxy.core.kinds.uses import Used


_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class S3Host(HostBase, frozen=True, tag_field="provider", tag="s3"):
    """A signature for one URL. ``endpoint`` is the authority that the store knows itself by, where a proxy changes it."""

    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    for_one_url: ClassVar[bool] = True

    credentials: Sources = (AwsSource(),)
    region: PublicText | None = None
    endpoint: PublicText | None = None
    path_style: bool | None = None

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """Amazon's hosts, and Cloudflare's."""
        return (
            cls("*.amazonaws.com"),
            cls("*.amazonaws.com.cn"),
            cls("*.amazonaws.eu"),
            cls("*.r2.cloudflarestorage.com", credentials=(R2Source(),)),
        )

    def mistakes(self) -> Iterator[Problem]:
        """Malformed names of regions and endpoints."""
        if self.region is not None and not is_region(self.region):
            yield ("region",), "wanted the name of a region, such as eu-west-1, or auto"
        if self.endpoint is not None and canonical_authority(self.endpoint) != self.endpoint:
            yield ("endpoint",), "wanted a host, or host:port, as the store itself knows it"

    def own_uses(self) -> Iterator[Used]:
        """The library that signs."""
        yield (), AWS

    @property
    def public_match(self) -> str:
        """An Amazon bucket; Cloudflare serves its public ones from other hosts."""
        host = self.match.removeprefix("*.")
        return f"BUCKET.s3.REGION.{host}" if host.startswith("amazonaws.") else ""

    def setup(self, target: Target) -> str:
        """Log in with the tools of the store's owner, unless the rule names another place."""
        del target
        return self.tool_login or another_place("credentials")

    def claims(self, target: Target) -> bool:
        """Whether it is a store: Amazon has other services below the same domains."""
        return s3_place(target.host) is not None or r2_account(target.host) is not None

    def withheld(self, target: Target) -> str:
        """Why a signed URL, or one that names no object, gets nothing."""
        if target.form is not Form.URL:
            return "a signature is for one URL: there is none for a host"
        return REASON if is_signed(target) else ""

    def signed_url(self, target: Target) -> str:
        """The URL to sign, as the store reads the one that is asked about."""
        return signed_form(target, self.endpoint or "")

    def region_of(self, target: Target) -> str | None:
        """The region that the rule or the name of the host says; None if the bucket has to be asked."""
        if self.region is not None:
            return self.region
        if r2_account(target.host) is not None:
            return AUTO
        place = s3_place(target.host)
        return place.region or None if place is not None else None

    def bucket_url(self, target: Target) -> str:
        """The URL of the bucket that a target is in, for asking about its region; "" if it names none."""
        place = s3_place(target.host)
        in_path = self.path_style
        if in_path is None:
            in_path = not (place.bucket if place is not None else r2_bucket(target.host))
        if not in_path:
            return f"{target.origin}/"
        bucket = target.path[1:].partition("/")[0]
        return f"{target.origin}/{bucket}" if _BUCKET.fullmatch(bucket) else ""
