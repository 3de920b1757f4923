"""``provider = "none"``: nothing, and it says so."""

from credproxy.core.ask.credential import Caller
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds.none import NoneHost
from credproxy.providers.none import NoneProvider
from tests.contract import HOST, ProviderContract


async def test_it_has_nothing_and_names_the_rule_that_says_so() -> None:
    """Otherwise the user would look for the unused login."""
    question = Question(parse_uri(f"https://{HOST}/x"), Caller())
    assert await NoneProvider().plan(question) is None
    assert NoneProvider().reasons(question) == (
        'its rule says provider = "none": this host gets nothing, whatever login there is',
    )


CONTRACTS = {"none": ProviderContract(NoneHost(HOST), answers=False)}
