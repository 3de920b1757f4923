"""The access key that a token of Cloudflare's is: whom it is asked of, and what becomes of tokens that are none."""

import hashlib
import json

import pytest

from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failed
from credproxy.exchange.cloudflare_token import CloudflareKeys, cloudflare_keys
from tests.hints import filled


TOKEN = "canary-cloudflare"
WALL = 1_767_225_600.0  # 2026-01-01


def answer(status: int, body: object = None) -> Response:
    """One answer."""
    return Response(status, (), json.dumps(body).encode(), 100.0, WALL)


def active(**more: object) -> Response:
    """The token is one."""
    return answer(200, {"success": True, "result": {"id": "t0k3n1d", "status": "active", **more}})


def held(*answers: Response, account: str | None = "acc") -> tuple[CloudflareKeys, list[Request]]:
    """A conversation to its end."""
    conversation, asked = cloudflare_keys(Secret(TOKEN), account), list[Request]()
    try:
        asked.append(next(conversation))
        for each in answers:
            asked.append(conversation.send(each))
    except StopIteration as stop:
        return stop.value, asked
    message = f"it goes on: {asked[-1]}"
    raise AssertionError(message)


def test_the_id_of_a_token_and_its_digest_are_an_access_key() -> None:
    """Source: developers.cloudflare.com/r2/api/tokens."""
    found, asked = held(active())
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    assert found == CloudflareKeys(AwsKeys("t0k3n1d", Secret(digest)), 100.0)
    assert [request.url for request in asked] == ["https://api.cloudflare.com/client/v4/user/tokens/verify"]
    assert dict(asked[0].headers) == {"Authorization": Secret(f"Bearer {TOKEN}")}
    assert TOKEN not in f"{asked}{found}"


def test_a_token_of_an_account_is_asked_for_there() -> None:
    """It does not belong to a user: the first URL answers 401."""
    found, asked = held(answer(401), active())
    assert found.keys.key_id == "t0k3n1d"
    assert asked[1].url == "https://api.cloudflare.com/client/v4/accounts/acc/tokens/verify"


@pytest.mark.parametrize("end", ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00+01:00"])
def test_a_token_that_ends_says_when(end: str) -> None:
    """Nothing that is signed with it is used for longer."""
    found, _ = held(active(expires_on=end))
    assert (found.until, found.wall_until) == (3700.0, WALL + 3600)


@pytest.mark.parametrize(
    ("answers", "code", "says"),
    [
        ((answer(401), answer(403)), Code.BAD_CREDENTIALS, "does not know the token: it answered 403"),
        ((active(status="disabled"),), Code.BAD_CREDENTIALS, "the token for Cloudflare's API is 'disabled'"),
        ((active(status="expired" * 9),), Code.BAD_CREDENTIALS, "is 'expiredexpir'"),
    ],
)
def test_a_token_that_is_none_is_made_anew(answers: tuple[Response, ...], code: Code, says: str) -> None:
    """With the name of the variable."""
    with pytest.raises(Failed) as caught:
        held(*answers)
    assert caught.value.failure.code is code
    assert says in caught.value.failure.message
    filled(
        caught.value.failure.hint,
        "make another one at dash.cloudflare.com, that may read objects, and put it into CLOUDFLARE_API_TOKEN",
    )
    assert held(active())[0].keys.key_id == "t0k3n1d"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (answer(200, {"result": None}), Code.BAD_TOKEN),
        (answer(200, [TOKEN]), Code.BAD_TOKEN),
        (answer(200, {"result": {"id": ""}}), Code.BAD_TOKEN),
        (Response(200, (), b"\xff", 0.0, 0.0), Code.BAD_TOKEN),
        (answer(500), Code.UPSTREAM_UNAVAILABLE),
        (answer(429), Code.RATE_LIMITED),
    ],
)
def test_an_answer_that_says_nothing_of_the_token_is_no_verdict(body: Response, code: Code) -> None:
    """And is not quoted."""
    with pytest.raises(Failed) as caught:
        held(body)
    assert caught.value.failure.code is code
    assert TOKEN not in caught.value.failure.message
