"""A login on another device: how long is waited, and every way out (RFC 8628)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from credproxy.cli.device_login import on_another_device
from credproxy.cli.login_words import WIDTH
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_token import OauthToken
from tests.cli.oauth_world import DEVICE, ISSUED, TOKEN, OauthWorld
from tests.hints import filled


BEGUN = {"device_code": "canary-code", "user_code": "ABCD-EFGH", "verification_uri": "https://id.test/d"}
NOTHING: Mapping[str, object] = MappingProxyType({})
LOST = failed(Code.UPSTREAM_UNAVAILABLE, "nothing answers", hint="wait")


@dataclass
class Outcome:
    """How it ended, and when each question was asked: seconds since the beginning."""

    token: OauthToken | None
    failure: Failure | None
    asked: list[float]


async def log_in(
    answers: Sequence[object], begun: Mapping[str, object] = NOTHING, world: OauthWorld | None = None
) -> Outcome:
    """Log in; the last answer is repeated for ever."""
    world = world or OauthWorld()
    started, asked = world.clock.boot(), list[float]()
    left = list(answers)

    def token(request: Request) -> Response:
        del request
        asked.append(world.clock.boot() - started)
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Failed):
            raise Failed(step.failure)
        assert isinstance(step, tuple)
        return world.answer(*step)

    world.http.script = {DEVICE: [world.answer({**BEGUN, **begun})], TOKEN: [token]}
    running = asyncio.ensure_future(on_another_device(world.means()))
    for _ in range(200):
        if running.done():
            break
        await world.clock.advance(30)
    assert running.done(), "it waits for ever"
    error = running.exception()
    if error is None:
        return Outcome(running.result(), None, asked)
    assert isinstance(error, Failed)
    return Outcome(None, error.failure, asked)


PENDING = ({"error": "authorization_pending"}, 400)
SLOWER = ({"error": "slow_down"}, 400)
GIVEN = (ISSUED,)


@pytest.mark.parametrize(
    ("begun", "answers", "asked"),
    [
        ({}, [PENDING, PENDING, GIVEN], [5, 10, 15]),
        ({"interval": 2}, [PENDING, SLOWER, PENDING, GIVEN], [2, 4, 11, 18]),
        ({"interval": 2}, [LOST, LOST, PENDING, GIVEN], [2, 6, 14, 22]),
        ({"interval": 50}, [LOST, LOST, GIVEN], [50, 110, 170]),
        ({"expires_in": 7}, [PENDING, GIVEN], [5, 7]),
    ],
    ids=["the usual", "slow down", "lost answers", "no slower than a minute", "the last moment"],
)
async def test_it_asks_as_often_as_the_server_wants(
    begun: dict[str, object], answers: list[object], asked: list[float]
) -> None:
    """Five seconds where it does not say; lost answers are asked for at longer and longer intervals."""
    outcome = await log_in(answers, begun)
    assert outcome.asked == asked
    assert outcome.token is not None
    assert outcome.token.token.refresh_token is not None


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (({"error": "access_denied"}, 400), Code.DENIED, "says that access was denied"),
        (({"error": "expired_token"}, 400), Code.BAD_CREDENTIALS, "does not take the code: it has ended"),
        (({"error": "invalid_client"}, 401), Code.BAD_CREDENTIALS, "takes no client 'bazel' without a secret"),
        (({"error": "unauthorized_client"}, 400), Code.DENIED, "does not let the client 'bazel' ask by device_code"),
        (({"access_token": "canary\n"},), Code.BAD_TOKEN, "no usable token"),
    ],
    ids=["denied", "expired", "client", "grant", "token"],
)
async def test_whatever_the_server_says_no_to_ends_it(answer: object, code: Code, said: str) -> None:
    """In words that are ours, at once."""
    outcome = await log_in([PENDING, answer])
    assert outcome.failure is not None
    assert outcome.failure.code is code
    assert said in outcome.failure.message
    assert len(outcome.asked) == 2


@pytest.mark.parametrize("answer", [PENDING, SLOWER, LOST], ids=["pending", "slower", "lost"])
async def test_a_code_that_nobody_confirms_ends_and_so_does_the_wait(answer: object) -> None:
    """Also where the server never says so, and wants to be asked for ever."""
    for begun, longest, most in (({"expires_in": 60}, 60, 12), ({"expires_in": 1e9, "interval": 10}, 3600, 360)):
        world = OauthWorld()
        outcome = await log_in([answer], begun, world)
        assert outcome.failure is not None
        assert outcome.failure.code is Code.DENIED
        (host,) = filled(outcome.failure.hint, "begin again: credproxy login {}")
        assert host == "cache.test"
        assert outcome.asked[-1] <= longest
        assert len(outcome.asked) <= most
    assert (await log_in([GIVEN])).token is not None


async def test_a_server_that_never_finishes_an_answer_is_given_up() -> None:
    """A byte now and then would hold a person for ever; of a question it is a lost answer."""
    world = OauthWorld()
    world.http.script = {DEVICE: [world.answer(BEGUN)], TOKEN: [world.answer(ISSUED)]}
    world.http.hold = {DEVICE: asyncio.Event()}
    running = asyncio.ensure_future(on_another_device(world.means()))
    await world.clock.advance(31)
    with pytest.raises(Failed, match="has not answered in full for 30 s"):
        await running
    world.http.hold = {TOKEN: asyncio.Event()}
    running = asyncio.ensure_future(on_another_device(world.means()))
    await world.clock.advance(36)
    world.http.hold[TOKEN].set()
    await world.clock.advance(10)
    assert isinstance(await running, OauthToken)


async def test_a_client_that_signs_does_so_for_each_question() -> None:
    """A server takes each signature once; a client that does not sign is not looked up again."""
    signing, other = OauthWorld(client=OauthClient("bazel", "private_key_jwt")), OauthWorld()
    for world, begins in ((signing, 4), (other, 1)):
        assert (await log_in([PENDING, PENDING, GIVEN], world=world)).token is not None
        assert world.begins == begins


async def test_what_is_shown_fits_and_is_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """The page, the code, and how long; no QR code where there is no terminal."""
    await log_in([GIVEN], {"expires_in": 900})
    shown = capsys.readouterr().out
    assert shown == (
        "open this page, on any device:\n\n  https://id.test/d\n\nand type this code: ABCD-EFGH\n"
        "it is good for 15 min; Ctrl-C ends this without a login\n"
    )
    assert max(map(len, shown.splitlines())) <= WIDTH
