"""A private asset by its browser URL: found through the API, on behalf of the URL that policy has allowed."""

import json
from collections.abc import Callable

import pytest

from credproxy.core.ask.github_urls import GithubName, ReleaseFile
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.github import GithubHost
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.gateway.release_assets import LOOK_LIMIT, PAGES, asset_url
from tests.fakes import FakeTransfer
from tests.gateway.test_fetch import error, fetch
from tests.gateway.world import World, response, sent, world


API = "https://api.github.com"
URL = "https://github.com/octo/hello/releases/download/v1/tool%2Btar"
RELEASES = f"{API}/repos/octo/hello/releases"
FILE = ReleaseFile(GithubName("octo", "hello"), "v1", "tool+tar")
STORAGE = "https://objects.githubusercontent.com/x?sig=canary"
GITHUB = (GithubHost("github.com"),)
MISSING = FakeTransfer(404, small=True)
RELEASE = {"id": 1, "assets": [{"id": 7, "name": "other"}, {"id": 8, "name": "tool+tar", "state": "uploaded"}]}
BYTES = FakeTransfer(body=b"bytes" * 100)


def described(told: object, *, small: bool = True) -> FakeTransfer:
    """An answer of the API."""
    return FakeTransfer(body=json.dumps(told).encode(), small=small)


def to(place: str, status: int = 302) -> FakeTransfer:
    """A redirect."""
    return FakeTransfer(status, (("Location", place),))


def asked(made: World) -> list[str]:
    """The URLs, with a mark for those that had the credential."""
    return [request.url + " +" * bool(sent(request, "Authorization")) for request in made.downloads.requests]


async def test_what_the_browsers_url_has_not_the_api_has() -> None:
    """The token goes to GitHub's API, and not to its storage; policy is asked about one URL."""
    async with world(MISSING, described(RELEASE), to(STORAGE), BYTES, rules=GITHUB) as w:
        reply = await w.answer(fetch(URL, "GET", ("Accept", "*/*"), ("Range", "bytes=0-")))
        assert await w.received(reply) == BYTES.body
        assert asked(w) == [f"{URL} +", f"{RELEASES}/tags/v1 +", f"{RELEASES}/assets/8 +", STORAGE]
        _, look, asset, _ = w.downloads.requests
        assert sent(look, "Accept") == ["application/vnd.github+json"]
        assert sent(look, "Range") == []
        assert sent(look, "User-Agent")
        assert sent(asset, "Accept") == ["application/octet-stream"]
        assert sent(asset, "Range") == ["bytes=0-"]
        assert set(w.policy.objects) == {(URL, "GET")}


async def test_what_everybody_may_have_costs_no_request_to_the_api() -> None:
    """There are only five thousand an hour."""
    async with world(to(STORAGE), BYTES, rules=GITHUB) as w:
        assert await w.received(await w.answer(fetch(URL))) == BYTES.body
        assert asked(w) == [f"{URL} +", STORAGE]


async def test_elsewhere_the_api_is_asked_first() -> None:
    """There a browser URL leads to a login page, with status 200."""
    url = "https://ghe.corp.test/octo/hello/releases/latest/download/tool%2Btar"
    api = "https://ghe.corp.test/api/v3/repos/octo/hello/releases"
    async with world(described(RELEASE), BYTES, rules=(GithubHost("ghe.corp.test"),)) as w:
        assert await w.received(await w.answer(fetch(url))) == BYTES.body
        assert asked(w) == [f"{api}/latest +", f"{api}/assets/8 +"]


async def test_a_renamed_repository_is_followed_within_the_api_alone() -> None:
    """Another host gets neither the request nor the token."""
    moved = f"{API}/repositories/5/releases/tags/v1"
    async with world(MISSING, to(moved, 301), described(RELEASE), BYTES, rules=GITHUB) as w:
        await w.received(await w.answer(fetch(URL)))
        assert asked(w)[2] == f"{moved} +"
    async with world(MISSING, to("https://evil.test/x"), rules=GITHUB) as w:
        reply = await w.answer(fetch(URL))
        assert reply.status == 502
        assert asked(w) == [f"{URL} +", f"{RELEASES}/tags/v1 +"]
    async with world(MISSING, to(f"{RELEASES}/tags/v1"), rules=GITHUB) as w:
        assert error(await w.answer(fetch(URL)))[0] == "redirect_refused"


@pytest.mark.parametrize(
    ("url", "rule", "empty"),
    [
        (URL, HeaderHost("github.com", EnvSource("X")), False),
        (URL, GITHUB[0], True),
        (f"{URL}?x=1", GITHUB[0], False),
        ("https://github.com/octo/hello/archive/v1.zip", GITHUB[0], False),
    ],
    ids=["another-provider", "no-login", "query", "no-asset"],
)
async def test_everything_else_is_asked_for_once(url: str, rule: GithubHost | HeaderHost, empty: bool) -> None:  # noqa: FBT001  parametrized
    """A header that is configured for a host is only for that host."""
    async with world(MISSING, rules=(rule,)) as w:
        w.provider.empty = empty
        assert (await w.answer(fetch(url))).status == 404
        assert len(w.downloads.requests) == 1


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (FakeTransfer(404, small=True), "not_found", "has no such object"),
        (
            FakeTransfer(403, (("X-GitHub-SSO", "required; url=https://github.com/orgs/octo/sso"),)),
            "denied",
            "single sign-on",
        ),
        (FakeTransfer(429, (("Retry-After", "9"),)), "rate_limited", "limits the rate"),
        (FakeTransfer(body=b"<html>canary", small=True), "upstream_unavailable", "its documentation does not"),
        (FakeTransfer(body=b"x" * (LOOK_LIMIT + 8)), "answer_too_large", "larger than"),
    ],
    ids=["missing", "sign-on", "limit", "html", "large"],
)
async def test_what_the_api_refuses_is_reported_as_ever(answer: FakeTransfer, code: str, said: str) -> None:
    """With the same message as for a request to it."""
    async with world(MISSING, answer, MISSING, answer, MISSING, answer, rules=GITHUB) as w:
        w.provider.always = "tok"
        told = error(await w.answer(fetch(URL)))
        assert told[0] == code
        assert said in told[1]
        assert "canary" not in told[1]


async def test_an_asset_that_the_release_has_not_is_named() -> None:
    """So that a typo is noticed."""
    nothing = {"id": 1, "assets": []}
    async with world(MISSING, described(nothing, small=False), described([]), rules=GITHUB) as w:
        code, message = error(await w.answer(fetch(URL)))
        assert code == "not_found"
        assert "has no asset 'tool+tar'" in message


async def test_head_looks_as_well() -> None:
    """With GET, because the API answers nothing else."""
    steps: tuple[Callable[[Request], Response] | Response, ...] = (
        response(404),
        response(200, json.dumps(RELEASE).encode()),
        response(200, b"", ("Content-Length", "9")),
    )
    async with world(forwarded=steps, rules=GITHUB) as w:
        reply = await w.answer(fetch(URL, "HEAD"))
        assert (reply.status, reply.length) == (200, 9)
        assert [request.method for request in w.forwarder.requests] == ["HEAD", "GET", "HEAD"]


def search(*answers: object) -> tuple[list[str], str]:
    """The requests of a search, and what it finds; the last answer is given again and again."""
    looking = asset_url(FILE, API)
    urls = [next(looking)]
    left = list(answers)
    while True:
        answer = left.pop(0) if len(left) > 1 else left[0]
        try:
            url = looking.send(json.dumps(answer).encode())
        except StopIteration as stop:
            return urls, str(stop.value)
        urls.append(url)


def page(count: int, *more: object) -> list[object]:
    """Part of a list."""
    return [*({"id": number, "name": f"f{number}"} for number in range(count)), *more]


def test_a_long_list_is_read_page_by_page() -> None:
    """Up to the page that has it, or to the last one."""
    found = {"id": 8, "name": "tool+tar"}
    urls, place = search({"id": 1}, page(100), page(3, found))
    assert place == f"{RELEASES}/assets/8"
    assert urls[1:] == [f"{RELEASES}/1/assets?per_page=100&page={number}" for number in (1, 2)]
    assert search({"id": 1}, page(100), page(99))[1] == ""


def test_a_list_without_an_end_has_one_here() -> None:
    """Ten full pages are GitHub's maximum."""
    urls, place = search({"id": 1}, page(100))
    assert (len(urls), place) == (1 + PAGES, "")


@pytest.mark.parametrize("answer", [None, [], {"id": "../x"}, {"id": 1, "assets": [{"id": "8", "name": "tool+tar"}]}])
def test_an_answer_that_is_something_else_is_an_error(answer: object) -> None:
    """The number goes into a path."""
    with pytest.raises(Failed) as caught:
        search(answer)
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE
