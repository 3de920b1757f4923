"""A login in a browser: what comes back to the port, what is sent then, and every way out (RFC 8252, RFC 7636)."""

import asyncio
import re
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.cli.browser_login import Browsers, browser_here, in_browser
from credproxy.core.ask.http import Request
from credproxy.core.errors import Code, Failed
from credproxy.exchange.oauth_token import OauthToken
from tests.cli.oauth_world import ISSUED, PAGE, TOKEN, OauthWorld
from tests.fakes import settle
from tests.hints import filled


ADDRESS = re.compile(rf"^  ({re.escape(PAGE)}\S+)$", re.MULTILINE)


class Login:
    """One under way."""

    def __init__(self, world: OauthWorld, shown: Callable[[], str], *, browsers: Browsers = webbrowser.get) -> None:
        self.world = world
        self._shown = shown
        self.text = ""
        self.query: dict[str, str] = {}
        self.running = asyncio.ensure_future(in_browser(world.means(), browsers=browsers))

    async def begin(self) -> None:
        """Wait until it says where the browser has to go."""
        for _ in range(200):
            await SystemClock().sleep(0.01)
            self.text += self._shown()
            found = ADDRESS.search(self.text)
            if found is not None:
                self.query = {name: values[0] for name, values in parse_qs(urlsplit(found[1]).query).items()}
                return
        raise AssertionError(self.text)

    async def come_back(self, **fields: str) -> int:
        """As the browser does; give the status that it gets."""
        url = f"{self.query['redirect_uri']}?{urlencode(fields)}"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status

    async def failure(self) -> Failed:
        """How it ends."""
        with pytest.raises(Failed) as caught:
            await self.running
        return caught.value


@pytest.fixture
async def login(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Login:
    """On a machine without a browser."""
    monkeypatch.setenv("SSH_TTY", "/dev/pts/0")
    world = OauthWorld()
    world.http.script = {TOKEN: [lambda _: world.answer(ISSUED)]}
    made = Login(world, lambda: capsys.readouterr().out)
    await made.begin()
    return made


def form(request: Request) -> dict[str, str]:
    """What was posted."""
    assert request.body is not None
    return {name: values[0] for name, values in parse_qs(request.body.reveal()).items()}


async def test_the_code_that_comes_back_is_redeemed_with_what_only_we_know(login: Login) -> None:
    """To the very address that the browser was sent with; the page says nothing of it."""
    assert urlsplit(login.query["redirect_uri"]).hostname == "127.0.0.1"
    assert await login.come_back(code="canary-code", state=login.query["state"]) == 200
    token = await login.running
    assert isinstance(token, OauthToken)
    (request,) = login.world.http.requests
    sent = form(request)
    assert len(sent.pop("code_verifier")) == 43
    assert sent == {
        "grant_type": "authorization_code",
        "code": "canary-code",
        "redirect_uri": login.query["redirect_uri"],
        "client_id": "bazel",
    }


async def test_an_answer_with_another_state_is_turned_away_and_waited_past(login: Login) -> None:
    """Any page may send the browser there, with a code of somebody else's."""
    for state in ("", "wrong", login.query["state"][:-1]):
        assert await login.come_back(code="of-somebody-else", state=state) == 400
    assert not login.running.done()
    assert await login.come_back(code="canary-code", state=login.query["state"]) == 200
    assert isinstance(await login.running, OauthToken)
    assert [form(request)["code"] for request in login.world.http.requests] == ["canary-code"]


async def test_somebody_says_no(login: Login) -> None:
    """Nothing is asked for then."""
    await login.come_back(error="access_denied", state=login.query["state"])
    failure = (await login.failure()).failure
    assert (failure.code, login.world.http.requests) == (Code.DENIED, [])


async def test_nobody_comes_back(login: Login) -> None:
    """The port is closed then."""
    await login.world.clock.advance(301)
    failure = (await login.failure()).failure
    assert failure.message == "no browser has come back within 300 s"
    (host,) = filled(failure.hint, "begin again: credproxy login {}")
    assert host == "cache.test"
    with pytest.raises(aiohttp.ClientConnectorError):
        await login.come_back(code="x", state=login.query["state"])


async def test_who_has_no_browser_here_is_told_how_one_elsewhere_comes_back(login: Login) -> None:
    """By a port that is connected, or by another device; the lines for people fit."""
    port = urlsplit(login.query["redirect_uri"]).port
    login.running.cancel()
    await settle()
    assert f"  ssh -L {port}:127.0.0.1:{port} " in login.text
    assert "  credproxy login cache.test --flow device\n" in login.text
    assert [line for line in login.text.splitlines() if len(line) > 60 and " " in line.strip()] == []


async def test_two_at_once_have_a_port_each(login: Login, capsys: pytest.CaptureFixture[str]) -> None:
    """And neither takes the other's answer."""
    other = Login(login.world, lambda: capsys.readouterr().out)
    await other.begin()
    assert await login.come_back(code="x", state=other.query["state"]) == 400
    for one in (other, login):
        assert await one.come_back(code="x", state=one.query["state"]) == 200
        assert isinstance(await one.running, OauthToken)


async def test_a_port_that_another_program_has_is_told(login: Login) -> None:
    """Before the browser is sent anywhere; another way does without it."""
    taken = replace(login.world.means(), redirect_uri=login.query["redirect_uri"])
    with pytest.raises(Failed) as caught:
        await in_browser(taken)
    hint = caught.value.failure.hint
    (port,) = filled(hint, "see which program has it: ss -tlnp sport = :{}; or log in with --flow device")
    assert login.query["redirect_uri"] == f"http://127.0.0.1:{port}/"
    login.running.cancel()
    await settle()


class Window(webbrowser.BackgroundBrowser):
    """A browser with a window; ``opens`` is whether that opens."""

    def __init__(self, *, opens: bool) -> None:
        super().__init__("window")
        self.opens = opens
        self.opened: list[str] = []

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:  # noqa: FBT001, FBT002  as the library has it
        """Remember where."""
        del new, autoraise
        self.opened.append(url)
        return self.opens


@pytest.mark.parametrize("opens", [True, False])
async def test_a_browser_of_this_machine_is_sent_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, opens: bool
) -> None:
    """The address is shown nevertheless: the window may be on another screen; and how to go on where none opens."""
    window = Window(opens=opens)
    for name in ("SSH_TTY", "SSH_CONNECTION", "SSH_CLIENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    login = Login(OauthWorld(), lambda: capsys.readouterr().out, browsers=lambda: window)
    await login.begin()
    assert window.opened == [ADDRESS.search(login.text)[1]]  # type: ignore[index]  # begin has found it
    assert ("ssh -L" in login.text) is not opens
    login.running.cancel()
    await settle()


@pytest.mark.parametrize(
    ("environ", "found", "wanted"),
    [
        ({"DISPLAY": ":0"}, Window(opens=True), True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, Window(opens=True), True),
        ({}, Window(opens=True), False),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "a 1 b 22"}, Window(opens=True), False),
        ({"DISPLAY": ":0"}, webbrowser.GenericBrowser("w3m"), False),
        ({"DISPLAY": ":0"}, None, False),
    ],
    ids=["x11", "wayland", "console", "ssh", "text", "none"],
)
def test_which_machine_has_a_browser(
    environ: dict[str, str], found: webbrowser.BaseBrowser | None, *, wanted: bool
) -> None:
    """One with a window, on the screen that somebody looks at: one of text would take the terminal."""

    def get() -> webbrowser.BaseBrowser:
        if found is None:
            raise webbrowser.Error
        return found

    assert (browser_here(environ, get) is not None) is wanted
