"""Sending requests, and holding a conversation with a token server."""

from collections.abc import Generator
from typing import Protocol, TypeVar

from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Failed
from credproxy.ports.terms import Terms


T = TypeVar("T")


class HttpClient(Protocol):
    """Sends one request, follows nothing, reads at most BODY_LIMIT bytes."""

    async def send(self, request: Request, terms: Terms) -> Response:
        """Give the response, whatever its status.

        Raises:
            Failed: upstream_unavailable, rate_limited, tls_failed, address_refused, answer_too_large.
        """
        ...


async def converse(conversation: Generator[Request, Response, T], http: HttpClient, *, terms: Terms) -> T:
    """Drive an exchange: send what it yields, feed back what arrives, return what it returns.

    A Failed from the client is thrown into the conversation, which may fall back or let it pass.
    """
    try:
        request = next(conversation)
        while True:
            try:
                response = await http.send(request, terms)
            except Failed as error:
                request = conversation.throw(error)
            else:
                request = conversation.send(response)
    except StopIteration as stop:
        result: T = stop.value
        return result
