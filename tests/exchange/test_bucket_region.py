"""Which region a bucket says that it is in, and what is said of a clock that is wrong."""

import pytest

from credproxy.core.ask.http import Dial, Response
from credproxy.core.errors import Code, Failed
from credproxy.exchange.bucket_region import bucket_region
from tests.hints import filled


URL = "https://b.s3.amazonaws.com/"
NOW = 1_767_225_600.0  # 2026-01-01
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def asked(status: int, *headers: tuple[str, str], wall: float = NOW) -> str:
    """Ask, and hear this answer."""
    conversation = bucket_region(URL, dial=Dial(), subject="host 'b'")
    request = next(conversation)
    assert (request.method, request.url, request.headers) == ("HEAD", URL, ())
    with pytest.raises(StopIteration) as stop:
        conversation.send(Response(status, headers, b"", 0.0, wall))
    return str(stop.value.value)


@pytest.mark.parametrize("status", [200, 301, 307, 400, 403, 404, 503])
def test_a_bucket_says_its_region_whatever_else_it_says(status: int) -> None:
    """Source: HeadBucket."""
    assert asked(status, ("X-Amz-Bucket-Region", "eu-north-1"), ("Date", DATE)) == "eu-north-1"


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_store_without_regions_is_in_the_usual_one(status: int) -> None:
    """As MinIO and its like are by default."""
    assert asked(status, ("Date", "rubbish")) == "us-east-1"


@pytest.mark.parametrize("told", ["", "\udcff", "a\x0bb", "eu, Credential=x/", "EU", "r" * 65])
def test_what_is_not_the_name_of_a_region_is_not_signed_with(told: str) -> None:
    """It would be part of a header, and a byte outside of UTF-8 cannot be signed."""
    assert asked(200, ("x-amz-bucket-region", told)) == "us-east-1"


@pytest.mark.parametrize("date", ["Mon, 01 Jan 99999999999999999 00:00:00 GMT", ", , "])
def test_a_date_that_is_none_says_nothing_of_the_clock(date: str) -> None:
    """The parser of the standard library raises an OverflowError for a large year."""
    assert asked(200, ("x-amz-bucket-region", "r"), ("Date", date)) == "r"


def test_an_outage_is_no_region() -> None:
    """It would be remembered."""
    conversation = bucket_region(URL, dial=Dial(), subject="host 'b'")
    next(conversation)
    with pytest.raises(Failed) as caught:
        conversation.send(Response(503, (), b"", 0.0, NOW))
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


@pytest.mark.parametrize(("off", "says"), [(1000.0, "17 minutes ahead of"), (-86400.0, "1440 minutes behind")])
def test_a_clock_that_is_wrong_is_told_before_a_signature_is_refused(off: float, says: str) -> None:
    """S3 says 403 to it, and Bazel tries that again and again; a quarter of an hour is taken."""
    conversation = bucket_region(URL, dial=Dial(), subject="host 'b'")
    next(conversation)
    with pytest.raises(Failed) as caught:
        conversation.send(Response(403, (("Date", DATE), ("x-amz-bucket-region", "r")), b"", 0.0, NOW + off))
    failure = caught.value.failure
    assert failure.code is Code.BAD_CREDENTIALS
    assert f"this machine's clock is {says}" in failure.message
    filled(failure.hint, "set the clock: timedatectl set-ntp true")
    assert asked(403, ("Date", DATE), ("x-amz-bucket-region", "r"), wall=NOW + off / abs(off) * 800) == "r"
