"""Which names are Amazon's S3 and Cloudflare's R2, and what they say."""

import pytest

from credproxy.core.ask.aws_hosts import S3Place, r2_account, r2_bucket, r2_mistaken, s3_place


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("s3.amazonaws.com", S3Place()),
        ("b.s3.amazonaws.com", S3Place(bucket="b")),
        ("s3.eu-west-1.amazonaws.com", S3Place("eu-west-1")),
        ("b.s3.eu-west-1.amazonaws.com", S3Place("eu-west-1", "b")),
        ("my.dotted.bucket.s3.eu-west-1.amazonaws.com", S3Place("eu-west-1", "my.dotted.bucket")),
        ("b.s3-us-west-2.amazonaws.com", S3Place("us-west-2", "b")),
        ("s3-us-west-2.amazonaws.com", S3Place("us-west-2")),
        ("b.s3.dualstack.ap-southeast-1.amazonaws.com", S3Place("ap-southeast-1", "b")),
        ("b.s3-fips.us-gov-west-1.amazonaws.com", S3Place("us-gov-west-1", "b")),
        ("s3-fips.dualstack.us-east-1.amazonaws.com", S3Place("us-east-1")),
        ("b.s3.cn-north-1.amazonaws.com.cn", S3Place("cn-north-1", "b")),
        ("b.s3-accelerate.amazonaws.com", S3Place(bucket="b")),
        ("b.s3-accelerate.dualstack.amazonaws.com", S3Place(bucket="b")),
        ("ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", S3Place("eu-west-1", "ap-123456789012")),
        ("s3-fips-us-gov-west-1.amazonaws.com", S3Place("us-gov-west-1")),
        ("b.s3-fips-us-gov-west-1.amazonaws.com", S3Place("us-gov-west-1", "b")),
        ("s3-external-1.amazonaws.com", S3Place("us-east-1")),
        ("b.s3-external-1.amazonaws.com", S3Place("us-east-1", "b")),
        ("b.s3.eusc-de-east-1.amazonaws.eu", S3Place("eusc-de-east-1", "b")),
        ("s3.us-iso-east-1.c2s.ic.gov", S3Place("us-iso-east-1")),
        ("b.s3.us-isob-east-1.sc2s.sgov.gov", S3Place("us-isob-east-1", "b")),
        ("b.s3.eu-isoe-west-1.cloud.adc-e.uk", S3Place("eu-isoe-west-1", "b")),
        ("b.s3.us-isof-south-1.csp.hci.ic.gov", S3Place("us-isof-south-1", "b")),
        ("bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", S3Place("us-east-1")),
        ("b.bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", S3Place("us-east-1", "b")),
        ("ap-123456789012.accesspoint.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", S3Place("us-east-1", "ap-123456789012")),
        ("control.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", None),
        ("vpce-1a2b.vpce-svc-3c4d.us-east-1.vpce.amazonaws.com", None),
        ("b.s3.eusc-de-east-1.evilamazonaws.eu", None),
        ("b.s3.eusc-de-east-1.amazonaws.eu.evil.test", None),
        ("b.s3.us-iso-east-1.ic.gov", None),
        ("123456789012.s3-control.us-east-1.amazonaws.com", None),
        ("m.mrap.accesspoint.s3-global.amazonaws.com", None),
        ("lambda-123456789012.s3-object-lambda.us-east-1.amazonaws.com", None),
        ("s3-accelerate.amazonaws.com", None),
        ("evils3.amazonaws.com", None),
        ("s3.evil.amazonaws.com", None),
        ("s3.amazonaws.com.evil.test", None),
        ("evilamazonaws.com", None),
        ("b.s3.eu-west-1.evilamazonaws.com", None),
        ("b.s3-website-us-east-1.amazonaws.com", None),
        ("b.s3-website.eu-west-1.amazonaws.com", None),
        ("b.s3express-use1-az4.us-east-1.amazonaws.com", None),
        ("x.execute-api.eu-west-1.amazonaws.com", None),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", None),
        ("d-123456789012.d.codeartifact.eu-west-1.amazonaws.com", None),
        ("amazonaws.com", None),
    ],
)  # a table  # fmt: skip
def test_a_name_of_amazons_says_region_and_bucket(host: str, wanted: S3Place | None) -> None:
    """And no other name does."""
    assert s3_place(host) == wanted


@pytest.mark.parametrize(
    ("host", "account", "bucket"),
    [
        ("0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com", "0123456789abcdef0123456789abcdef", ""),
        ("0123456789abcdef.eu.r2.cloudflarestorage.com", "0123456789abcdef", ""),
        ("b-1.0123456789abcdef.r2.cloudflarestorage.com", "0123456789abcdef", "b-1"),
        ("r2.cloudflarestorage.com", None, ""),
        ("evil.r2.cloudflarestorage.com", None, ""),
        ("0123456789abcdef.evilr2.cloudflarestorage.com", None, ""),
        ("0123456789abcdef.r2.cloudflarestorage.com.evil.test", None, ""),
    ],
)
def test_a_name_of_cloudflares_says_the_account(host: str, account: str | None, bucket: str) -> None:
    """With a jurisdiction, and with a bucket in front."""
    assert (r2_account(host), r2_bucket(host)) == (account, bucket)
    assert bool(r2_mistaken(host)) is (host == "evil.r2.cloudflarestorage.com")
