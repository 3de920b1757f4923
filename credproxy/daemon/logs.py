"""How the daemon speaks: structlog to stderr, one event per decision, never a secret.

Two backstops stand behind the rule that secrets are not logged (PY17): values that look like a credential are masked,
and the loggers of libraries are cut down to where something happened, because their texts quote requests.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Literal, TextIO

import structlog

from credproxy.core.redact import mask


Event = MutableMapping[str, object]


def _mask_values(logger: object, method: str, event: Event) -> Event:
    del logger, method
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = mask(value)
        elif not isinstance(value, (int, float, bool, type(None))):
            event[key] = mask(str(value))
    return event


class _Libraries(logging.Handler):
    """Library records without their text: logger, level and the exception's class (PY12)."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        structlog.get_logger(record.name).log(
            record.levelno, "library message", error=error.__name__ if error else None, place=record.funcName
        )


def set_up(
    *, level: str, log_format: Literal["auto", "console", "json"], stream: TextIO | None = None
) -> Callable[[], None]:
    """Configure logging for the process; gives a function that undoes it, for tests.

    ``auto`` is the console format on a terminal and JSON otherwise.
    """
    out = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
            _mask_values,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = _Libraries()
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)

    def undo() -> None:
        root.handlers[:] = before
        structlog.reset_defaults()

    return undo
