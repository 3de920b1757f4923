"""Holds the exchanges that sources need, within the limits of the flight under way."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from credproxy.core.ask.http import Request, Response
from credproxy.ports import Clock, HttpClient, converse, under_way


T = TypeVar("T")

_LONGEST = 30.0
"""Seconds for an exchange outside of any flight, as for the docker helper protocol."""


@dataclass(frozen=True, slots=True)
class _Alone:
    """The limits where no flight is under way. Source: ports.Terms."""

    deadline: float
    patience: float
    anew: bool = False
    for_actions: bool = False


async def hold(conversation: Generator[Request, Response, T], http: HttpClient, *, clock: Clock) -> T:
    """Hold one. Raises Failed as the conversation and ``HttpClient.send`` do."""
    end = clock.boot() + _LONGEST
    return await converse(conversation, http, terms=under_way.get() or _Alone(end, end))
