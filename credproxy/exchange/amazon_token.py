"""Asking ECR or CodeArtifact for a token: one signed request, and what its answer means.

Source: docs.aws.amazon.com, GetAuthorizationToken of Amazon ECR, Amazon ECR Public and AWS CodeArtifact, "Errors".
"""

import base64
import binascii
import re
from collections.abc import Generator
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from credproxy.core.amazon_signatures import not_taken
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.ask.http_date import clock_ahead
from credproxy.core.ask.lifetime import LONGEST
from credproxy.core.ask.token_calls import TokenCall
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import is_token


_CODE: Final = re.compile(r"[A-Za-z]{3,60}")
_ACTIONS: Final = {
    "ecr": "ecr:GetAuthorizationToken",
    "ecr-public": "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken",
    "codeartifact": "codeartifact:GetAuthorizationToken and sts:GetServiceBearerToken",
}
_SKEWED: Final = frozenset({"InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"})
_NO_DOMAIN: Final = "ResourceNotFoundException"
_OVER: Final = frozenset({"ExpiredToken", "ExpiredTokenException"})
_UNKNOWN: Final = frozenset({"UnrecognizedClientException", "InvalidClientTokenId"})
_BUSY: Final = frozenset({"ThrottlingException", "Throttling", "LimitExceededException"})


class AmazonToken(NamedTuple):
    """A token; since when, and until when, as Login has them."""

    token: Secret
    since: float
    until: float
    wall_until: float


class _TokenAnswer(msgspec.Struct):
    """A token: what CodeArtifact answers, and what the others have in ``authorizationData``."""

    authorizationToken: str = ""  # noqa: N815  their names
    expiration: float | None = None
    expiresAt: float | None = None  # noqa: N815  Amazon's name


class _EcrAnswer(msgspec.Struct):
    """What ECR answers: a list, because it could once be asked for several at a time; ECR Public answers one."""

    authorizationData: list[_TokenAnswer] | _TokenAnswer  # noqa: N815  its name


class _ErrorAnswer(msgspec.Struct):
    type: str = msgspec.field(default="", name="__type")


def amazon_token(call: TokenCall, headers: tuple[tuple[str, Secret], ...]) -> Generator[Request, Response, AmazonToken]:
    """Ask for a token.

    Args:
        call: what is asked.
        headers: that it is signed with.

    Raises:
        Failed: denied, bad_credentials, bad_token; as ``statuses.transient`` says.
    """
    subject = f"Amazon's service {call.service!r} in {call.region!r}"
    # It changes nothing, so that it may be sent twice.
    body, dial = Secret(call.body.decode()), Dial(own=call.named)
    response = yield Request("POST", call.url, headers=headers, body=body, dial=dial, subject=subject)
    if response.status != HTTPStatus.OK:
        raise _no_token(response, call, subject)
    found = _read(response.body, call)
    end = found.expiresAt if found.expiresAt is not None else found.expiration
    token = _password(found.authorizationToken) if call.username else found.authorizationToken
    if not is_token(token) or end is None:
        message = f"{subject} answered without a token, or without its end"
        raise failed(Code.BAD_TOKEN, message, hint="see what it answers: aws ecr get-authorization-token")
    left = min(end - response.wall, LONGEST)  # none lasts longer; milliseconds would be ages
    return AmazonToken(Secret(token), response.sent, response.sent + left, response.wall + left)


def _read(body: bytes, call: TokenCall) -> _TokenAnswer:
    try:
        if not call.username:
            return msgspec.json.decode(body, type=_TokenAnswer)
        found = msgspec.json.decode(body, type=_EcrAnswer).authorizationData
    except UNREADABLE:  # whose text may quote the answer
        return _TokenAnswer()
    return next(iter(found), _TokenAnswer()) if isinstance(found, list) else found


def _password(text: str) -> str:
    """Of ``AWS:PASSWORD`` in base64."""
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return password if user == "AWS" else ""


def _no_token(response: Response, call: TokenCall, subject: str) -> Failed:
    code = _code(response)
    failure = _of_key(response, subject, code) or (None if code in _BUSY else transient(response, subject))
    if failure is not None:
        return failure
    if code in _BUSY:
        return failed(Code.RATE_LIMITED, f"{subject} asks to come back later", hint="try again in a minute")
    if code == _NO_DOMAIN:
        named = dict(parse_qsl(urlsplit(call.url).query))
        message = f"{subject} knows no domain {named.get('domain')!r} of {named.get('domain-owner')}"
        return failed(Code.DENIED, message, hint=f"aws codeartifact list-domains --region {call.region}")
    message = f"{subject} gives no token: it answered {response.status} {code}".rstrip()
    return failed(Code.DENIED, message, hint=f"let whom aws sts get-caller-identity names do {_ACTIONS[call.service]}")


def _of_key(response: Response, subject: str, code: str) -> Failed | None:
    """Say what is wrong with the access key; None for anything else."""
    if code in _SKEWED:
        ahead = clock_ahead(response.headers, response.wall)
        return not_taken(code, "this key", ahead=ahead, by=subject)
    if code in _OVER:
        message = f"{subject} says that the access key is over ({code})"
        return failed(Code.BAD_CREDENTIALS, message, hint="log in again: aws sso login, or aws configure")
    if code in _UNKNOWN:
        message = f"{subject} does not know the access key ({code})"
        return failed(Code.BAD_CREDENTIALS, message, hint="store one that it knows: aws configure")
    return None


def _code(response: Response) -> str:
    """The code of an error, and nothing else of what was said."""
    told = next(iter(response.all("x-amzn-errortype")), "")
    if not told:
        try:
            told = msgspec.json.decode(response.body, type=_ErrorAnswer).type
        except UNREADABLE:
            told = ""
    name = told.partition(":")[0].rpartition("#")[2]
    return name if _CODE.fullmatch(name) else ""
