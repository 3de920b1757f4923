"""An access key, in each form in which a source may hold one."""

import json

import pytest

from credproxy.core.ask.aws_keys import AwsKeys, aws_keys, stored_keys
from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.errors import Code, Failed
from tests.contract import CANARY
from tests.hints import filled


def plain(**fields: object) -> PlainSecret:
    """An object of JSON."""
    return PlainSecret(Secret(json.dumps(fields)))


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (UserPassword("AKID", Secret("s")), AwsKeys("AKID", Secret("s"))),
        (
            plain(
                Version=1, AccessKeyId="ASIA", SecretAccessKey="s", SessionToken="t", Expiration="2030-01-01T00:00:00Z"
            ),
            AwsKeys("ASIA", Secret("s"), Secret("t")),
        ),
        (plain(access_key="AKID", secret_key="s", security_token=None), AwsKeys("AKID", Secret("s"))),
        (plain(access_key="ASIA", secret_key="s", session_token="t"), AwsKeys("ASIA", Secret("s"), Secret("t"))),
        (plain(AccessKeyId="ASIA", SecretAccessKey="s", Token="t"), AwsKeys("ASIA", Secret("s"), Secret("t"))),
        (stored_keys(AwsKeys("AKID", Secret("s"), Secret("t"))), AwsKeys("AKID", Secret("s"), Secret("t"))),
        (stored_keys(AwsKeys("AKID", Secret("s"))), AwsKeys("AKID", Secret("s"))),
    ],
)
def test_forms_of_an_access_key(stored: Stored, wanted: AwsKeys) -> None:
    """A login, what a credential process prints, what Vault gives."""
    assert aws_keys(stored, "x") == wanted


@pytest.mark.parametrize(
    "stored",
    [
        PlainSecret(Secret(CANARY)),
        PlainSecret(Secret(f'["{CANARY}"]')),
        IdentityToken(Secret(CANARY)),
        plain(AccessKeyId=CANARY),
        plain(SecretAccessKey=CANARY),
        plain(AccessKeyId="AKID", SecretAccessKey=1),
        UserPassword("", Secret(CANARY)),
        UserPassword("AKID", Secret("")),
        UserPassword("AKID", Secret(f"{CANARY}\n")),
        UserPassword(f"AKID {CANARY}", Secret("s")),
        plain(AccessKeyId="AKID", SecretAccessKey="s", SessionToken=f"{CANARY}\r\nX: y"),
    ],
)
def test_what_is_none_is_told_without_its_text(stored: Stored) -> None:
    """Nor does it get into a header."""
    with pytest.raises(Failed) as caught:
        aws_keys(stored, "env:X")
    failure = caught.value.failure
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert "'env:X'" in failure.message
    assert CANARY not in failure.message
    filled(
        failure.hint,
        'store an access key there: a login with its id for a name, or {"AccessKeyId": ..., "SecretAccessKey": ...}',
    )
    assert aws_keys(plain(AccessKeyId="a", SecretAccessKey="b"), "x") == AwsKeys("a", Secret("b"))
