"""The identity token of a job of GitHub Actions, for an audience: one request to the URL that the job was given.

Source: docs.github.com, "OpenID Connect reference"; actions/toolkit packages/core/src/oidc-utils.ts.
"""

from collections.abc import Generator
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import USER_AGENT, Dial, Request, Response
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import decode_object, is_token


SUBJECT = "GitHub's server of identity tokens"

_STARTED_ANEW = "start the daemon in a step of the job that needs the token: what a job may ask with ends with the job"


def ask_job_token(url: str, bearer: Secret, *, audience: str) -> Generator[Request, Response, Secret]:
    """Request one token.

    Args:
        url: ``ACTIONS_ID_TOKEN_REQUEST_URL``, which has a query already.
        bearer: ``ACTIONS_ID_TOKEN_REQUEST_TOKEN``.
        audience: its ``aud``.

    Raises:
        Failed: bad_credentials, bad_token, redirect_refused, rate_limited, upstream_unavailable.
    """
    response = yield Request(
        "GET",
        f"{url}{'&' if urlsplit(url).query else '?'}audience={quote(audience, safe='')}",
        headers=(
            ("Accept", "application/json"),
            ("Authorization", Secret(f"Bearer {bearer.reveal()}")),
            ("User-Agent", USER_AGENT),
        ),
        dial=Dial(own=True),
        subject=SUBJECT,
    )
    if response.status != HTTPStatus.OK:
        raise _refused(response)
    value = (decode_object(response.body) or {}).get("value")
    if not is_token(value):
        raise failed(
            Code.BAD_TOKEN, f"{SUBJECT} gave no token: its answer has no value that can be used", hint=_STARTED_ANEW
        )
    return Secret(value)


def _refused(response: Response) -> Failed:
    passing = transient(response, SUBJECT)
    if passing is not None:
        return passing
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        return failed(
            Code.REDIRECT_REFUSED, f"{SUBJECT} redirects, and a job's token is not sent on", hint=_STARTED_ANEW
        )
    if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        message = f"{SUBJECT} answered {response.status}: the job is over, or lacks the permission id-token: write"
        return failed(Code.BAD_CREDENTIALS, message, hint=_STARTED_ANEW)
    return failed(Code.BAD_TOKEN, f"{SUBJECT} answered {response.status}", hint=_STARTED_ANEW)
