"""Keys for R2: from variables, or asked of Cloudflare with a token, once."""

import base64
import json

import pytest

from credproxy.core.ask.aws_keys import aws_keys
from credproxy.core.ask.http import Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.r2 import R2Source
from credproxy.core.kinds.uses import Usual
from credproxy.ports.source import Caches
from tests.contract import CANARY, Ground, SourceContract
from tests.hints import filled


TARGET = parse_uri("https://0123456789abcdef.r2.cloudflarestorage.com/b/k")
VERIFY = "https://api.cloudflare.com/client/v4/"


def verified(ground: Ground, **more: object) -> None:
    """Cloudflare knows the token."""
    body = json.dumps({"result": {"id": "token-id", "status": "active", **more}}).encode()
    wall = ground.clock.wall()
    ground.http.script[VERIFY] = [Response(200, (), body, ground.clock.boot(), wall)]


async def key_of(ground: Ground) -> tuple[str, str]:
    """What is signed with."""
    source = ground.made(R2Source())
    identity = await source.locate(TARGET, None)
    assert identity is not None
    login = await source.read(identity, TARGET)
    assert login is not None
    keys = aws_keys(login.stored, str(identity))
    return keys.key_id, keys.secret.reveal()


async def test_the_variables_of_a_key_go_before_a_token() -> None:
    """They ask nobody."""
    ground = Ground()
    ground.environ |= {"R2_ACCESS_KEY_ID": "id", "R2_SECRET_ACCESS_KEY": "secret", "CLOUDFLARE_API_TOKEN": "token"}
    assert await key_of(ground) == ("id", "secret")
    assert ground.http.requests == []


async def test_a_token_that_is_refused_is_asked_about_once_in_two_seconds() -> None:
    """Each URL is a question of its own to the broker, and Cloudflare limits how often it is asked."""
    ground = Ground()
    ground.environ["CLOUDFLARE_API_TOKEN"] = "token"
    ground.http.script[VERIFY] = [Response(401, (), b"", 0.0, 0.0)]
    source = ground.made(R2Source())
    identity = await source.locate(TARGET, None)
    assert identity is not None
    for _ in range(100):
        with pytest.raises(Failed) as caught:
            await source.read(identity, TARGET)
        assert caught.value.failure.code is Code.BAD_CREDENTIALS
    asked = len(ground.http.requests)
    assert asked == 2  # of the user, and of the account
    ground.clock.suspend(2)
    with pytest.raises(Failed):
        await source.read(identity, TARGET)
    assert len(ground.http.requests) == 2 * asked


async def test_a_token_is_asked_about_once_for_all_objects() -> None:
    """And again within five minutes, because it may be revoked."""
    ground = Ground()
    ground.environ["CLOUDFLARE_API_TOKEN"] = "token"
    verified(ground)
    source = ground.made(R2Source())
    identity = await source.locate(TARGET, None)
    assert identity is not None
    assert await source.peek(identity, TARGET) is None
    for _ in range(3):
        login = await source.read(identity, TARGET)
        assert login is not None
        assert await source.peek(identity, TARGET) == login
    assert len(ground.http.requests) == 1
    ground.clock.suspend(299)
    await source.read(identity, TARGET)
    assert isinstance(source, Caches)
    source.forget()
    await source.read(identity, TARGET)
    assert len(ground.http.requests) == 3
    assert await source.locate(TARGET, None) == identity


async def test_a_key_without_its_secret_is_told_with_both_names() -> None:
    """Half of a login is a mistake, not "no login"."""
    ground = Ground()
    ground.environ["R2_ACCESS_KEY_ID"] = "id"
    with pytest.raises(Failed) as caught:
        await key_of(ground)
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert "'R2_SECRET_ACCESS_KEY' is empty" in caught.value.failure.message
    filled(caught.value.failure.hint, "export R2_ACCESS_KEY_ID=... R2_SECRET_ACCESS_KEY=...; credproxy stop")
    ground.environ["R2_SECRET_ACCESS_KEY"] = "s"
    assert await key_of(ground) == ("id", "s")


async def test_without_any_variable_their_names_are_told() -> None:
    """By ``explain``."""
    source = Ground().made(R2Source())
    assert await source.locate(TARGET, None) is None
    assert source.looked(TARGET) == (
        "neither 'R2_ACCESS_KEY_ID' nor 'CLOUDFLARE_API_TOKEN' is set in the daemon's environment",
    )
    assert list(R2Source().uses()) == [Usual(("R2_ACCESS_KEY_ID", "CLOUDFLARE_API_TOKEN"))]


def _put(ground: Ground, secret: str) -> None:
    """A key has no end of its own: where the contract wants one, it is that of a token."""
    if secret.count(".") != 2:
        ground.environ |= {"R2_ACCESS_KEY_ID": "id", "R2_SECRET_ACCESS_KEY": secret}
        return
    end = json.loads(base64.urlsafe_b64decode(secret.split(".")[1] + "=="))["exp"]
    ground.environ |= {"CLOUDFLARE_API_TOKEN": CANARY}
    seconds = int(end - ground.clock.wall())
    verified(ground, expires_on=f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}Z")


def _broken(ground: Ground) -> None:
    ground.environ |= {"R2_ACCESS_KEY_ID": "id", "R2_SECRET_ACCESS_KEY": f"{CANARY}\n{CANARY}"}


CONTRACTS = {"r2": SourceContract(R2Source(), _put, _broken, fixed=True, target=TARGET)}
