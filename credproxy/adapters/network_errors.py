"""Describes network errors in our words: a library's messages contain headers and URLs (PY17)."""

import errno
import http.client
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple

import aiohttp

from credproxy.adapters.answer_framing import UnfitAnswerError
from credproxy.adapters.dial import network_of
from credproxy.adapters.tunnel import ProxyError
from credproxy.core.ask.proxy import Proxy, proxy_of
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.hints import in_rule


class SilentError(TimeoutError):
    """The request was sent, and no answer began in time. Not to be sent again: the server would restart its work."""


class Call(NamedTuple):
    """One request, for messages about it.

    Attributes:
        name: what to call the other side, such as ``registry 'ghcr.io'``.
        host: that the request goes to.
        rule: the ``match`` of the ``[[host]]`` that a remedy goes into: a token server has no rule of its own.
        kind: of that rule.
        proxy: the setting, with its login.
        answer: seconds that were waited for the beginning of an answer.
    """

    name: str
    host: str
    proxy: str | None = None
    answer: float = 0.0
    rule: str = ""
    kind: str = "oci"

    def setting(self, text: str) -> str:
        """The rule that a helpful setting goes into."""
        return in_rule(self.rule or self.host, self.kind, setting=text)


def explain(error: Exception, call: Call, *, refused: Sequence[str] = ()) -> Failed:
    """Say what happened to a request.

    Args:
        error: from aiohttp, ``http.client`` or the system.
        call: the request.
        refused: addresses that the dial guard did not let through.
    """
    try:
        proxy = proxy_of(call.proxy)
    except ValueError:
        return failed(Code.CONFIG_INVALID, f"the proxy for {call.name} has no host", hint="credproxy config check")
    if refused and not isinstance(error, aiohttp.ClientPayloadError):
        return _refused(refused[0], call, proxy)
    if proxy is not None:
        if isinstance(error, ProxyError):
            return _by_proxy(error, call, proxy)
        call = call._replace(name=f"{call.name}, asked through {proxy.name},")
    if isinstance(error, SilentError | aiohttp.SocketTimeoutError):
        message = f"{call.name} has not begun to answer within {call.answer:g} s"
        failure = failed(
            Code.UPSTREAM_UNAVAILABLE, message, hint="it is reachable but slow: ask its administrator"
        ).failure
        return Failed(replace(failure, unanswered=True))
    error = _of_tls(error)
    if isinstance(error, _TLS) and not isinstance(error, _CLOSED):
        reason = _tls_reason(error)
        return failed(
            Code.TLS_FAILED,
            f"the TLS connection to {call.name} failed: {reason}",
            hint=_tls_hint(error, reason, call=call),
        )
    return _of_the_network(error, call)


def _of_tls(error: Exception) -> Exception:
    """The error of TLS itself: aiohttp gives one that came after the handshake as one of the system's, under another number."""
    cause = error.__cause__
    return cause if isinstance(error, aiohttp.ClientOSError) and isinstance(cause, ssl.SSLError) else error


def _tls_hint(error: Exception, reason: str, *, call: Call) -> str:
    if any(part in reason for part in _PLAIN):
        return "if it speaks plain http, say so " + call.setting("insecure = true")
    if _is_dated(error):
        return "is this machine's clock right? timedatectl status; if so, ask its administrator"
    if any(part in reason for part in _UNIDENTIFIED):
        return "if it wants a client certificate, name that " + call.setting('client_cert = "/PATH/client.pem"')
    return "if its certificate comes from a private CA, name that " + call.setting('ca_bundle = "/PATH/ca.pem"')


def _of_the_network(error: Exception, call: Call) -> Failed:
    if _is_overlong(error):
        # As final as any limit: the next answer will have as many headers, and a client would retry for 35 s.
        message = f"{call.name} answered with more header fields, or longer ones, than are read"
        return failed(Code.ANSWER_TOO_LARGE, message, hint="ask its administrator")
    return Failed(
        Failure(
            Code.UPSTREAM_UNAVAILABLE,
            f"{call.name} {_network_reason(error)}",
            "check the network, then try again",
            unsent=isinstance(error, _UNCONNECTED),
        )
    )


def _refused(address: str, call: Call, proxy: Proxy | None) -> Failed:
    if proxy is not None:
        message = f"{proxy.name} leads to the address {address}, which is not to be contacted"
        return failed(Code.ADDRESS_REFUSED, message, hint=f"name another proxy for {call.name}")
    return failed(
        Code.ADDRESS_REFUSED,
        f"{call.name} leads to the address {address}, which is not to be contacted",
        hint=_allowing(address, call),
    )


def _allowing(address: str, call: Call) -> str:
    network = network_of(address)
    if network is None:
        return f"no setting allows that address: the DNS entry of {call.host!r} has to be corrected"
    return "if that is right, say so " + call.setting(f'allow_private = ["{network}"]')


def _is_overlong(error: Exception) -> bool:
    """True for a head beyond a parser's limits; neither library has one exception type for all of them."""
    if isinstance(error, http.client.HTTPException):
        return str(error).startswith("got more than")
    return isinstance(error, aiohttp.ClientResponseError) and error.message.startswith(("Got more than", "Too many"))


_LOGIN_WANTED = frozenset({HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.UNAUTHORIZED})
"""tinyproxy answers 407 to a request without a login, and 401 to one with a wrong login."""

_MAY_PASS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


def _by_proxy(error: ProxyError, call: Call, proxy: Proxy) -> Failed:
    """Describe a proxy's failure: a refusal is final like a registry's, and an outage may pass like any other.

    Never ``bad_credentials``: that is about the registry's login, and would drop its rotated refresh token.
    """
    status = error.status
    if not status and isinstance(error.cause, TimeoutError):
        # It is not known which was silent: the proxy, or the target in the TLS handshake.
        hint = f"is the proxy running, and does it reach {call.host!r}?"
        message = f"no connection to {call.name} through {proxy.name} could be made in time"
        return failed(Code.UPSTREAM_UNAVAILABLE, message, hint=hint)
    if not status:
        reason = _network_reason(error.cause or error)
        hint = f"is it running? It is the proxy of the [[host]] for {call.name}"
        return failed(Code.UPSTREAM_UNAVAILABLE, f"{proxy.name} {reason}", hint=hint)
    if status in _LOGIN_WANTED and proxy.authorization is None:
        hint = f'add one to its URL, percent-encoded: proxy = "http://USER:PASSWORD@{proxy.place}"; credproxy reload'
        message = f"{proxy.name} wants a login (status {status}), and none is configured"
        return failed(Code.DENIED, message, hint=hint)
    if status in _LOGIN_WANTED:
        hint = (
            'correct it, percent-encoded, in proxy = "http://USER:PASSWORD@..."; credproxy reload. Only Basic is spoken'
        )
        return failed(Code.DENIED, f"{proxy.name} refuses the login of its URL (status {status})", hint=hint)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _MAY_PASS:
        hint = f"ask the proxy's administrator to allow {call.host!r}, or take the proxy out of the [[host]]"
        return failed(Code.DENIED, f"{proxy.name} refuses to connect to {call.name} (status {status})", hint=hint)
    message = f"{proxy.name} could not connect to {call.name} (status {status})"
    return failed(
        Code.UPSTREAM_UNAVAILABLE, message, hint=f"is {call.host!r} up, and does the proxy reach it? Then try again"
    )


_UNCONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""There was no connection, so nothing of the request was sent: not even a refresh token was spent."""

_PLAIN = ("wrong version number", "http request", "record layer failure")
"""OpenSSL's errors for a server that answers TLS with plain text."""


def _is_dated(error: BaseException) -> bool:
    """Whether a certificate is not valid yet, or not any more: by this machine's clock."""
    cause = _tls_cause(error)
    return isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _DATES


_DATES = frozenset({9, 10})
"""Source: OpenSSL, x509_vfy.h: X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


def _tls_cause(error: BaseException) -> BaseException:
    return getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error


_UNIDENTIFIED = (
    "alert handshake failure",
    "alert certificate required",
    "alert bad certificate",
    "alert certificate expired",
    "alert certificate unknown",
    "alert unknown ca",
)
"""What servers say, by TLS 1.2 and 1.3, to a client without the certificate that they want."""


def _tls_reason(error: BaseException) -> str:
    cause = _tls_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message.lower().rstrip(".")
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason.lower().replace("_", " ")
    return "the handshake was broken off"


_TLS = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError)
_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""TLS errors that only say that the other side has left: unlike certificate errors, these may be tried again."""

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "has no address: the name was not found"),
    (socket.gaierror, "has no address: the name was not found"),
    (UnicodeError, "has no address: that is not the name of a host"),
    (TimeoutError, "did not complete a connection in time"),
    (aiohttp.ServerDisconnectedError, "closed the connection without an answer"),
    (ConnectionResetError, "closed the connection without an answer"),
    (ssl.SSLError, "closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "broke off in the middle of its answer"),
    (http.client.IncompleteRead, "broke off in the middle of its answer"),
    (aiohttp.ClientResponseError, "gave an answer that is not HTTP"),
    (http.client.HTTPException, "gave an answer that is not HTTP"),
)


_BROKEN_OFF = frozenset({errno.ECONNRESET, errno.EPIPE})


def _network_reason(error: Exception) -> str:
    if isinstance(error, UnfitAnswerError):
        return error.reason
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    number = getattr(error, "errno", None) or getattr(getattr(error, "os_error", None), "errno", None)
    if number in _BROKEN_OFF and not isinstance(error, aiohttp.ClientConnectorError):
        return "closed the connection without an answer"
    return f"cannot be reached: {os.strerror(number).lower()}" if number else "cannot be reached"
