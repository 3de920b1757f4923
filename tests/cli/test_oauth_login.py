"""Which way a person logs in at an identity provider. What is done then: test_device_login.py, test_browser_login.py."""

import asyncio
from dataclasses import replace

import pytest

from credproxy.cli.oauth_login import confirmed
from credproxy.core.errors import Failed
from credproxy.core.kinds.oauth2 import Flow
from credproxy.providers.oauth2 import LoginMeans
from tests.cli.oauth_world import DEVICE, PAGE, OauthWorld
from tests.fakes import settle


@pytest.mark.parametrize(
    ("flow", "device", "page", "shown"),
    [
        ("auto", DEVICE, PAGE, "and type this code"),
        ("auto", DEVICE, "", "and type this code"),
        ("auto", "", PAGE, "it comes back to port"),
        ("device", DEVICE, PAGE, "and type this code"),
        ("browser", DEVICE, PAGE, "it comes back to port"),
        ("auto", "", "", "does not say where a login on another device begins"),
        ("device", "", PAGE, "does not say where a login on another device begins"),
        ("browser", DEVICE, "", "does not say where a login in a browser begins"),
    ],
)
async def test_it_is_the_way_that_is_wanted_or_that_the_server_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flow: Flow, device: str, page: str, shown: str
) -> None:
    """A code works wherever somebody has a browser, so it comes first."""
    monkeypatch.setenv("SSH_TTY", "/dev/pts/0")
    world = OauthWorld()
    begun = {"device_code": "c", "user_code": "ABCD", "verification_uri": "https://id.test/d"}
    world.http.script = {DEVICE: [world.answer(begun)]}

    async def had() -> LoginMeans:
        means = await world.begin()
        return means._replace(server=replace(means.server, device_url=device, authorize_url=page))

    running = asyncio.ensure_future(confirmed(replace(world.means(), had=had), flow))
    await settle()
    if running.done():
        with pytest.raises(Failed, match=shown):
            await running
    else:
        running.cancel()
        await settle()
        assert shown in capsys.readouterr().out
