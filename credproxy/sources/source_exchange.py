"""Holds the exchanges that sources need, within the limits of the current flight."""

from collections.abc import Generator
from typing import TypeVar

from credproxy.core.ask.http import Request, Response
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient, converse
from credproxy.ports.terms import OwnTerms, under_way


T = TypeVar("T")

_LONGEST = 30.0
"""Seconds for an exchange outside of any flight, as for the docker helper protocol."""


async def hold(conversation: Generator[Request, Response, T], http: HttpClient, *, clock: Clock) -> T:
    """Hold one exchange. Raises Failed as the conversation and ``HttpClient.send`` do."""
    return await converse(conversation, http, terms=under_way.get() or OwnTerms(clock.boot() + _LONGEST))
