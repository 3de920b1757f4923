"""Signs requests to Amazon's services, and to what speaks as they do (Signature Version 4).

botocore does it. It is imported with the first signature, off the event loop, because that takes a tenth of a second.
"""

import asyncio
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from credproxy.adapters.own_metadata import installing
from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Method
from credproxy.core.kinds.cloud_libraries import AWS


if TYPE_CHECKING:
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials


@dataclass(frozen=True, slots=True)
class BotocoreSigning:
    """Signs. Source: ports.signing.AwsSigning.

    Attributes:
        s3, other, request, keys: the library's own classes.
    """

    s3: "type[S3SigV4Auth]"
    other: "type[SigV4Auth]"
    request: "type[AWSRequest]"
    keys: "type[ReadOnlyCredentials]"

    def sign(
        self,
        keys: AwsKeys,
        *,
        service: str,
        region: str,
        method: Method,
        url: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> tuple[tuple[str, Secret], ...]:
        """Give the headers to send, those that were given included."""
        request = self.request(method=method, url=url, headers=dict(headers), data=body)
        token = None if keys.session_token is None else keys.session_token.reveal()
        found = self.keys(keys.key_id, keys.secret.reveal(), token)
        # S3 wants its path as it is, and the digest of the body; the others want neither.
        (self.s3 if service == "s3" else self.other)(found, service, region).add_auth(request)
        return tuple((name, Secret(value)) for name, value in request.headers.items())


class BotocoreSigner:
    """Source: ports.signing.AwsSigner."""

    def __init__(self) -> None:
        self._signing: BotocoreSigning | None = None
        self._there = False

    @property
    def lacking(self) -> str:
        """The command that installs the library; "" if it is there. As long as it is not, this looks again each time."""
        self._there = self._there or find_spec(AWS.module("")) is not None
        return "" if self._there else installing(AWS)

    async def ready(self) -> BotocoreSigning:
        """Import it."""
        if self._signing is None:
            self._signing = await asyncio.to_thread(_imported)
        return self._signing


def _imported() -> BotocoreSigning:
    from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415  see above
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415  as above
    from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415  as above

    return BotocoreSigning(S3SigV4Auth, SigV4Auth, AWSRequest, ReadOnlyCredentials)
