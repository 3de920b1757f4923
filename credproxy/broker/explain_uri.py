"""Explains a URI as a person typed it, including what is left out of it."""

from msgspec.structs import replace

from credproxy.broker.broker import Broker
from credproxy.broker.report import Explanation
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri, without_userinfo


_DROPPED = "the user name in the URI is ignored: credentials come from the configuration"


async def explain_uri(broker: Broker, uri: str, *, caller: Caller) -> Explanation:
    """Give every decision for a URI. Raises Failed(bad_request) as ``parse_uri`` does."""
    plain = without_userinfo(uri)
    told = await broker.explain(Question(parse_uri(plain), caller))
    return told if plain == uri else replace(told, reasons=(*told.reasons, _DROPPED))
