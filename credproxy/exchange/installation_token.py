"""The token of a GitHub App's installation, in one to three requests. An App is installed once for an owner.

::

    GET  /orgs/OWNER/installation                  200 {"id": 1, ...}; 404 if the App is not installed there
    GET  /users/OWNER/installation                 likewise, for an owner that is not an organisation
    POST /app/installations/ID/access_tokens       {"repositories": ["x"], "permissions": {"contents": "read"}}
                                                   201 {"token", "expires_at", "permissions", "repositories"}

Both with ``Authorization: Bearer JWT``, which the App's key has signed. GitHub says why it refuses in a message; only
known words of it are recognised, and it is never passed on. 401 is for the signature of another App and for times that
do not fit its clock, 403 for a suspended installation and for rate limits, 404 for an installation of another App, 422
for repositories and permissions that the installation does not have.

Source: docs.github.com/rest/apps/apps; github.com/octokit/auth-app.js issues 698 and 1399 (``exp`` at ten minutes is
refused if the machine's clock is ahead), octokit.rb pull 1307 (suspended), PyGithub pull 3539 (422).
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar

import msgspec

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.github_urls import API_HEADERS, GithubName
from credproxy.core.ask.http import Dial, Method, Request, Response
from credproxy.core.ask.http_date import clock_ahead, server_time
from credproxy.core.ask.lifetime import LONGEST
from credproxy.core.ask.retry_after import retry_after
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import is_token


BACK: float = 60.0
"""Seconds by which ``iat`` is in the past, as GitHub's documentation asks for: clocks differ."""

AHEAD: float = 540.0
"""Seconds to ``exp``: GitHub allows 600, but refuses that if this machine's clock is ahead by a second."""

_IMPLIED = ("metadata", "read")
"""A permission that every token of an installation has."""

_NO_APP = "integration not found"

_DEFAULT_PAUSE = 60.0
"""Seconds to wait if GitHub does not say: its documentation asks for a minute at least."""

_LIMITED = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token to request.

    Attributes:
        api: root of the API.
        app: its id, for messages.
        dial: for connections to the API.
        owner: of the installation, if ``installation`` is None.
        installation: its id, or None.
        repositories: names; if empty, all that the installation has.
        permissions: of the token.
        only: the one repository that the token may be for, if its receiver may have nothing else.
    """

    api: str
    app: str
    dial: Dial
    owner: str
    installation: int | None
    repositories: tuple[str, ...]
    permissions: Mapping[str, str]
    only: GithubName | None = None

    @property
    def subject(self) -> str:
        """What messages call the server."""
        return f"the API {self.api!r}"


@dataclass(frozen=True, slots=True)
class InstallationToken:
    """A token, and its lifetime on both clocks."""

    token: Secret
    since: float
    until: float
    wall_until: float


class _InstallationReply(msgspec.Struct, frozen=True):
    id: int


class _RepositoryReply(msgspec.Struct, frozen=True):
    full_name: str


class _TokenReply(msgspec.Struct, frozen=True):
    token: str
    expires_at: datetime
    permissions: dict[str, str] = {}
    repositories: tuple[_RepositoryReply, ...] | None = None


class _RefusalReply(msgspec.Struct, frozen=True):
    message: str = ""


def claims(app: str, wall: float) -> dict[str, str | int]:
    """The claims that the App's key signs."""
    return {"iss": app, "iat": int(wall - BACK), "exp": int(wall + AHEAD)}


def installation_token(
    wanted: TokenRequest, assertion: Secret
) -> Generator[Request, Response, InstallationToken | None]:
    """Ask for a token; None if the App is not installed for an owner.

    Args:
        wanted: the token to request.
        assertion: the signed JWT.

    Raises:
        Failed: bad_credentials (401), denied (403, 404, 422), rate_limited, upstream_unavailable, bad_token.
    """
    installation = wanted.installation
    if installation is None:
        response = yield _request(wanted, "GET", f"/orgs/{wanted.owner}/installation", assertion)
        if _is_missing(response):
            response = yield _request(wanted, "GET", f"/users/{wanted.owner}/installation", assertion)
        if _is_missing(response):
            return None
        installation = _read(wanted, response, HTTPStatus.OK, _InstallationReply).id
    asked = {"permissions": dict(wanted.permissions)} | (
        {"repositories": list(wanted.repositories)} if wanted.repositories else {}
    )
    body = Secret(msgspec.json.encode(asked).decode())
    response = yield _request(wanted, "POST", f"/app/installations/{installation}/access_tokens", assertion, body)
    return _issued(wanted, response, _read(wanted, response, HTTPStatus.CREATED, _TokenReply))


def not_installed(wanted: TokenRequest) -> Failed:
    """The failure if no other source is asked."""
    hint = "install it there: its settings on GitHub, Install App; or name an installation: installation = NUMBER"
    return failed(Code.DENIED, f"the GitHub App {wanted.app!r} is not installed for {wanted.owner!r}", hint=hint)


def _is_missing(response: Response) -> bool:
    return response.status == HTTPStatus.NOT_FOUND and not _says(response, _NO_APP)


def _request(wanted: TokenRequest, method: Method, path: str, assertion: Secret, body: Secret | None = None) -> Request:
    headers = (("Authorization", Secret(f"Bearer {assertion.reveal()}")), *API_HEADERS)
    kind = () if body is None else (("Content-Type", "application/json"),)
    return Request(method, f"{wanted.api}{path}", (*headers, *kind), body, dial=wanted.dial, subject=wanted.subject)


def _read(wanted: TokenRequest, response: Response, status: HTTPStatus, kind: type[T]) -> T:
    if response.status != status:
        raise _refused(wanted, response)
    try:
        return msgspec.json.decode(response.body, type=kind)
    except UNREADABLE:
        raise _bad(wanted, "its answer is not what its documentation says") from None


def _issued(wanted: TokenRequest, response: Response, found: _TokenReply) -> InstallationToken:
    if not is_token(found.token):
        raise _bad(wanted, "its answer holds no usable token")
    if found.expires_at.tzinfo is None:
        raise _bad(wanted, "its answer does not say when the token ends")
    _check_narrow(wanted, found)
    date = server_time(response.headers)
    now = response.wall if date is None else date
    left = min(found.expires_at.timestamp() - now, LONGEST)
    if left <= 0:
        raise _bad(wanted, "the token had expired when it came")
    return InstallationToken(Secret(found.token), response.sent, response.sent + left, response.wall + left)


def _check_narrow(wanted: TokenRequest, found: _TokenReply) -> None:
    """Check that a token for build actions is limited as requested: a server that ignores ``repositories`` grants all."""
    if wanted.only is None:
        return
    names = [one.full_name for one in found.repositories or ()]
    granted = {name: level for name, level in found.permissions.items() if (name, level) != _IMPLIED}
    if len(names) != 1 or not wanted.only.is_named(names[0]) or granted != wanted.permissions:
        raise _bad(wanted, f"the token is not for reading {wanted.only.name!r} alone")


def _refused(wanted: TokenRequest, response: Response) -> Failed:
    failure = _limits(wanted, response) or transient(response, wanted.subject)
    if failure is not None:
        return failure
    whose = "its installation" if wanted.installation is None else f"the installation {wanted.installation}"
    match response.status:
        case HTTPStatus.UNAUTHORIZED:
            return _unauthorised(wanted, response)
        case HTTPStatus.NOT_FOUND if _says(response, _NO_APP):
            return _unauthorised(wanted, response)
        case HTTPStatus.FORBIDDEN if _says(response, "suspended"):
            problem = f"says that {whose} of the App {wanted.app!r} is suspended"
            hint = "its owner can lift that: Settings, Installed GitHub Apps, Configure"
        case HTTPStatus.NOT_FOUND:
            problem = f"knows no such installation of the App {wanted.app!r}"
            hint = "installation is the number at the end of the address of Settings, Installed GitHub Apps, Configure"
        case HTTPStatus.UNPROCESSABLE_ENTITY if _says(response, "permission"):
            names = ", ".join(f"{name} = {level}" for name, level in wanted.permissions.items())
            problem = f"says that {whose} of the App {wanted.app!r} does not have all of: {names}"
            hint = "grant it in the App's settings, Permissions & events, and accept that for the installation"
        case HTTPStatus.UNPROCESSABLE_ENTITY if wanted.repositories:
            names = ", ".join(wanted.repositories)
            problem = f"says that {whose} of the App {wanted.app!r} does not have all of: {names}"
            hint = "add them to the installation: Settings, Installed GitHub Apps, Configure, Repository access"
        case status:
            problem = f"refuses the App {wanted.app!r} a token, with status {status}"
            hint = "look at its installation: Settings, Installed GitHub Apps, Configure"
    return failed(Code.DENIED, f"{wanted.subject} {problem}", hint=hint)


def _unauthorised(wanted: TokenRequest, response: Response) -> Failed:
    ahead = clock_ahead(response.headers, response.wall)
    if _says(response, "claim") or (ahead is not None and abs(ahead) > BACK):
        by = "" if ahead is None else f", which is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
        problem, hint = f"does not take times by this machine's clock{by}", "timedatectl set-ntp true"
    else:
        problem = f"does not take what was signed for the App {wanted.app!r}"
        hint = "compare app with the App's settings on GitHub; under Private keys there, make a new key"
    return failed(Code.BAD_CREDENTIALS, f"{wanted.subject} {problem}", hint=hint)


def _limits(wanted: TokenRequest, response: Response) -> Failed | None:
    """Primary and secondary rate limits, reported with 403 as well. Source: docs.github.com/rest, "Rate limits"."""
    pause = retry_after(response.headers, response.wall)
    spent = "0" in response.all("x-ratelimit-remaining")
    limited = spent or pause is not None or _says(response, "rate limit")
    if response.status not in _LIMITED or not limited:
        return None
    message, hint = f"{wanted.subject} limits the rate of requests of the App {wanted.app!r}", "try again later"
    return failed(Code.RATE_LIMITED, message, hint=hint, retry_after=pause or _DEFAULT_PAUSE)


def _says(response: Response, word: str) -> bool:
    try:
        return word in msgspec.json.decode(response.body, type=_RefusalReply).message.lower()
    except UNREADABLE:
        return False


def _bad(wanted: TokenRequest, problem: str) -> Failed:
    return failed(Code.BAD_TOKEN, f"{wanted.subject} gave no token: {problem}", hint="ask its administrator")
