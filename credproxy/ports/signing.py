"""Signing: JWTs with private keys, and requests for AWS with access keys."""

from collections.abc import Mapping
from typing import Protocol

from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Method


class Signer(Protocol):
    """Signs with private keys."""

    async def sign(
        self, key: bytes, claims: Mapping[str, str | int], *, algorithm: str = "RS256", key_id: str | None = None
    ) -> Secret:
        """Give a JWT with these claims.

        Args:
            key: in PEM form.
            claims: numbers and texts.
            algorithm: RS256 or PS256, of an RSA key; ES256 or ES384, of one on the curve secp256r1 or secp384r1.
            key_id: goes into its head, as ``kid``.

        Raises:
            ValueError: the key cannot be used: what is wrong with it, such as "is not a private key in PEM form".
        """
        ...


class AwsSigning(Protocol):
    """Signs requests with access keys: AWS Signature Version 4. It waits for nothing."""

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
        """Sign one request, as of now.

        Args:
            keys: to sign with.
            service: by Amazon's name for it in signatures, such as ``s3`` or ``ecr``.
            region: likewise, such as ``eu-west-1``.
            method: of the request.
            url: as its server reads it: see ``aws_url.signed_form``.
            headers: that are signed as well, and must then be sent.
            body: of the request.

        Returns:
            The headers to send, those that were given included; without Host.
        """
        ...


class AwsSigner(Protocol):
    """The library that signs."""

    @property
    def lacking(self) -> str:
        """The command that installs it; "" if it is there."""
        ...

    async def ready(self) -> AwsSigning:
        """Load it, which takes a tenth of a second the first time."""
        ...
