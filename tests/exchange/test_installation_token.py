"""The conversation for an installation's token: the requests, the parts of answers that are used, the meaning of refusals."""

import json
from collections.abc import Generator, Mapping
from dataclasses import replace

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.github_urls import GithubName
from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.errors import Code, Failed
from credproxy.exchange.installation_token import (
    InstallationToken,
    TokenRequest,
    claims,
    installation_token,
    not_installed,
)


WALL = 1_767_225_600.0
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
END = "2026-01-01T01:00:00Z"
CANARY = "canary"
ONE = TokenRequest(
    api="https://api.github.com",
    app="4711",
    dial=Dial(),
    owner="octo",
    installation=7,
    repositories=(),
    permissions={"contents": "read"},
)
FOUND = replace(ONE, installation=None)
NARROW = replace(ONE, repositories=("hello",), only=GithubName("octo", "hello"))


def answer(status: int, told: object, **headers: str) -> Response:
    """An answer like GitHub's; a text becomes a message."""
    body = {"message": told} if isinstance(told, str) else told
    named = {"date": DATE} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, tuple(named.items()), json.dumps(body).encode(), sent=1000.0, wall=WALL)


def token(**more: object) -> Response:
    """A 201."""
    told: dict[str, object] = {
        "token": CANARY,
        "expires_at": END,
        "permissions": {"contents": "read", "metadata": "read"},
    }
    return answer(201, told | more)


def held(wanted: TokenRequest, *answers: Response) -> tuple[list[Request], InstallationToken | None]:
    """Hold the conversation; give the requests and the result."""
    conversation: Generator[Request, Response, InstallationToken | None] = installation_token(wanted, Secret("a.b.c"))
    requests = [next(conversation)]
    try:
        for one in answers:
            request = conversation.send(one)
            requests.append(request)
    except StopIteration as stop:
        result: InstallationToken | None = stop.value
        return requests, result
    pytest.fail("it asks on")


def failure(wanted: TokenRequest, *answers: Response) -> Failed:
    """The failure that it raises."""
    with pytest.raises(Failed) as caught:
        held(wanted, *answers)
    assert CANARY not in str(caught.value) + caught.value.failure.hint
    return caught.value


def test_the_claims_leave_room_for_clocks() -> None:
    """GitHub accepts ten minutes and not a second more, and no ``iat`` in the future."""
    assert claims("4711", WALL + 0.9) == {"iss": "4711", "iat": int(WALL) - 60, "exp": int(WALL) + 540}


def test_one_request_where_the_installation_is_known() -> None:
    """With the permissions that are wanted; neither the signature nor the token is shown."""
    (request,), issued = held(ONE, token())
    assert (request.method, request.url) == ("POST", "https://api.github.com/app/installations/7/access_tokens")
    assert request.body is not None
    assert json.loads(request.body.reveal()) == {"permissions": {"contents": "read"}}
    headers = dict(request.headers)
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"]  # GitHub refuses a request without one
    assert str(headers["Authorization"]) == "***"
    assert issued is not None
    assert (issued.token.reveal(), issued.since, issued.until) == (CANARY, 1000.0, 4600.0)
    assert issued.wall_until == WALL + 3600
    assert CANARY not in repr(issued)


def test_the_end_is_counted_on_the_servers_clock() -> None:
    """This machine's may be off by more than a token lives."""
    late = replace(token(), wall=WALL + 7200)
    _, issued = held(ONE, late)
    assert issued is not None
    assert (issued.until, issued.wall_until) == (4600.0, WALL + 10800)


@pytest.mark.parametrize("owned_by_user", [False, True], ids=["organisation", "user"])
def test_the_installation_is_found_by_its_owner(*, owned_by_user: bool) -> None:
    """A user's is at another path than an organisation's."""
    missing = [answer(404, "Not Found")] if owned_by_user else []
    requests, issued = held(FOUND, *missing, answer(200, {"id": 9}), token())
    paths = [request.url.removeprefix("https://api.github.com") for request in requests]
    tried = ["/orgs/octo/installation"] + ["/users/octo/installation"] * owned_by_user
    assert paths == [*tried, "/app/installations/9/access_tokens"]
    assert issued is not None


def test_an_owner_without_an_installation_gives_none_or_a_message() -> None:
    """Other sources may be asked; if there are none, it is an error."""
    assert held(FOUND, answer(404, "Not Found"), answer(404, "Not Found"))[1] is None
    told = not_installed(FOUND).failure
    assert (told.code, told.message) == (Code.DENIED, "the GitHub App '4711' is not installed for 'octo'")
    assert "Install App" in told.hint


NUMERIC = "'InstallationToken at' claim ('iat') must be an Integer representing the time that the assertion was issued"


@pytest.mark.parametrize(
    ("wanted", "response", "code", "said"),
    [
        (
            ONE,
            answer(401, "A JSON web token could not be decoded"),
            Code.BAD_CREDENTIALS,
            "was signed for the App '4711'",
        ),
        (
            ONE,
            answer(401, "'Expiration time' claim ('exp') is too far in the future"),
            Code.BAD_CREDENTIALS,
            "0 s behind",
        ),
        (ONE, answer(401, NUMERIC), Code.BAD_CREDENTIALS, "times by this machine's clock"),
        (ONE, answer(401, "?", date="Thu, 01 Jan 2026 00:10:00 GMT"), Code.BAD_CREDENTIALS, "which is 600 s behind"),
        (ONE, answer(401, "?", date="Wed, 31 Dec 2025 23:50:00 GMT"), Code.BAD_CREDENTIALS, "which is 600 s ahead"),
        (ONE, answer(404, "Integration not found"), Code.BAD_CREDENTIALS, "was signed for the App '4711'"),
        (ONE, answer(404, "Not Found"), Code.DENIED, "knows no such installation of the App '4711'"),
        (
            ONE,
            answer(403, "This installation has been suspended"),
            Code.DENIED,
            "the installation 7 of the App '4711' is susp",
        ),
        (
            ONE,
            answer(422, "The permissions requested are not granted to this installation."),
            Code.DENIED,
            "contents = read",
        ),
        (NARROW, answer(422, "There is at least one repository that"), Code.DENIED, "does not have all of: hello"),
        (ONE, answer(418, CANARY), Code.DENIED, "with status 418"),
        (ONE, answer(502, CANARY), Code.UPSTREAM_UNAVAILABLE, "502"),
        (ONE, answer(301, CANARY, location=f"https://{CANARY}"), Code.DENIED, "with status 301"),
        (ONE, answer(201, [CANARY]), Code.BAD_TOKEN, "not what its documentation says"),
        (ONE, token(token=""), Code.BAD_TOKEN, "no usable token"),
        (ONE, token(token=f"{CANARY}\r\nX: y"), Code.BAD_TOKEN, "no usable token"),
        (ONE, token(expires_at="2026-01-01T01:00:00"), Code.BAD_TOKEN, "does not say when"),
        (ONE, token(expires_at="2025-12-31T23:00:00Z"), Code.BAD_TOKEN, "had expired when it came"),
        (FOUND, answer(401, "A JSON web token could not be decoded"), Code.BAD_CREDENTIALS, "was signed for"),
        (FOUND, answer(404, "Integration not found"), Code.BAD_CREDENTIALS, "was signed for"),
        (FOUND, answer(200, {"id": CANARY}), Code.BAD_TOKEN, "not what its documentation says"),
    ],
)
def test_what_a_refusal_means(wanted: TokenRequest, response: Response, code: Code, said: str) -> None:
    """Each has a next step, and repeats nothing that GitHub said."""
    told = failure(wanted, response).failure
    assert told.code is code
    assert said in told.message
    assert told.hint


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (403, {"retry_after": "30"}, 30.0),
        (403, {"x_ratelimit_remaining": "0"}, 60.0),
        (429, {}, 60.0),
    ],
)
def test_rate_limits_are_not_refusals(status: int, headers: Mapping[str, str], pause: float) -> None:
    """GitHub reports them with 403 as well, and secondary ones only with the time to wait."""
    told = failure(ONE, answer(status, "You have exceeded a secondary rate limit", **headers)).failure
    assert (told.code, told.retry_after) == (Code.RATE_LIMITED, pause)


HELLO = [{"full_name": "Octo/Hello"}]


def test_a_token_for_one_repository_must_say_so() -> None:
    """In whatever case GitHub writes the name."""
    (request,), issued = held(NARROW, token(repositories=HELLO))
    assert request.body is not None
    assert json.loads(request.body.reveal()) == {"permissions": {"contents": "read"}, "repositories": ["hello"]}
    assert issued is not None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"repositories": []},
        {"repositories": [{"full_name": "other/hello"}]},
        {"repositories": [*HELLO, {"full_name": "octo/world"}]},
        {"repositories": HELLO, "permissions": {"contents": "write"}},
        {"repositories": HELLO, "permissions": {"contents": "read", "metadata": "write"}},
        {"repositories": HELLO, "permissions": {"contents": "read", "packages": "read"}},
        {"repositories": HELLO, "permissions": {}},
    ],
)
def test_a_token_that_is_wider_is_refused(more: dict[str, object]) -> None:
    """A build action that may have nothing else would get it."""
    assert failure(NARROW, token(**more)).failure.code is Code.BAD_TOKEN
