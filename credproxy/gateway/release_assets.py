"""Finds the API's URL of a release asset whose browser URL was requested.

::

    https://github.com/OWNER/REPOSITORY/releases/download/TAG/FILE     takes no token: 404 for a private repository
    GET API/repos/OWNER/REPOSITORY/releases/tags/TAG                   {"id": 1, "assets": [{"id": 2, "name": "FILE"}, ...]}
    GET API/repos/OWNER/REPOSITORY/releases/1/assets?per_page=100&page=1
    GET API/repos/OWNER/REPOSITORY/releases/assets/2                   with Accept: application/octet-stream, 302 to storage

Source: docs.github.com/rest/releases, "Get a release by tag name", "List release assets", "Get a release asset".
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.github_urls import API_HEADERS, ReleaseFile
from credproxy.core.ask.http import REDIRECTS, Reach, Request
from credproxy.core.ask.names import Origin
from credproxy.core.errors import Code, failed
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.gateway import redirect
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.conversation import Conversation, H, Landed, Look, Looked, Step, going_round, lasting
from credproxy.gateway.incoming import Headers, values
from credproxy.gateway.redirect import Hop
from credproxy.gateway.wanted import Wanted


LOOK_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one answer: the description of a release with a thousand assets, GitHub's maximum, has some two million."""

PER_PAGE: Final = 100
PAGES: Final = 10
"""Pages that are read: together a thousand assets."""

T = TypeVar("T")


class _Asset(msgspec.Struct, frozen=True):
    id: int
    name: str


class _Release(msgspec.Struct, frozen=True):
    id: int
    assets: tuple[_Asset, ...] = ()


def asset_url(file: ReleaseFile, api: str) -> Generator[str, bytes, str]:
    """Yield URLs of the API and be sent their answers; return the asset's URL, "" if the release has no such asset.

    Args:
        file: the name of the asset.
        api: root of the API.

    Raises:
        Failed(upstream_unavailable): an answer is not what the documentation says.
    """
    releases = f"{api}/repos/{file.of.name}/releases"
    release = _read((yield f"{releases}/tags/{file.tag}" if file.tag else f"{releases}/latest"), _Release, api)
    found = _named(file.name, release.assets)
    for page in range(1, PAGES + 1):
        if found is not None:
            break
        listed = _read(
            (yield f"{releases}/{release.id}/assets?per_page={PER_PAGE}&page={page}"), tuple[_Asset, ...], api
        )
        found = _named(file.name, listed)
        if len(listed) < PER_PAGE:
            break
    return "" if found is None else f"{releases}/assets/{found}"


def _named(name: str, assets: Sequence[_Asset]) -> int | None:
    return next((asset.id for asset in assets if asset.name == name), None)


def _read(body: bytes, kind: type[T], api: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE:
        message = f"the API {api!r} describes a release in a way that its documentation does not"
        raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="try again") from None


def asset(wanted: Wanted, headers: Headers, *, passage: Passage, file: ReleaseFile) -> Conversation[H]:
    """Ask the API for an asset, on behalf of its browser URL, which policy has allowed."""
    there = replace(passage, reach=_api_of(passage.reach))
    search = asset_url(file, passage.reach.release_api)
    asks: tuple[tuple[str, str | Secret], ...] = (*API_HEADERS, *passage.headers)
    url, place = next(search), None
    while place is None:
        looked: tuple[Looked[H], Hop] = yield from _looked(wanted, asks, there, url)
        seen, hop = looked
        if seen.answer.status != HTTPStatus.OK:
            return Landed(seen.answer, hop, there)
        try:
            url = search.send(seen.body)
        except StopIteration as stop:
            place = str(stop.value)
    if not place:
        message = f"the release at {wanted.upstream} has no asset {file.name!r}"
        raise failed(Code.NOT_FOUND, message, hint="gh release view shows its assets")
    content = replace(there, headers=(*there.headers, ("Accept", Secret("application/octet-stream"))))
    return (yield from lasting(wanted, headers, passage=content, start=_hop(place, there.reach)))


def _looked(
    wanted: Wanted, headers: tuple[tuple[str, str | Secret], ...], passage: Passage, url: str
) -> Generator[Step, Passage | Looked[H] | H | None, tuple[Looked[H], Hop]]:
    """Send a request of our own, following redirects of the API itself: a renamed repository has some."""
    hop = _hop(url, passage.reach)
    for _ in range(redirect.MOST):
        seen: Passage | Looked[H] | H | None = yield Look(
            Request("GET", hop.url, headers, dial=hop.dial, subject=hop.subject)
        )
        assert isinstance(seen, Looked)
        place = values(seen.answer.headers, "Location")
        if seen.answer.status not in REDIRECTS or not place:
            return seen, hop
        after = redirect.follow(hop, place[0], reach=passage.reach, wanted=wanted)
        if not after.own:
            return seen, hop
        hop = after
    raise going_round(wanted)


def _api_of(reach: Reach) -> Reach:
    scheme, _, rest = reach.release_api.partition("://")
    origin = Origin(f"{scheme}://{rest.partition('/')[0]}")
    return Reach(origin, reach.dial if origin == reach.origin else reach.dial.elsewhere())


def _hop(url: str, reach: Reach) -> Hop:
    return Hop(url, reach.dial, own=True, subject=f"host {reach.origin.partition('://')[2]!r}")
