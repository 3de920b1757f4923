"""Failures and upstream's refusals in the error shape of the OCI distribution specification.

``img`` prints ``<CODE>: <message>`` and repeats 408, 429 and most of 5xx for 35 s: so a failure that time does not fix
is at once a 403 with cause and remedy, and never a 401, which would make the client ask for a token on our socket
(docs/design/clients.md#the-gateway). What is too large stays too large: it is a 413.

A message names its sender: the registry, the host where it keeps its blobs, or a proxy.

An upstream's text is never passed on: only a code from the specification's list is used from its body.
"""

import json
from http import HTTPStatus
from shlex import quote
from typing import Final

import msgspec
from msgspec.structs import replace

from credproxy.core.ask.disclosure import outward
from credproxy.core.ask.single_sign_on import REMEDY as SIGN_ON_REMEDY, single_sign_on
from credproxy.core.errors import Code, Failure
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.gateway.headers import refused, warning
from credproxy.gateway.incoming import Headers, Reply, UpstreamAnswer
from credproxy.gateway.wanted import Wanted, What


API_VERSION: Final = ("Docker-Distribution-API-Version", "registry/2.0")

_JSON = ("Content-Type", "application/json")

_STATUS = {
    Code.BAD_REQUEST: (400, "UNSUPPORTED"),
    Code.NOT_FOUND: (404, "UNSUPPORTED"),
    Code.METHOD_NOT_ALLOWED: (405, "UNSUPPORTED"),
    Code.TOO_LARGE: (413, "SIZE_INVALID"),
    Code.RATE_LIMITED: (429, "TOOMANYREQUESTS"),
    Code.INTERNAL: (500, "UNKNOWN"),
    Code.ANSWER_TOO_LARGE: (413, "SIZE_INVALID"),
    Code.UPSTREAM_UNAVAILABLE: (503, "UNAVAILABLE"),
    Code.OVERLOADED: (503, "UNAVAILABLE"),
    Code.STILL_TRYING: (504, "UNAVAILABLE"),
}
"""Everything else is about permission, policy or credentials, or about a registry that will not change: 403."""

_SPECIFIED = frozenset(
    {
        "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "TAG_INVALID", "UNSUPPORTED",
    }
)  # a table  # fmt: skip

_UNKNOWN = {
    What.BLOB: "BLOB_UNKNOWN",
    What.MANIFEST: "MANIFEST_UNKNOWN",
    What.TAGS: "NAME_UNKNOWN",
    What.REFERRERS: "NAME_UNKNOWN",
    What.UPLOADS: "NAME_UNKNOWN",
    What.SESSION: "BLOB_UPLOAD_UNKNOWN",
    What.OBJECT: "UNSUPPORTED",
}

_UNASKED = {206: ", a part that was not asked for", 304: " where no condition was set"}

_PASSING = frozenset({502, 503, 504})
_FINAL = frozenset({*range(400, 500), 501, 505}) - {408}
_DENIED = frozenset({401, 403, 407})
_LONGEST_BODY = 64 * 1024

_HOSTS_HINT = "your login is not the cause: is this machine's clock right? If so, ask the registry's administrator"


def failure_reply(failure: Failure) -> Reply:
    """The reply for a failure of our own."""
    status, code = _STATUS.get(failure.code, (403, "DENIED"))
    return _reply(status, code, failure)


def refusal_reply(wanted: Wanted, answer: UpstreamAnswer, *, body: bytes) -> Reply:
    """The reply for a registry's answer of 400 or more, or one that does not fit the request.

    Args:
        wanted: the operation.
        answer: its head.
        body: only a code of the specification is used from it.
    """
    return replace(_refusal(wanted, answer, body), upstream=True)


def _refusal(wanted: Wanted, answer: UpstreamAnswer, body: bytes) -> Reply:
    status, speaker = answer.status, answer.subject or wanted.upstream
    what = wanted.described
    if status in _DENIED:
        return _reply(HTTPStatus.FORBIDDEN, "DENIED", _denied(wanted, answer, speaker, what))
    if status == HTTPStatus.NOT_FOUND:
        where = f" in {wanted.repository!r}" if wanted.object is None else ""
        failure = Failure(Code.NOT_FOUND, f"{speaker} has no such {wanted.what.value}{where}")
        reply = _reply(status, _UNKNOWN[wanted.what], failure, answer.headers)
        # A read may ask whether something exists: "not found" is then an answer and not a refusal.
        return replace(reply, code="") if wanted.reads and answer.own else reply
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        failure = Failure(Code.RATE_LIMITED, f"{speaker} limits the rate of requests", "try again later")
        return _reply(status, "TOOMANYREQUESTS", failure, answer.headers)
    if status in _FINAL:
        failure = Failure(Code.BAD_REQUEST, f"{speaker} refuses {what} with status {status}")
        told = "SIZE_INVALID" if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else "UNSUPPORTED"
        return _reply(status, _specified(body) or told, failure, answer.headers)
    message = f"{speaker} answered {what} with status {status}{_UNASKED.get(status, '')}"
    failure = Failure(Code.UPSTREAM_UNAVAILABLE, message, "try again")
    return _reply(status if status in _PASSING else HTTPStatus.BAD_GATEWAY, "UNAVAILABLE", failure, answer.headers)


def unread(wanted: Wanted, reply: Reply) -> Reply:
    """A failure as an answer to HEAD, which has no body for the reason.

    ``img`` sends a HEAD before it pushes, and prints only the status of a 403. After a 404 it goes on to the request
    whose refusal has a body. The reason also stands in a ``Warning``, which some clients print.
    """
    final = reply.status == HTTPStatus.FORBIDDEN and wanted.what in {What.BLOB, What.MANIFEST}
    told = () if reply.status == HTTPStatus.NOT_FOUND and not reply.code else (warning(reply.told),)
    return replace(reply, status=HTTPStatus.NOT_FOUND if final else reply.status, headers=(*reply.headers, *told))


def in_api_form(reply: Reply) -> Reply:
    """A failure in the form of the JSON API: a client that asks for an object is not a registry client."""
    if not reply.told or not isinstance(reply.body, bytes):
        return reply
    found = json.loads(reply.body)["errors"][0]
    body = {"error": {"code": found["detail"]["code"], "message": found["message"]}}
    return replace(
        reply, body=msgspec.json.encode(body), headers=tuple(field for field in reply.headers if field != API_VERSION)
    )


def _denied(wanted: Wanted, answer: UpstreamAnswer, speaker: str, what: str) -> Failure:
    if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        message = f"a proxy in front of {speaker} wants a login of its own (status 407)"
        hint = f'put it into the [[host]] of {wanted.registry!r}: proxy = "http://USER:PASSWORD@HOST:PORT"'
        return Failure(Code.DENIED, message, hint)
    if not answer.own:
        message = f"{speaker} refuses {what} with status {answer.status}, also at a new place that the registry named"
        return Failure(Code.DENIED, message if wanted.reads else message.partition(", also")[0], _HOSTS_HINT)
    if wanted.object is not None:
        sign_on = single_sign_on(wanted.object, answer.status, headers=answer.headers)
        if sign_on is not None and not answer.anonymous:
            message = (
                f"{speaker} refuses {what}: the token is not authorised for the single sign-on of {sign_on.name!r}"
            )
            return Failure(Code.DENIED, message, f"outside the build open {sign_on.page}, then {SIGN_ON_REMEDY}")
        hint = f"credproxy explain {quote(f'{wanted.object.origin}{wanted.object.path}')}"
        without = "without a credential, and there is none for it"
        return Failure(
            Code.DENIED,
            f"{speaker} refuses {what} {without if answer.anonymous else 'with the credential that it has'}",
            hint,
        )
    login = f"docker login {wanted.registry}"
    if answer.anonymous:
        return Failure(Code.DENIED, f"{speaker} refuses {what} without a login, and there is none for it", login)
    uri = f"https://{wanted.registry}/v2/{wanted.repository}/tags/list"
    hint = f"credproxy explain {uri} shows which login that is; another one: {login}"
    return Failure(Code.DENIED, f"{speaker} refuses {what} with the login that is stored for it", hint)


def _reply(status: int, code: str, failure: Failure, headers: Headers = ()) -> Reply:
    shown = outward(failure)
    remedy = f"; {shown.hint}" if shown.hint else ""
    told = f"{shown.message}{remedy} ({shown.code.value})"
    body = {"errors": [{"code": code, "message": told, "detail": {"code": failure.code.value}}]}
    kept = refused(headers)
    if failure.pause is not None:
        kept = (("Retry-After", str(max(1, round(failure.pause)))),)
    return Reply(
        status,
        (_JSON, API_VERSION, *kept),
        msgspec.json.encode(body),
        code=failure.code.value,
        reason=failure.message,
        told=told,
        inside=failure.inside,
    )


def _specified(body: bytes) -> str | None:
    if len(body) > _LONGEST_BODY:
        return None
    try:
        code = json.loads(body)["errors"][0]["code"]
    except (LookupError, TypeError, *UNREADABLE):
        return None
    return code if isinstance(code, str) and code in _SPECIFIED else None
