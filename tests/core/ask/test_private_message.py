"""Messages between our processes: whatever one holds, a traceback or a log line that quotes it shows nothing."""

from itertools import chain
from typing import get_args

import pytest

from credproxy.core.ask.carrier_messages import JsonAnswer, ToCarrier, ToDaemon
from credproxy.core.ask.private_message import PrivateMessage
from credproxy.core.ask.relay_messages import FromRelay, ToRelay
from credproxy.core.ask.worker_messages import FromWorker, LibraryAnswer, LibraryQuestion


UNIONS = (ToCarrier, ToDaemon, ToRelay, FromRelay, LibraryQuestion, LibraryAnswer, FromWorker)
KINDS = {kind.__name__: kind for kind in chain.from_iterable(map(get_args, UNIONS))}


def test_a_message_shows_what_it_is_and_nothing_that_it_holds() -> None:
    """Its content may be an answer with a token."""
    assert repr(JsonAnswer(1, b"canary")) == "JsonAnswer(...)"


@pytest.mark.parametrize("name", KINDS)
def test_every_message_is_such_a_one(name: str) -> None:
    """A new one that is not would be shown as structs are, with all its fields."""
    assert issubclass(KINDS[name], PrivateMessage)
    assert KINDS[name].__repr__ is PrivateMessage.__repr__
