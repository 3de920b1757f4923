"""What ECR and CodeArtifact answer, and what each refusal means."""

import base64
import json
from collections.abc import Callable, Mapping

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Response
from credproxy.core.ask.token_calls import TokenCall, codeartifact_call, ecr_call
from credproxy.core.errors import Code, Failed, Failure
from credproxy.exchange.amazon_token import AmazonToken, amazon_token
from tests.hints import filled


WALL = 1_767_225_600.0
END = WALL + 43_200
BASIC = base64.b64encode(b"AWS:canary-password").decode()
HEADERS = (("Authorization", Secret("AWS4 canary-signature")),)


def call_of(host: str) -> TokenCall:
    """What is asked."""
    call = ecr_call(host) or codeartifact_call(host)
    assert call is not None
    return call


ECR = call_of("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
PUBLIC = call_of("public.ecr.aws")
PACKAGES = call_of("corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com")


def asked(call: TokenCall, status: int, body: object, *headers: tuple[str, str]) -> AmazonToken:
    """One request, and one answer."""
    conversation = amazon_token(call, HEADERS)
    request = next(conversation)
    assert (request.method, request.url, request.headers) == ("POST", call.url, HEADERS)
    assert request.body == Secret(call.body.decode())
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        conversation.send(Response(status, headers, content, 100.0, WALL))
    except StopIteration as stop:
        found: AmazonToken = stop.value
        return found
    raise AssertionError


@pytest.mark.parametrize(
    ("call", "body", "token"),
    [
        (ECR, {"authorizationData": [{"authorizationToken": BASIC, "expiresAt": END, "proxyEndpoint": "x"}]}, "canary-password"),
        (PUBLIC, {"authorizationData": {"authorizationToken": BASIC, "expiresAt": END}}, "canary-password"),
        (PACKAGES, {"authorizationToken": "canary-token", "expiration": END}, "canary-token"),
    ],
)  # fmt: skip
def test_each_service_gives_a_token_and_its_end(call: TokenCall, body: object, token: str) -> None:
    """In a form of its own."""
    found = asked(call, 200, body)
    assert found == AmazonToken(Secret(token), 100.0, 100.0 + 43_200, END)
    assert "canary" not in repr(found)


def failure_of(call: TokenCall, status: int, body: object, *headers: tuple[str, str]) -> Failure:
    """Why there is none; what was said is not repeated."""
    with pytest.raises(Failed) as caught:
        asked(call, status, body, *headers)
    assert "canary" not in repr(caught.value.failure)
    return caught.value.failure


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"authorizationData": []},
        {"authorizationData": [{"authorizationToken": BASIC}]},
        {"authorizationData": [{"authorizationToken": "canary", "expiresAt": END}]},
        {"authorizationData": [{"authorizationToken": base64.b64encode(b"x:canary").decode(), "expiresAt": END}]},
        {"authorizationData": "canary"},
        ["canary"],
        b"\xffcanary",
    ],
    ids=repr,
)
def test_an_answer_without_a_token_is_none(body: object) -> None:
    """And is not kept."""
    failure = failure_of(ECR, 200, body)
    assert failure.code is Code.BAD_TOKEN
    filled(failure.hint, "see what it answers: aws ecr get-authorization-token")


REFUSALS: Mapping[str, tuple[Code, Callable[[str], tuple[str, ...]]]] = {
    "AccessDeniedException": (Code.DENIED, lambda hint: filled(hint, "let whom aws sts get-caller-identity names do {}")),
    "ExpiredTokenException": (Code.BAD_CREDENTIALS, lambda hint: filled(hint, "log in again: aws sso login, or aws configure")),
    "UnrecognizedClientException": (Code.BAD_CREDENTIALS, lambda hint: filled(hint, "store one that it knows: aws configure")),
    "InvalidSignatureException": (Code.BAD_CREDENTIALS, lambda hint: () if hint == "timedatectl, then aws sts get-caller-identity" else pytest.fail(hint)),
    "ThrottlingException": (Code.RATE_LIMITED, lambda hint: () if hint == "try again in a minute" else pytest.fail(hint)),
}  # fmt: skip


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_says_what_to_do(code: str) -> None:
    """By its code, in the header or the body."""
    wanted, followed = REFUSALS[code]
    for body, headers in (
        ({"__type": f"com.amazonaws.ecr#{code}", "message": "canary"}, ()),
        ({"message": "canary"}, (("x-amzn-ErrorType", f"{code}:http://x/"),)),
    ):
        failure = failure_of(ECR, 400, body, *headers)
        assert failure.code is wanted
        followed(failure.hint)
    assert asked(PACKAGES, 200, {"authorizationToken": "t", "expiration": END}).token == Secret("t")


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("Wed, 31 Dec 2025 23:40:00 GMT", "this machine's clock is 20 minutes ahead"),
        ("Thu, 01 Jan 2026 00:20:00 GMT", "this machine's clock is 20 minutes behind"),
    ],
)
def test_a_clock_that_is_off_is_told_from_a_wrong_secret(date: str, said: str) -> None:
    """By the date of the answer."""
    body = {"__type": "InvalidSignatureException", "message": "canary"}
    failure = failure_of(ECR, 400, body, ("Date", date))
    assert (failure.code, said in failure.message) == (Code.BAD_CREDENTIALS, True)
    assert failure.hint == "set the clock: timedatectl set-ntp true"
    failure = failure_of(ECR, 400, body, ("Date", "Thu, 01 Jan 2026 00:01:00 GMT"))
    assert "its secret is wrong (" in failure.message
    assert failure.hint == "store the right one: aws configure"


def test_a_domain_that_is_not_there_is_told() -> None:
    """Its owner or its region may be another one: that is in the name of the host."""
    failure = failure_of(PACKAGES, 404, {"__type": "ResourceNotFoundException", "message": "canary"})
    assert failure.message.endswith("knows no domain 'corp' of 123456789012")
    assert filled(failure.hint, "aws codeartifact list-domains --region {}") == ("eu-west-1",)
    assert asked(PACKAGES, 200, {"authorizationToken": "t", "expiration": END}).token == Secret("t")


@pytest.mark.parametrize(
    ("call", "action"),
    [
        (ECR, "ecr:GetAuthorizationToken"),
        (PUBLIC, "sts:GetServiceBearerToken"),
        (PACKAGES, "codeartifact:GetAuthorizationToken"),
    ],
)
def test_a_denial_names_the_action_that_is_missing(call: TokenCall, action: str) -> None:
    """Some need two."""
    failure = failure_of(call, 403, {"__type": "canary canary"})
    assert failure.code is Code.DENIED
    assert failure.message.endswith("gives no token: it answered 403")
    assert action in failure.hint


@pytest.mark.parametrize(("status", "code"), [(503, Code.UPSTREAM_UNAVAILABLE), (429, Code.RATE_LIMITED)])
def test_an_outage_may_pass(status: int, code: Code) -> None:
    """Whatever it says."""
    assert failure_of(ECR, status, b"canary").code is code
