"""The access key for R2 that a token of Cloudflare's API is as well: its id, and the digest of the token.

Source: developers.cloudflare.com/r2/api/tokens, "Get S3 API credentials from an API token"; Cloudflare's API reference, "Verify
Token" of users and of accounts.
"""

import hashlib
from collections.abc import Generator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, failed
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import is_token


API: Final = "https://api.cloudflare.com/client/v4"
_SUBJECT: Final = "Cloudflare's API"
_HINT = "make another one at dash.cloudflare.com, that may read objects, and put it into CLOUDFLARE_API_TOKEN"


class _VerifiedToken(msgspec.Struct):
    id: str
    status: str = ""
    expires_on: datetime | None = None


class _VerifyAnswer(msgspec.Struct):
    result: _VerifiedToken | None = None


class CloudflareKeys(NamedTuple):
    """An access key, since when it is known to be one, and when it ends: boot-clock and POSIX seconds, None for never."""

    keys: AwsKeys
    since: float
    until: float | None = None
    wall_until: float | None = None


def cloudflare_keys(token: Secret, account: str | None) -> Generator[Request, Response, CloudflareKeys]:
    """Ask for the id of a token.

    Args:
        token: of Cloudflare's API.
        account: whose bucket is asked about; a token may be the account's, or a user's. None if that is not known.

    Raises:
        Failed: bad_credentials for a token that is none, or no longer; bad_token; as ``statuses.transient`` says.
    """
    places = ("/user/tokens/verify", *(() if account is None else (f"/accounts/{account}/tokens/verify",)))
    status = 0
    for place in places:
        bearer = ("Authorization", Secret(f"Bearer {token.reveal()}"))
        response = yield Request("GET", f"{API}{place}", headers=(bearer,), subject=_SUBJECT)
        if (failure := transient(response, _SUBJECT)) is not None:
            raise failure
        status = response.status
        if status == HTTPStatus.OK:
            return _read(response, token)
    raise failed(Code.BAD_CREDENTIALS, f"{_SUBJECT} does not know the token: it answered {status}", hint=_HINT)


def _read(response: Response, token: Secret) -> CloudflareKeys:
    try:
        found = msgspec.json.decode(response.body, type=_VerifyAnswer).result
    except UNREADABLE:  # whose text may quote the answer
        found = None
    if found is None or not is_token(found.id):
        raise failed(Code.BAD_TOKEN, f"{_SUBJECT} answered without the id of the token", hint=_HINT)
    if found.status and found.status != "active":
        raise failed(Code.BAD_CREDENTIALS, f"the token for {_SUBJECT} is {found.status[:12]!a}", hint=_HINT)
    keys = AwsKeys(found.id, Secret(hashlib.sha256(token.reveal().encode()).hexdigest()))
    if found.expires_on is None:
        return CloudflareKeys(keys, response.sent)
    end = found.expires_on if found.expires_on.tzinfo is not None else found.expires_on.replace(tzinfo=UTC)
    wall = end.timestamp()
    return CloudflareKeys(keys, response.sent, response.sent + wall - response.wall, wall)
