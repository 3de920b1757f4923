"""What decoders raise for texts that others wrote, and that those who read tokens and files expect all of it."""

import base64
import json
from collections.abc import Callable

import msgspec
import pytest

from credproxy.core.ask.aws_keys import aws_keys
from credproxy.core.ask.credential import PlainSecret, Secret
from credproxy.core.ask.jwt import audiences, life, whole_life
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.vault import VaultHost
from credproxy.core.unreadable_json import UNREADABLE


TEXTS = {
    "lists": '{"x": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "tables": '{"x":' * 20_000 + "1" + "}" * 20_000,
    "digits": '{"x": ' + "9" * 5000 + "}",
    "half a pair": '{"x": "\\ud800"}',
    "half a pair as it is": '{"x": "\ud800"}',
    "cut": '{"x": ',
    "no object": "[]",
    "empty": "",
}

texts = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


@texts
@pytest.mark.parametrize(
    "decode",
    [
        msgspec.json.decode,
        json.loads,
        lambda text: msgspec.json.decode(text, type=dict[str, int]),
        lambda text: msgspec.json.decode(text.encode("utf-8", "surrogateescape"), type=dict[str, int]),
    ],
    ids=["any", "json", "shape", "bytes"],
)
def test_a_decoder_raises_nothing_else(decode: Callable[[str], object], text: str) -> None:
    """Whatever the text."""
    try:
        decode(text)
    except UNREADABLE:
        return


@texts
def test_a_token_with_such_claims_says_nothing(text: str) -> None:
    """A JWT is read before anybody has checked its signature."""
    claims = base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    token = f"eyJhbGciOiJub25lIn0.{claims}.x"
    assert (audiences(token), life(token, 0.0), whole_life(token)) == ((), None, None)


@texts
def test_a_secret_of_several_fields_is_unreadable(text: str) -> None:
    """Not a bug of ours, and nothing of it is quoted."""
    stored = PlainSecret(Secret(text))
    for read in (
        lambda: VaultHost("a.test", secret=(), headers={"X-A": "{a}"}).dress(stored, "the secret", width=()),
        lambda: aws_keys(stored, "the key"),
    ):
        with pytest.raises(Failed) as caught:
            read()
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
