"""Signatures of botocore's; tests/real/test_s3.py has a server that checks them."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from credproxy.adapters.aws_signing import BotocoreSigner
from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Secret


KEYS = AwsKeys("AKID", Secret("canary-secret"), Secret("session"))
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
URL = "https://b.s3.eu-west-1.amazonaws.com/k"


async def signed(service: str, keys: AwsKeys = KEYS, more: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """What is sent."""
    found = (await BotocoreSigner().ready()).sign(
        keys,
        service=service,
        region="eu-west-1",
        method="POST" if more else "GET",
        url=URL,
        headers=tuple(more.items()),
        body=b"{}" if more else b"",
    )
    return {name: value.reveal() for name, value in found}


async def test_a_request_to_s3_has_four_headers_and_no_secret() -> None:
    """Host is the client's own."""
    headers = await signed("s3")
    assert set(headers) == {"Authorization", "X-Amz-Date", "X-Amz-Content-SHA256", "X-Amz-Security-Token"}
    assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", headers["X-Amz-Date"])
    assert headers["X-Amz-Security-Token"] == "session"
    day = headers["X-Amz-Date"][:8]
    assert re.fullmatch(
        rf"AWS4-HMAC-SHA256 Credential=AKID/{day}/eu-west-1/s3/aws4_request, "
        r"SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}",
        headers["Authorization"],
    )
    assert "canary" not in str(headers)


async def test_a_lasting_key_has_no_token() -> None:
    """Servers refuse an empty one."""
    assert "X-Amz-Security-Token" not in await signed("s3", AwsKeys("AKID", Secret("s")))


async def test_headers_that_an_api_wants_are_signed_as_well() -> None:
    """And given back, to be sent."""
    headers = await signed("ecr", more={"X-Amz-Target": "Service.Action", "Content-Type": "application/x-amz-json-1.1"})
    assert headers["X-Amz-Target"] == "Service.Action"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target," in headers["Authorization"]


def test_whoever_has_the_library_lacks_nothing() -> None:
    """Else the command that brings it is told: tests/providers/test_s3.py."""
    assert BotocoreSigner().lacking == ""
