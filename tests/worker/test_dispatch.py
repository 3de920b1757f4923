"""What the worker passes on to the daemon: only what that understands, whatever a library was given."""

import json
import os
from pathlib import Path

import pytest

from credproxy.core.ask.worker_messages import (
    AwsAccess,
    AwsChain,
    GoogleToken,
    LibraryQuestion,
)
from credproxy.core.errors import Code, Failed, Failure
from credproxy.worker.dispatch import answer
from tests.hints import filled
from tests.worker.token_server import TokenServer


def refused(question: LibraryQuestion) -> Failure:
    """Why there is none."""
    with pytest.raises(Failed) as caught:
        answer(question, 5.0)
    assert "canary" not in repr(caught.value.failure)
    return caught.value.failure


@pytest.mark.parametrize(
    "token", [5, True, ["canary"], {"canary": 1}, "", " ", "can\nary", "canaré", "\ud800", 10**400, None]
)
def test_a_token_that_is_none_is_told_here(server: TokenServer, tmp_path: Path, token: object) -> None:
    """The daemon would end the worker over it, and with that what others wait for; or wait in vain for what cannot be written."""
    grant = {"access_token": token, "expires_in": 60, "token_type": "Bearer"}
    server.replies["/token"] = (200, grant)
    path = server.service_account(tmp_path)
    failure = refused(GoogleToken(("s",), path))
    assert failure.code in {Code.BAD_TOKEN, Code.BAD_CREDENTIALS}
    assert failure.hint


def process(folder: Path, monkeypatch: pytest.MonkeyPatch, **printed: object) -> AwsChain:
    """A profile whose program prints this access key."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (folder / "printed").write_text(
        json.dumps({"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "canary"} | printed)
    )
    (folder / "config").write_text(f"[profile p]\ncredential_process = /bin/cat {folder}/printed\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return AwsChain(profile="p")


@pytest.mark.parametrize("member", ["AccessKeyId", "SecretAccessKey", "SessionToken"])
@pytest.mark.parametrize("value", [5, ["canary"], "can\nary"])
def test_an_access_key_that_is_none_is_told_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, value: object
) -> None:
    """A program prints whatever it likes."""
    failure = refused(process(tmp_path, monkeypatch, **{member: value}))
    assert failure.code is Code.BAD_TOKEN
    assert filled(failure.hint, "see what is given by hand: {}") == ("aws sts get-caller-identity",)
    assert answer(process(tmp_path, monkeypatch), 5.0) == AwsAccess("A", "canary")


def test_an_access_key_and_none_at_all_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key anywhere is an answer, too."""
    assert answer(process(tmp_path, monkeypatch), 5.0) == AwsAccess("A", "canary")
    (tmp_path / "config").write_text("")
    assert answer(AwsChain(), 5.0) == AwsAccess("", "")
