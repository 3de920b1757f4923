"""What a build action is told about a failure: cause and remedy, and nothing about this machine (T19).

The whole message is in the daemon's log.
"""

from dataclasses import replace

from credproxy.core.errors import Code, Failure


_LOG = "the daemon's log says which; look outside the build: credproxy doctor"

_OUTWARD = {
    Code.CONFIG_INVALID: ("the daemon has no valid configuration", "outside the build: credproxy config check"),
    Code.CREDENTIAL_UNREADABLE: ("a login that is stored on this machine cannot be read", _LOG),
    Code.HELPER_FAILED: ("a program that holds a login on this machine failed", _LOG),
    Code.HELPER_NOT_RUNNABLE: ("a program that holds a login on this machine cannot be run", _LOG),
    Code.BAD_CREDENTIALS: ("the token server refused the login that is stored for this registry", ""),
    Code.DENIED: ("the token server does not let the login that is stored for this registry do that", ""),
    Code.NO_CHALLENGE: ("the token server does not accept the kind of login that is stored for this registry", ""),
    Code.TLS_FAILED: ("the certificates that are configured for this registry cannot be read", _LOG),
}
"""Message and hint by code; the failure's own hint if there is none here."""

_OURS = frozenset({Code.CONFIG_INVALID, Code.CREDENTIAL_UNREADABLE, Code.HELPER_FAILED, Code.HELPER_NOT_RUNNABLE})
"""Codes whose messages name files and programs, wherever they are raised."""


def outward(failure: Failure) -> Failure:
    """Give the failure as a build action may see it; if something was left out, it is still marked ``inside``."""
    if failure.code not in _OURS and not failure.inside:
        return failure
    message, hint = _OUTWARD.get(failure.code, ("something on this machine is not as it should be", _LOG))
    return replace(failure, message=message, hint=hint or failure.hint, inside=True)
