"""Questions from the wire, and answers in exactly the shape that real clients accept.

Bazel's parser refuses fractions of a second and ``null``, and crashes on a repeated header; img misses a lower-case
``authorization``; gRPC adapters refuse a second value. Tests check every answer against a port of Bazel's parser.

Source: docs/design/clients.md#what-bazel-accepts, CL-16 to CL-22, T27.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from credproxy.core.ask.credential import Handout, IdentityToken, Secret, Stored, UserPassword
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.uri import shown
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.unreadable_json import UNREADABLE


ANSWER_LIMIT = 8000
"""Bytes of an answer: a pipe holds 8,192 once its user has many, and Bazel reads only after the exit (CL-4)."""

_HEADERS = 32
_LAST_SECOND = 253_402_300_799  # of year 9999: Bazel's pattern has four digits
_CAUSE = 1400
_HINT = 600  # with the cause at most 2 KiB: stderr has the same narrow pipe (CL-5)

# One string member named uri and nothing else, as every known client but Bazel's own sample sends it.
_PLAIN = re.compile(
    rb"""
    [ \t\r\n]*+ \{ [ \t\r\n]*+ "uri" [ \t\r\n]*+ : [ \t\r\n]*+
    (" [^"\\]*+ (?: \\. [^"\\]*+ )*+ ")
    [ \t\r\n]*+ \} [ \t\r\n]*+
    """,
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?")
_FORBIDDEN = frozenset(
    {
        "connection",
        "content-length",
        "content-transfer-encoding",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)

_decode_string = msgspec.json.Decoder(str).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def decode_request(body: bytes) -> str:
    """The ``uri`` of a credential-helper request, not yet validated; other members are ignored.

    Raises:
        Failed(bad_request): not a JSON object, a repeated member, no ``uri``, or one that is not a string. The body is
            never quoted: a URI may hold a secret.
    """
    plain = _PLAIN.fullmatch(body)
    if plain is None:
        return _decode_other(body)
    try:
        return _decode_string(plain[1])
    except UNREADABLE:
        raise _bad_request("the request is not valid JSON") from None


def encode_answer(handout: Handout) -> bytes:
    """The credential-helper response, compact, without a newline.

    ``{"headers":{}}`` means "no credential", with ``expires`` like any other, since clients cache it (CL-16).

    Raises:
        Failed(bad_token): a header that no client could send; the message never holds the value.
        Failed(answer_too_large): more than ANSWER_LIMIT bytes.
    """
    problem = unsendable(handout.headers)
    if problem is not None:
        raise failed(Code.BAD_TOKEN, f"the credential cannot be sent: {problem}", hint="check where it is stored")
    headers = {
        "Authorization" if name.lower() == "authorization" else name: values
        for name, secrets in handout.headers
        if (values := _sent(secrets))
    }
    if len(headers) > _HEADERS:
        raise failed(Code.ANSWER_TOO_LARGE, f"the answer has {len(headers)} headers, more than {_HEADERS}")
    encoded = _encode(
        {"headers": headers} if handout.expires is None else {"headers": headers, "expires": _time(handout.expires)}
    )
    if len(encoded) > ANSWER_LIMIT:
        raise failed(
            Code.ANSWER_TOO_LARGE,
            f"the answer has {len(encoded)} bytes, more than the {ANSWER_LIMIT} that fit through a helper's pipe",
            hint="store a shorter one: a token that grants less is shorter; build actions can use the gateway instead",
        )
    return encoded


def unsendable(headers: Sequence[tuple[str, Sequence[Secret]]]) -> str | None:
    """Why headers could not be handed out, or None. Names a header, never a value."""
    seen: set[str] = set()
    for name, secrets in headers:
        problem = header_problem(name, _sent(secrets))
        if problem is None and name.lower() in seen:
            problem = f"the header {name!r} occurs twice"
        if problem is not None:
            return problem
        seen.add(name.lower())
    return None


def _sent(secrets: Sequence[Secret]) -> list[str]:
    return [secret.reveal().strip(" \t\r\n") for secret in secrets]


def is_header_name(name: str) -> bool:
    """Whether a text can be the name of a header. Source: RFC 9110, section 5.1."""
    return _NAME.fullmatch(name) is not None


def header_problem(name: str, values: Sequence[str]) -> str | None:
    """Why a header must not be sent, or None. Names the header, never a value.

    Args:
        name: any case.
        values: already stripped; none at all is fine, there is nothing to send then.
    """
    lower = name.lower()
    if not is_header_name(name):
        return f"{name[:40]!r} is not a header name"
    if lower in _FORBIDDEN:
        return f"the header {name!r} belongs to the connection"
    if lower == "authorization" and (len(values) > 1 or not all(values)):
        return f"the header {name!r} needs one value"
    if not all(value.isascii() and value.isprintable() for value in values):
        return f"the value of the header {name!r} has characters other than printable ASCII"
    if lower.endswith("-bin") and not all(map(_BASE64.fullmatch, values)):
        return f"the value of the header {name!r} is not base64, as gRPC requires for names ending in -bin"
    return None


def encode_docker(server_url: str, stored: Stored) -> bytes | None:
    """The docker helper protocol's answer; None if what is stored is not a login, which is "not found" to docker.

    ``server_url`` is returned as it was sent.

    Raises:
        Failed(credential_unreadable): a login that is not UTF-8, as a netrc file may hold it: JSON cannot carry it.
    """
    match stored:
        case UserPassword(username, password):
            secret = password
        case IdentityToken(token):
            username, secret = "<token>", token
        case _:
            return None
    try:
        return _encode({"ServerURL": server_url, "Username": username, "Secret": secret.reveal()})
    except UnicodeEncodeError:
        raise unreadable(
            f"the login for {shown(server_url)}",
            "is not UTF-8, the only encoding that docker accepts",
            hint="store it in UTF-8",
        ) from None


def encode_failure(failure: Failure) -> bytes:
    """The JSON body of an error. Source: docs/reference/api.md."""
    error: dict[str, str | float] = {
        "code": failure.code.value,
        "message": _printable(failure.message),
        "hint": _printable(failure.hint),
    }
    if failure.pause is not None:
        error["retry_after"] = failure.pause
    return _encode({"error": error})


def failure_text(failure: Failure) -> str:
    """What the helper prints: the cause in one line, then the next step in one line; at most 2 KiB in UTF-8."""
    hint = failure.hint
    if not hint and failure.pause is not None:
        hint = f"ask again in {failure.pause:.0f} s"
    lines = f"{_cut(failure.message, _CAUSE)} ({failure.code.value})\n"
    return f"{lines}{_cut(hint, _HINT)}\n" if hint else lines


def _decode_other(body: bytes) -> str:
    if not body.strip():
        raise _bad_request("the request is empty: it must be a JSON object with a 'uri'")
    try:
        _decode_any(body)  # stricter than json: UTF-8 only, no NaN, no control characters
        # Parsers differ in which of two equal members counts, so the decision could be about one and the action about the other.
        request: object = json.loads(body, object_pairs_hook=_once, parse_int=float)
    except UNREADABLE:
        raise _bad_request("the request is not valid JSON") from None
    if not isinstance(request, dict):
        raise _bad_request("the request is not a JSON object")
    if "uri" not in request:
        raise _bad_request("the request has no 'uri'")
    uri = request["uri"]
    if not isinstance(uri, str):
        raise _bad_request("the 'uri' of the request is not a string")
    return uri


def _once(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) < len(members):
        raise _bad_request("the request has a member twice")
    return found


def _bad_request(message: str) -> Failed:
    return failed(Code.BAD_REQUEST, message, hint='send {"uri": "https://registry.example.com/v2/..."}')


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(min(max(seconds, 0), _LAST_SECOND), UTC).isoformat()[:19]}Z"


def _printable(text: str) -> str:
    """One line without terminal control characters: a message may quote what an upstream sent."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _cut(text: str, limit: int) -> str:
    encoded = _printable(text).encode()
    return encoded.decode() if len(encoded) <= limit else f"{encoded[:limit].decode(errors='ignore')}..."
