"""What rules_img's img reads from answers: the cases of its own tests, and ours."""

import base64
import json

import pytest

from credproxy.core.ask.credential import Handout, Secret
from credproxy.core.ask.message import encode_answer
from tests.rules_img_client import Anonymous, Basic, Credential, RegistryToken, read


LOGIN = "Basic " + base64.b64encode(b"alice:s3cret:x").decode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({}, Anonymous(), id="6.5-empty"),
        pytest.param({"headers": None}, Anonymous(), id="6.5-headers-nil"),
        pytest.param({"headers": {}}, Anonymous(), id="6.5-no-authorization"),
        pytest.param({"headers": {"Authorization": []}}, Anonymous(), id="6.5-empty-list"),
        pytest.param({"headers": {"Authorization": ["Bearer"]}}, Anonymous(), id="6.5-no-scheme"),
        pytest.param({"headers": {"Authorization": ["Basic !!"]}}, Anonymous(), id="6.5-bad-base64"),
        pytest.param({"headers": {"Authorization": ["Basic YWxpY2U="]}}, Anonymous(), id="6.5-basic-without-colon"),
        pytest.param({"headers": {"Authorization": [LOGIN]}}, Basic("alice", "s3cret:x"), id="6.5-basic"),
        pytest.param({"headers": {"Authorization": ["Bearer t"]}}, RegistryToken("t"), id="6.5-bearer"),
        pytest.param({"headers": {"Authorization": ["Digest x"]}}, Anonymous(), id="6.5-unknown-scheme"),
        pytest.param({"headers": {"authorization": ["Bearer t"]}}, Anonymous(), id="3.5-lower-case"),
        pytest.param({"Headers": {"Authorization": ["Bearer t"]}}, RegistryToken("t"), id="3.5-Headers"),
        pytest.param({"headers": {"Authorization": ["Bearer t", "Bearer u"]}}, RegistryToken("t"), id="3.5-two-values"),
        pytest.param(
            {"headers": {"Authorization": ["Bearer t"]}, "expires": "2001-01-01T00:00:00.5Z"},
            RegistryToken("t"),
            id="3.5-fraction-and-past",
        ),
        pytest.param(
            {"headers": {"Authorization": ["Bearer t"]}, "expires": "tomorrow"}, Anonymous(), id="3.5-bad-expires"
        ),
        pytest.param({"headers": {"Authorization": ["Bearer t"], "X": [1]}}, Anonymous(), id="3.5-wrong-type"),
        pytest.param([], Anonymous(), id="3.5-no-object"),
    ],
)
def test_img_reads_an_answer(answer: object, expected: Credential) -> None:
    """A login, a finished token, or silent anonymity."""
    assert read(json.dumps(answer).encode()) == expected


@pytest.mark.parametrize(
    ("stdout", "status"),
    [
        pytest.param(b'{"headers":{"Authorization":["Bearer t"]}}', 1, id="3.5-exit-1"),
        pytest.param(b"garbage", 0, id="3.5-garbage"),
        pytest.param(b"", 0, id="3.5-no-output"),
        pytest.param(b'{"headers":{"Authorization":["Bearer t"]}}{}', 0, id="3.5-second-value"),
    ],
)
def test_img_is_anonymous_after_any_failure(stdout: bytes, status: int) -> None:
    """It has no other way to fail (3.5)."""
    assert read(stdout, status) == Anonymous()


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("expires", [None, 0, 1_767_225_600])
@pytest.mark.parametrize(
    ("value", "expected"),
    [("Bearer abc.def", RegistryToken("abc.def")), (LOGIN, Basic("alice", "s3cret:x"))],
)
def test_img_reads_our_answers(name: str, expires: int | None, value: str, expected: Credential) -> None:
    """Img finds the header, however a provider spells it (SC-17, CL-20)."""
    assert read(encode_answer(Handout(((name, (Secret(value),)),), expires))) == expected


def test_img_falls_through_on_our_empty_answer() -> None:
    """Without a credential of ours, img asks its next keychain (3.6)."""
    assert read(encode_answer(Handout((), 1_767_225_600))) == Anonymous()
