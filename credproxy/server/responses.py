"""From values to HTTP responses."""

from http import HTTPStatus

from aiohttp import web

from credproxy.core.ask.message import encode_failure, failure_text
from credproxy.core.errors import Failure


SERVER = "credproxy"
"""Named without versions: aiohttp would otherwise tell every peer its own and Python's (T19)."""


def json_response(body: bytes, status: int = HTTPStatus.OK) -> web.Response:
    """An encoded JSON document."""
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", "Server": SERVER})


def text_response(
    body: str | bytes, status: int = HTTPStatus.OK, *, content_type: str = "text/plain; charset=utf-8"
) -> web.Response:
    """A text, which the helper prints."""
    data = body.encode() if isinstance(body, str) else body
    return web.Response(body=data, status=status, headers={"Content-Type": content_type, "Server": SERVER})


def failure_response(failure: Failure, *, plain: bool) -> web.Response:
    """A failure with the status of its code: two lines if the client wants text, JSON otherwise."""
    if plain:
        response = text_response(failure_text(failure), failure.status)
    else:
        response = json_response(encode_failure(failure), failure.status)
    if failure.pause is not None:
        response.headers["Retry-After"] = str(max(1, round(failure.pause)))
    return response
