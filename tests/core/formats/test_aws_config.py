"""The files of Amazon's tools: which profile has a key in plain, and which says that it comes from elsewhere."""

import pytest

from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Failed
from credproxy.core.formats.aws_config import parse_profiles, plain_keys
from tests.contract import CANARY
from tests.hints import filled


KEY = "aws_access_key_id = AKID\naws_secret_access_key = s\n"


def test_sections_are_profiles() -> None:
    """In the one file by their name alone, in the other behind a word."""
    credentials = parse_profiles(f"[default]\n{KEY}[other]\n{KEY}".encode(), "x", prefixed=False)
    assert set(credentials) == {"default", "other"}
    config = (
        '[default]\nregion=a\n[profile "two words"]\nregion=b\n[profile p]\n[sso-session s]\n[preview]\n[profile]\n'
    )
    found = parse_profiles(config.encode(), "x", prefixed=True)
    assert set(found) == {"default", "two words", "p"}
    assert found["two words"] == {"region": "b"}


def test_what_a_file_says_of_all_profiles_counts() -> None:
    """As botocore's parser has it."""
    found = parse_profiles(b"[DEFAULT]\nregion = r\n[p]\noutput = json\n", "x", prefixed=False)
    assert found["p"] == {"region": "r", "output": "json"}


@pytest.mark.parametrize(
    "content",
    [f"{CANARY}\n[x]".encode(), f"[x]\n{CANARY}\n".encode(), b"\xff" + CANARY.encode(), f"[x]\n[x]\n{CANARY}".encode()],
)
def test_a_file_that_cannot_be_read_is_told_without_its_text(content: bytes) -> None:
    """By the number of the line."""
    with pytest.raises(Failed) as caught:
        parse_profiles(content, "the file '/a'", prefixed=False)
    failure = caught.value.failure
    assert failure.message.startswith("the file '/a' ")
    assert CANARY not in failure.message
    filled(failure.hint, "see the format in docs.aws.amazon.com, and what aws configure list says")
    assert parse_profiles(b"[x]\na = b\n", "x", prefixed=False) == {"x": {"a": "b"}}


PLAIN = {"aws_access_key_id": "AKID", "aws_secret_access_key": "s"}


@pytest.mark.parametrize(
    ("credentials", "config", "wanted"),
    [
        (PLAIN, {}, AwsKeys("AKID", Secret("s"))),
        (PLAIN, {"region": "r", "output": "json", "s3": "\nx = y"}, AwsKeys("AKID", Secret("s"))),
        ({}, PLAIN, AwsKeys("AKID", Secret("s"))),
        ({**PLAIN, "aws_session_token": "t"}, {}, AwsKeys("AKID", Secret("s"), Secret("t"))),
        ({**PLAIN, "aws_session_token": "t", "aws_security_token": "u"}, {}, AwsKeys("AKID", Secret("s"), Secret("u"))),
        (PLAIN, {"aws_access_key_id": "OTHER", "aws_secret_access_key": "o"}, AwsKeys("AKID", Secret("s"))),
        ({"aws_access_key_id": "AKID"}, {"aws_secret_access_key": "s"}, None),
        (PLAIN, {"role_arn": "arn"}, None),
        (PLAIN, {"sso_session": "s"}, None),
        (PLAIN, {"credential_process": "p"}, None),
        (PLAIN, {"web_identity_token_file": "f"}, None),
        (PLAIN, {"something_new": "x"}, None),
        ({}, {}, None),
        ({}, {"region": "r"}, None),
    ],
)
def test_a_key_in_plain_counts_where_nothing_else_might_come_before_it(
    credentials: dict[str, str], config: dict[str, str], wanted: AwsKeys | None
) -> None:
    """Botocore asks for roles, single sign-on and web identities first: an unknown key of a profile may be the next of those."""
    assert plain_keys(credentials, config) == wanted
