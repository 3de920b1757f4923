"""What a failure of botocore means, in our words: its own texts quote answers and the output of programs.

Source: botocore/exceptions.py of botocore 1.44; docs.aws.amazon.com, "Common errors" of STS and of IAM Identity Center.
"""

import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from shlex import quote as shell
from typing import Final

from botocore.credentials import ProcessProvider
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    InvalidConfigError,
    LoginError,
    MetadataRetrievalError,
    MissingDependencyException,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
)

from credproxy.adapters.own_metadata import own_copy
from credproxy.core.amazon_signatures import not_taken
from credproxy.core.ask.http_date import clock_ahead
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.worker_messages import AwsChain
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.redact import cut
from credproxy.worker.aws_web_identity import OPERATION, refused_identity


_CODE: Final = re.compile(r"[A-Za-z][A-Za-z.]{1,60}")

_SHOWN: Final = 200
"""Characters of a path in a message."""

_SKEWED: Final = frozenset(
    {"RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException"}
)
_OVER: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "UnauthorizedException", "InvalidIdentityToken", "InvalidGrantException"}
)
_SSO: Final = frozenset({"GetRoleCredentials", "CreateToken"})
_UNKNOWN: Final = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"})
_BUSY: Final = frozenset(
    {"IDPCommunicationError", "Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
)


def wants_code(serial: str) -> Failed:
    """Say that a role wants a code of a device, which nobody can type here."""
    device = f" of {serial[:120]!r}" if serial.isprintable() and serial else ""
    return failed(
        Code.BAD_CREDENTIALS,
        f"the role wants the code{device} (mfa_serial), and nobody can be asked for it here",
        hint="get temporary keys with it yourself, for another profile that the rule names: aws sts get-session-token "
        "--serial-number ARN --token-code CODE",
    )


def told(error: Exception, question: AwsChain, *, profile: str, said: Mapping[str, object]) -> Failed:
    """Say why there is no access key.

    Args:
        error: of the library.
        question: that was asked.
        profile: that is in force.
        said: what the files of Amazon's tools say of that.
    """
    name, option = f"the profile {profile!r}", f" --profile {shell(profile)}"
    if isinstance(error, ClientError):
        final = _final(error) if error.operation_name == OPERATION else ""
        return refused_identity(final, said) if final else _refused(error, question, name=name, option=option)
    if isinstance(error, (SSOError, TokenRetrievalError)):
        return _signed_out(name, option)
    if isinstance(error, LoginError):
        return failed(
            Code.BAD_CREDENTIALS, f"the login of {name} is over, or was never made", hint=f"aws login{option}"
        )
    if isinstance(error, RefreshWithMFAUnsupportedError):
        return wants_code("")
    if isinstance(error, MetadataRetrievalError) or (
        isinstance(error, CredentialRetrievalError) and not _of_program(error)
    ):
        message = "the container or the instance that this is gives no access key"
        return failed(Code.UPSTREAM_UNAVAILABLE, message, hint="try again in a minute")
    return _of_profile(error, name=name, option=option)


def _of_profile(error: Exception, *, name: str, option: str) -> Failed:
    """What is wrong in the files of Amazon's tools, or with what they lead to."""
    if isinstance(error, RuntimeError):  # the only one that it raises
        message = f"the access key that {name} gave had ended when it came: it is an old one, or this machine's clock is wrong"
        return failed(
            Code.EXPIRED_ON_ARRIVAL, message, hint=f"timedatectl, then aws configure export-credentials{option}"
        )
    if isinstance(error, ProfileNotFound):
        return unreadable(name, "is in none of the files of Amazon's tools", hint=f"aws configure{option}")
    if isinstance(error, MissingDependencyException):
        message = f"botocore wants another library for {name}, as for aws login"
        return failed(Code.HELPER_FAILED, message, hint=own_copy().adding("botocore[crt]"))
    if isinstance(error, CredentialRetrievalError):
        message = f"the program of {name} (credential_process) gave no access key"
        return failed(Code.HELPER_FAILED, message, hint=f"see what it says: aws configure export-credentials{option}")
    if isinstance(error, OSError):  # of a program that it starts, or a file that it reads
        said = f"leads to {cut(str(error.filename), _SHOWN)!r}: {(error.strerror or '').lower()}"
        return unreadable(name, said, hint=f"see what it lacks: aws configure list{option}")
    what = "is incomplete" if isinstance(error, (InvalidConfigError, PartialCredentialsError)) else "cannot be used"
    return unreadable(name, f"{what} ({type(error).__name__})", hint=f"see what it lacks: aws configure list{option}")


def _of_program(error: CredentialRetrievalError) -> bool:
    return error.kwargs.get("provider") == ProcessProvider.METHOD


def _signed_out(name: str, option: str) -> Failed:
    message = f"the single sign-on of {name} is over, or was never made"
    return failed(Code.BAD_CREDENTIALS, message, hint=f"aws sso login{option}")


def _refused(error: ClientError, question: AwsChain, *, name: str, option: str) -> Failed:
    """What Amazon said, by its code alone."""
    code = _code(error)
    if code in _SKEWED:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        ahead = clock_ahead(tuple(headers.items()), time.time())  # noqa: TID251  what was signed has that time in it
        return not_taken(code, name, ahead=ahead, option=option)
    if error.operation_name in _SSO and (code in _OVER or _status(error) == 401):  # noqa: PLR2004  Unauthorized
        return _signed_out(name, option)
    if code in _OVER:
        message = f"the login of {name} is over: Amazon says {code}"
        return failed(
            Code.BAD_CREDENTIALS, message, hint=f"log in again, then see: aws sts get-caller-identity{option}"
        )
    if code in _UNKNOWN:
        message = f"Amazon does not know the access key of {name}: {code}"
        return failed(Code.BAD_CREDENTIALS, message, hint=f"store one that it knows: aws configure{option}")
    if _passes(error):
        return failed(Code.UPSTREAM_UNAVAILABLE, f"Amazon answers {code}", hint="try again in a minute")
    role = f"the role {question.role_arn!r}" if question.role_arn is not None else f"the role of {name}"
    message = f"{role} is not to be had: Amazon says {code} to {error.operation_name}"
    hint = f"see which identity is used, and whether the role trusts it: aws sts get-caller-identity{option}"
    return failed(Code.DENIED, message, hint=hint)


def _code(error: ClientError) -> str:
    found = str(error.response.get("Error", {}).get("Code") or "")
    return found if _CODE.fullmatch(found) else "an error"


def _final(error: ClientError) -> str:
    """The code of a refusal that waiting does not change; "" for any other."""
    return "" if _passes(error) else _code(error)


def _passes(error: ClientError) -> bool:
    """Whether waiting may help."""
    status = _status(error)
    return _code(error) in _BUSY or status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
