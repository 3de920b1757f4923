"""Why Amazon does not take the identity token of a job or of a pod: what it says of itself, beside what Amazon says.

Its signature is secret, and not shown; its claims are not. Source: docs.aws.amazon.com, API reference of AssumeRoleWithWebIdentity, "Errors".
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from credproxy.core.ask.jwt import audiences, claims, life
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.unreadable_json import UNREADABLE


OPERATION: Final = "AssumeRoleWithWebIdentity"

_VARIABLES: Final = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
_KEYS: Final = ("web_identity_token_file", "role_arn")

_MOST: Final = 64 * 1024
"""Bytes of a token that are read."""

_SHOWN: Final = 120


class _Whose(msgspec.Struct, frozen=True):
    iss: str = ""
    sub: str = ""


def refused_identity(code: str, profile: Mapping[str, object]) -> Failed:
    """Say why there is no role.

    Args:
        code: of Amazon's refusal.
        profile: what the files of Amazon's tools say of the profile in force; the environment goes before that.
    """
    named = [os.environ.get(name) or str(profile.get(key, "")) for name, key in zip(_VARIABLES, _KEYS, strict=True)]
    path, role = named
    token = _read(path)
    left = life(token, time.time())  # noqa: TID251  to be told, not to be decided by
    message = f"the role {role!r} is not to be had with the identity token in {path!r}: Amazon says {code}"
    if left is not None and left < 0:
        hint = "have it made anew: one of a CI job ends with the job, one of a pod is replaced by its kubelet"
        return failed(Code.BAD_CREDENTIALS, f"{message}; it ended {-left:.0f} s ago", hint=hint, inside=True)
    hint = "compare that with the role's trust policy, and with the audiences of the identity provider in IAM"
    return failed(Code.DENIED, f"{message}; {_about(token)}", hint=hint, inside=True)


def _about(token: str) -> str:
    """What a token says of itself."""
    try:
        whose = msgspec.json.decode(claims(token), type=_Whose)
    except UNREADABLE:
        return "it is not a JWT"
    named = " and ".join(repr(one[:_SHOWN]) for one in audiences(token)) or "no audience"
    return f"it is for {named}, from the issuer {whose.iss[:_SHOWN]!r}, of the subject {whose.sub[:_SHOWN]!r}"


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MOST).decode("ascii", "replace").strip()
    except OSError:
        return ""
