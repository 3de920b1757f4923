"""A browser that keeps cookies, follows redirects and fills in the plain forms of oidc-provider's pages."""

import html
import re
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import aiohttp


_FORM = re.compile(r"<form[^>]*action=\"([^\"]*)\"[^>]*>(.*?)</form>", re.DOTALL)
_FIELD = re.compile(r"<input[^>]*>")
_ATTRIBUTE = re.compile(r"(name|value)=\"([^\"]*)\"")
_STEPS = 20


class Browser:
    """A user who logs in."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))  # of an address, too
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def confirm(self, url: str, name: str, until: str = "no such place") -> str:
        """Confirm every page.

        Args:
            url: where it begins.
            name: who logs in.
            until: what the last place begins with, which is not asked for.

        Returns:
            The last place.
        """
        method, form = "GET", None
        for _ in range(_STEPS):
            async with self._session.request(method, url, data=form, allow_redirects=False) as answer:
                page = await answer.text()
            if answer.status in {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}:
                url, method, form = urljoin(url, answer.headers["Location"]), "GET", None
                if url.startswith(until):
                    return url
                continue
            assert answer.status == HTTPStatus.OK, page
            found = _FORM.search(page)
            if found is None:
                return url
            url, method = urljoin(url, html.unescape(found[1])), "POST"
            form = _fields(found[2]) | {"login": name, "password": "any"}
        raise AssertionError(url)


def _fields(text: str) -> dict[str, str]:
    fields = [dict(_ATTRIBUTE.findall(field)) for field in _FIELD.findall(text)]
    return {field["name"]: html.unescape(field.get("value", "")) for field in fields if "name" in field}
