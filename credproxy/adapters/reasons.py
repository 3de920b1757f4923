"""What went wrong on the network, in our words: a library's texts hold headers and URLs (PY17)."""

import errno
import http.client
import os
import socket
import ssl
from collections.abc import Sequence

import aiohttp

from credproxy.core.errors import Code, Failed, failed


def explain(error: Exception, *, refused: Sequence[str], name: str, host: str) -> Failed:
    """Say what happened to a request.

    Args:
        error: of aiohttp, of ``http.client`` or of the system.
        refused: addresses that the dial guard did not let through.
        name: what to call the other side, such as ``registry 'ghcr.io'``.
        host: whose ``[[host]]`` a remedy would go into.
    """
    if refused and not isinstance(error, aiohttp.ClientPayloadError):
        return failed(
            Code.ADDRESS_REFUSED,
            f"{name} leads to the address {refused[0]}, which is not to be contacted",
            f'if that is right, add allow_private = ["{refused[0]}/32"] to the [[host]] of {host!r}',
        )
    if isinstance(error, _TLS) and not isinstance(error, _CLOSED):
        reason = _tls_reason(error)
        plain = any(part in reason for part in _PLAIN)
        return failed(
            Code.TLS_FAILED,
            f"the TLS connection to {name} failed: {reason}",
            f"if it speaks plain http, say so in the [[host]] of {host!r}: insecure = true"
            if plain
            else "if its certificate comes from a private CA, name that in ca_bundle",
        )
    return failed(
        Code.UPSTREAM_UNAVAILABLE, f"{name} {_network_reason(error)}", "check the network, then run the build again"
    )


_PLAIN = ("wrong version number", "http request", "record layer failure")
"""What OpenSSL says of a server that answers TLS with a sentence."""


def _tls_reason(error: BaseException) -> str:
    cause: BaseException | None = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message.lower().rstrip(".")
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason.lower().replace("_", " ")
    return "the handshake was broken off"


_TLS = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError)
_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""TLS errors that say no more than that the other side has left: of those, unlike of certificates, the next try is free."""

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "has no address: the name was not found"),
    (socket.gaierror, "has no address: the name was not found"),
    (UnicodeError, "has no address: that is no name of a host"),
    (aiohttp.SocketTimeoutError, "did not answer in time"),
    (TimeoutError, "did not accept a connection in time"),
    (aiohttp.ServerDisconnectedError, "closed the connection without an answer"),
    (ConnectionResetError, "closed the connection without an answer"),
    (ssl.SSLError, "closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "broke off in the middle of its answer"),
    (http.client.IncompleteRead, "broke off in the middle of its answer"),
    (aiohttp.ClientResponseError, "gave an answer that is no HTTP"),
    (http.client.HTTPException, "gave an answer that is no HTTP"),
)


_BROKEN_OFF = frozenset({errno.ECONNRESET, errno.EPIPE})


def _network_reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    number = getattr(error, "errno", None) or getattr(getattr(error, "os_error", None), "errno", None)
    if number in _BROKEN_OFF and not isinstance(error, aiohttp.ClientConnectorError):
        return "closed the connection without an answer"
    return f"cannot be reached: {os.strerror(number).lower()}" if number else "cannot be reached"
