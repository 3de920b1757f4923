"""Which URLs carry their own authorisation."""

import pytest

from credproxy.core.ask.signed_url import is_signed
from credproxy.core.ask.uri import parse_uri


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("X-Amz-Signature=0", True),
        ("x-amz-expires=9&a=b", True),
        ("AWSAccessKeyId=a&Expires=9&Signature=0", True),
        ("X-Goog-Signature=0&X-Goog-Expires=9", True),
        ("GoogleAccessId=a&Expires=9&Signature=0", True),
        ("sv=1&sp=r&se=2030-01-01&sig=0", True),
        ("Expires=9&Signature=0&Key-Pair-Id=0", True),
        ("X%2DAmz-Signature=0", True),
        ("X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Region-Set=%2A&X-Amz-Signature=0", True),
        ("Policy=0&Signature=0&Key-Pair-Id=0", True),
        ("Expires=9&KeyName=k&Signature=0", True),
        ("Edge-Cache-Token=0", True),
        ("sv=1&si=policy&sr=b&sig=0", True),
        ("si=policy&sig=0", True),
        ("x-oss-signature=0&x-oss-expires=9", True),
        ("OSSAccessKeyId=a&Expires=9&Signature=0", True),
        ("X-Obs-Signature=0", True),
        ("AccessKeyId=a&Expires=9&Signature=0", True),
        ("q-sign-algorithm=sha1&q-ak=a&q-signature=0", True),
        ("X-Tos-Signature=0", True),
        ("Authorization=0", True),
        ("sig=", False),
        ("Signature=0", False),
        ("Policy=0&Signature=0", False),
        ("AccessKeyId=a", False),
        ("sv=1&si=policy", False),
        ("Key-Pair-Id=0", False),
        ("Expires=9", False),
        ("a=X-Amz-Signature=0", False),
        ("name=signature&ref=sig", False),
        ("", False),
    ],
)
def test_a_signature_is_known_by_its_parameters(query: str, *, signed: bool) -> None:
    """In any case, percent-encoded or not; a single parameter with a common name is not one."""
    assert is_signed(parse_uri(f"https://b.test/o?{query}")) is signed
