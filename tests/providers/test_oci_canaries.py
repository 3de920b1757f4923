"""T-75: on every path of an exchange, no secret is in a log line, an error, a repr or a metric."""

import asyncio
import base64
import contextlib
from collections.abc import Iterator

import pytest
import structlog

from credproxy.core.ask.credential import IdentityToken, Secret, Stored, UserPassword
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed
from credproxy.core.kinds.oci import BareHost, OciHost
from tests.registry_world import BEARER, D, World, world


USER, PASSWORD, IDENTITY, TOKEN, REFRESH = (
    f"canary-{what}" for what in ("user", "pass", "identity", "token", "refresh")
)
PAIR = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PRESIGNED = "canary-presigned"
SECRETS = (PASSWORD, IDENTITY, TOKEN, REFRESH, PAIR, PRESIGNED)

LOGIN = UserPassword(USER, Secret(PASSWORD))
ID_TOKEN = IdentityToken(Secret(IDENTITY))
BOTH = IdentityToken(Secret(IDENTITY), USER, Secret(PASSWORD))

URIS = (
    "https://reg.test/v2/a/b/manifests/latest",
    f"https://reg.test/v2/a/b/blobs/{D}?sig={PRESIGNED}",
    f"https://reg.test/v2/dst/blobs/uploads/?mount={D}&from=src/x",
    f"https://reg.test/x?X-Amz-Signature={PRESIGNED}",
    f"https://unknown.example/x?X-Amz-Signature={PRESIGNED}",
    "reg.test",
)
LEAKY = f"canary body {PASSWORD} {TOKEN}".encode()


@pytest.fixture
def written() -> Iterator[list[structlog.types.EventDict]]:
    """Everything that is logged, from debug on, before masking, which is only the backstop."""
    with structlog.testing.capture_logs() as events:
        yield events


@pytest.mark.parametrize(
    "stored", [LOGIN, ID_TOKEN, BOTH], ids=["T-75 login", "T-75 identity token", "T-75 identity token and login"]
)
@pytest.mark.parametrize("road", ["granted", 400, 401, 403, 404, 500, "redirect", "garbage", "unusable", "basic"])
async def test_no_secret_is_seen_anywhere(
    stored: Stored, road: object, written: list[structlog.types.EventDict]
) -> None:
    """T-75, SEC-11: whatever the token server does, with the credentials canary-user and canary-pass."""
    seen: list[str] = []
    async with world(OciHost(match="reg.test"), stored=stored) as w:
        _play(w, road)
        for uri in URIS:
            seen += await _everything(w, uri)
        seen.append(repr(w.broker.status()))
        seen.append(repr(w.http.requests))
        seen.append(repr(vars(w.provider)))
    seen.append(repr(written))
    assert written
    for secret in SECRETS:
        assert not [text for text in seen if secret in text], secret


async def test_nor_where_a_bare_host_is_asked_about(written: list[structlog.types.EventDict]) -> None:
    """T-75: a Bearer for configured scopes, too short to be given."""
    settings = OciHost(match="reg.test", bare_host=BareHost(scopes=("repository:a:pull",)))
    async with world(settings, stored=LOGIN) as w:
        w.script(token=w.granted(TOKEN, expires_in=100))
        seen = await _everything(w, "reg.test")
    assert not [text for text in [*seen, repr(written)] if any(secret in text for secret in SECRETS)]


def _play(w: World, road: object) -> None:
    """Say how the token server answers, and let every body hold what must not be repeated."""
    answers = {
        "granted": w.granted(TOKEN, refresh_token=REFRESH),
        "redirect": w.respond(307, LEAKY, Location=f"https://evil.test/?t={TOKEN}"),
        "garbage": w.respond(200, LEAKY),
        "unusable": w.respond(200, {"token": f"{TOKEN}\r\nX: y"}),
        "basic": w.granted(TOKEN),
    }
    line = 'Basic realm="r"' if road == "basic" else BEARER
    w.script(ping=w.challenge(line), token=answers[road] if isinstance(road, str) else w.respond(int(str(road)), LEAKY))


async def _everything(w: World, uri: str) -> list[str]:
    """Ask, let every retry pass, and give everything that could be shown."""
    seen = [repr(parse_uri(uri))]
    task = asyncio.ensure_future(w.ask(uri))
    for _ in range(10):
        await w.clock.advance(1)
    with contextlib.suppress(Failed):
        await task
    error = task.exception()
    if isinstance(error, Failed):
        seen += [str(error), repr(error), repr(error.failure), error.failure.hint]
    return seen


def test_a_response_and_a_request_do_not_show_what_they_carry() -> None:
    """T-75: both may occur in a traceback."""
    response = Response(200, (("Set-Cookie", TOKEN),), LEAKY, 0.0, 0.0)
    request = Request("POST", "https://reg.test/", (("Authorization", Secret(PAIR)),), Secret(REFRESH))
    assert not any(secret in repr((response, request)) for secret in SECRETS)
