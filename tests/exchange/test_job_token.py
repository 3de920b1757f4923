"""The one request by which a job of GitHub Actions gets its identity token."""

import json

import pytest

from credproxy.core.ask.credential import Secret, reveal
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failed
from credproxy.exchange.job_token import ask_job_token
from tests.hints import filled


URL = "https://pipelines.actions.test/abc/idtoken?api-version=2.0"


def asked(url: str = URL, audience: str = "vault") -> Request:
    """The request."""
    return next(ask_job_token(url, Secret("runtime"), audience=audience))


def answered(status: int, body: object = None) -> Secret:
    """The result of an answer."""
    conversation = ask_job_token(URL, Secret("runtime"), audience="vault")
    next(conversation)
    with pytest.raises(StopIteration) as ended:
        conversation.send(Response(status, (), json.dumps(body).encode(), 0.0, 0.0))
    assert isinstance(ended.value.value, Secret)
    return ended.value.value


@pytest.mark.parametrize(
    ("url", "audience", "wanted"),
    [
        (URL, "vault", f"{URL}&audience=vault"),
        ("https://actions.test/token", "vault", "https://actions.test/token?audience=vault"),
        (URL, "https://a.test/?x&y=1#z", f"{URL}&audience=https%3A%2F%2Fa.test%2F%3Fx%26y%3D1%23z"),
    ],
)
def test_the_audience_is_one_value_of_the_query(url: str, audience: str, wanted: str) -> None:
    """Whatever is in it; GitHub's URL has a query of its own."""
    assert asked(url, audience).url == wanted


def test_the_job_shows_what_it_was_told_to_ask_with() -> None:
    """In a header, which stays a secret until it is sent."""
    request = asked()
    headers = {name: reveal(value) for name, value in request.headers}
    assert headers["Authorization"] == "Bearer runtime"
    assert "runtime" not in repr(request)


def test_the_value_of_the_answer_is_the_token() -> None:
    """Source: actions/toolkit."""
    assert answered(200, {"value": "a.b.c"}).reveal() == "a.b.c"


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (200, {}, Code.BAD_TOKEN, "has no value"),
        (200, {"value": ""}, Code.BAD_TOKEN, "has no value"),
        (200, {"value": 1}, Code.BAD_TOKEN, "has no value"),
        (200, ["secret"], Code.BAD_TOKEN, "has no value"),
        (302, None, Code.REDIRECT_REFUSED, "redirects"),
        (401, {"message": "secret"}, Code.BAD_CREDENTIALS, "id-token: write"),
        (403, {"message": "secret"}, Code.BAD_CREDENTIALS, "the job is over"),
        (404, None, Code.BAD_TOKEN, "answered 404"),
        (429, None, Code.RATE_LIMITED, "come back later"),
        (500, None, Code.UPSTREAM_UNAVAILABLE, "answered 500"),
    ],
)
def test_every_other_answer_says_what_is_wrong(status: int, body: object, code: Code, says: str) -> None:
    """And quotes nothing of it."""
    with pytest.raises(Failed) as caught:
        answered(status, body)
    failure = caught.value.failure
    assert failure.code is code
    assert says in failure.message
    assert "secret" not in failure.message
    if not failure.may_pass:
        filled(
            failure.hint,
            "start the daemon in a step of the job that needs the token: what a job may ask with ends with the job",
        )
    assert answered(200, {"value": "another.job.s"}).reveal() == "another.job.s"
