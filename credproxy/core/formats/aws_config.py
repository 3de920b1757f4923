"""The files of Amazon's tools: ``~/.aws/credentials`` and ``~/.aws/config``, of which one profile is read.

Source: docs.aws.amazon.com "Shared config and credentials files"; botocore's ``configloader.py``, which reads them with the same
parser and takes what ``credentials`` has before what ``config`` has.
"""

import shlex
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from typing import Final

from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.stored import unreadable


Profiles = Mapping[str, Mapping[str, str]]
"""What each profile of a file says, by its name."""

_HINT = "see the format in docs.aws.amazon.com, and what aws configure list says"

_KEYS: Final = ("aws_access_key_id", "aws_secret_access_key")
_TOKENS: Final = ("aws_security_token", "aws_session_token")

_NO_LOGIN: Final = frozenset(
    {
        "region", "output", "cli_pager", "cli_auto_prompt", "cli_history", "cli_timestamp_format", "cli_binary_format",
        "ca_bundle", "max_attempts", "retry_mode", "s3", "defaults_mode", "use_dualstack_endpoint", "use_fips_endpoint",
        "parameter_validation", "tcp_keepalive", "sts_regional_endpoints", "cli_follow_urlparam", "account_id_endpoint_mode",
        "aws_account_id", "endpoint_url", "services", "signature_version", "request_checksum_calculation",
        "response_checksum_validation",
    }
)  # a table  # fmt: skip
"""Keys of a profile that do not say where its access key comes from."""


def parse_profiles(content: bytes, where: str, *, prefixed: bool) -> Profiles:
    """Read one file.

    Args:
        content: of the file.
        where: names it, for messages.
        prefixed: its sections are called ``profile NAME``, all but that of the profile ``default``.

    Raises:
        Failed(credential_unreadable): it cannot be read; the message never quotes it, because a line may hold a secret.
    """
    parser = RawConfigParser()
    try:
        parser.read_string(content.decode())
    except UnicodeDecodeError:
        raise unreadable(where, "is not UTF-8 text", hint=_HINT) from None
    except Error as error:
        line = getattr(error, "lineno", None) or next((number for number, _ in getattr(error, "errors", ())), None)
        raise unreadable(where, f"cannot be read{f': line {line}' if line else ''}", hint=_HINT) from None
    found: dict[str, Mapping[str, str]] = {}
    for section in parser.sections():
        name = _profile(section) if prefixed else section
        if name is not None:
            found[name] = dict(parser[section])
    return found


def plain_keys(credentials: Mapping[str, str], config: Mapping[str, str]) -> AwsKeys | None:
    """The access key that a profile holds in plain, where nothing else in it says where its access key comes from.

    Args:
        credentials: what the first file says of the profile.
        config: what the other one says of it.
    """
    both = {**config, **credentials}
    if set(both) - _NO_LOGIN - {*_KEYS, *_TOKENS}:
        return None
    # Of one file, as botocore takes them: never an id of the one with a secret of the other.
    found = credentials if _KEYS[0] in credentials else config
    key_id, secret = (found.get(key, "") for key in _KEYS)
    token = next((value for key in _TOKENS if (value := found.get(key))), "")
    return AwsKeys(key_id, Secret(secret), Secret(token) if token else None) if key_id and secret else None


def names_login(credentials: Mapping[str, str], config: Mapping[str, str]) -> bool:
    """Whether a profile says anything about where its access key comes from; arguments as for ``plain_keys``."""
    return bool((set(credentials) | set(config)) - _NO_LOGIN)


def _profile(section: str) -> str | None:
    """The name of the profile that a section of ``config`` is about; None for a section about something else."""
    if section == "default":
        return section
    try:
        words = shlex.split(section)
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None  # noqa: PLR2004  "profile" and its name
