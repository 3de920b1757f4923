"""The exchanges of sources, and the limits within which they are held."""

import json

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Request, Response
from credproxy.exchange.job_token import ask_job_token
from credproxy.ports.terms import Terms, under_way
from credproxy.sources.source_exchange import hold
from tests.fakes import FakeClock, FixedTerms


class Noting:
    """Answers every request, and remembers its limits. Source: ports.http_client.HttpClient."""

    def __init__(self) -> None:
        self.terms: list[Terms] = []

    async def send(self, request: Request, terms: Terms) -> Response:
        """Give a token."""
        del request
        self.terms.append(terms)
        return Response(200, (), json.dumps({"value": "a.b.c"}).encode(), 0.0, 0.0)


async def held() -> Terms:
    """The limits of one exchange."""
    http = Noting()
    got = await hold(ask_job_token("https://a.test/?x=1", Secret("s"), audience="aud"), http, clock=FakeClock())
    assert got.reveal() == "a.b.c"
    return http.terms[0]


async def test_an_exchange_has_the_limits_of_the_flight_that_needs_it() -> None:
    """So that exchanges for build actions use their own places and breakers (T16)."""
    flight = FixedTerms(for_actions=True)
    under_way.set(flight)
    assert await held() is flight


async def test_outside_of_any_flight_it_has_thirty_seconds() -> None:
    """As for ``docker-credential-credproxy get``, which no flight answers."""
    terms = await held()
    assert (terms.deadline, terms.patience, terms.anew, terms.for_actions) == (1030.0, 1030.0, False, False)
