"""A carrier's log lines go to the daemon, which bounds, masks and writes them; it has no file of its own to write to."""

import logging

import structlog

from credproxy.carrier.daemon_client import Daemon
from credproxy.core.ask.carrier_messages import Said
from credproxy.core.redact import cut


_LONGEST = 1000
"""Characters of a value; the daemon cuts and masks what is left."""


class _LineSender:
    """What structlog calls with a line, by the name of its level."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def say(self, *, level: str, event: str, **fields: object) -> None:
        """Pass one on."""
        told = {name: cut(str(value), _LONGEST) for name, value in fields.items() if value is not None}
        self._daemon.tell(Said(level, event, told))

    msg = debug = info = warning = error = critical = say


def to_daemon(daemon: Daemon) -> None:
    """Make structlog log through the daemon, and silence libraries: their texts quote requests."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, _as_keywords],
        logger_factory=lambda *_: _LineSender(daemon),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().addHandler(logging.NullHandler())
    logging.lastResort = None


def _as_keywords(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    del logger, method
    return event
