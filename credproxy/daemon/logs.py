"""How the daemon logs: structlog to stderr, one event per decision, never a secret.

Two backstops support the rule that secrets are not logged (PY17): values that look like a credential are masked,
and library loggers report only where something happened, because their texts quote requests. Between the
processors and the stream are ``log_rate_limit`` and a queue, so that neither a flood nor a stuck reader stops the daemon. A
line has a bound, a kind of line has one per second, and the file that the helper gave us has one as well.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TextIO

import structlog

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.log_file import LogFile
from credproxy.adapters.log_queue import Descriptor, LogQueue
from credproxy.core.config.settings import LogSettings
from credproxy.core.redact import cut, cut_words, mask
from credproxy.daemon.log_rate_limit import Event, Repeats


_STDERR = 2

WORD = 200
"""Characters of a value, and of each word of a sentence: a caller's path may have 8,000."""

SENTENCES = 2000
"""Characters of our own sentences, which may quote a program's complaint."""

_SENTENCES = frozenset({"reason", "hint"})
_LOOKED_AT = 1000
"""Characters of a word that are examined."""

Format = Literal["auto", "console", "json"]


def _bound_values(logger: object, method: str, event: Event) -> Event:
    """Mask and cut text that others may have written: a caller's path, a registry's name, a program's output."""
    del logger, method
    for key, value in event.items():
        if not isinstance(value, (int, float, bool, type(None))):
            event[key] = _bound(key, _text(value))
    return event


def _text(value: object) -> str:
    """A value as text: a table's names and values, a list's items, in no programming language's notation."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{_text(name)}: {_text(item)}" for name, item in value.items() if item is not None and item != ""
        )
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(_text, value))
    return str(value)


def _bound(key: str, text: str) -> str:
    # Cut before masking as well, because masking costs in proportion to the text; and after it, or half a secret could
    # be left that does not look like one.
    if key in _SENTENCES:
        return cut_words(mask(cut_words(text, _LOOKED_AT, most=2 * SENTENCES)), WORD, most=SENTENCES)
    return cut(mask(cut(text, _LOOKED_AT)), WORD)


class _Libraries(logging.Handler):
    """Library records without their text: logger, level and the exception's class (PY12)."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        structlog.get_logger(record.name).log(
            record.levelno, "library message", error=error.__name__ if error else None, place=record.funcName
        )


class _LineSink:
    """What structlog calls with a finished line, by the name of its level."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self._put = put

    def line(self, text: str) -> None:
        """Take it."""
        self._put(f"{text}\n")

    debug = info = warning = error = critical = line


class Logs:
    """Logging of this process, from construction until ``close``.

    Args:
        level: overrides the configuration's, as does ``log_format``: ``auto`` is the console format on a terminal and
            JSON otherwise.
        stream: instead of stderr, for tests.
        now: seconds of any clock that does not go back, for lines that repeat.
        file: where the helper keeps the log of a daemon that it starts; if stderr is that file, it is rotated.
    """

    def __init__(
        self,
        *,
        level: str | None = None,
        log_format: Format | None = None,
        stream: TextIO | None = None,
        now: Callable[[], float] | None = None,
        file: str | None = None,
    ) -> None:
        self._level = level
        self._format = log_format
        self._terminal = os.isatty(_STDERR) if stream is None else stream.isatty()
        self._stamp = structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True)
        self._repeats = Repeats(now or SystemClock().boot, self._put)
        self._queue = LogQueue(_writer(stream, file), missing=self._missing)
        self._handlers = list(logging.getLogger().handlers)
        logging.getLogger().handlers[:] = [_Libraries()]
        logging.getLogger().setLevel(logging.WARNING)
        self.follow(LogSettings())

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._queue.dropped

    @property
    def collapsed(self) -> int:
        """Lines that were counted because there were many of the kind."""
        return self._repeats.collapsed

    def follow(self, settings: LogSettings) -> None:
        """Log as the configuration says, unless the command line says otherwise."""
        wanted, level = self._format or settings.format, self._level or settings.level
        self._render = self._renderer(console=wanted == "console" or (wanted == "auto" and self._terminal))
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                self._repeats,  # before the expensive part, so that a flood costs little
                _bound_values,
                self._stamp,
                self._render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
            logger_factory=lambda *_: _LineSink(self._queue.put),
            cache_logger_on_first_use=False,
        )

    def close(self) -> None:
        """Write what is queued, for a second at most, and restore logging."""
        logging.getLogger().handlers[:] = self._handlers
        structlog.reset_defaults()
        self._repeats.settle()
        self._queue.close()

    def _renderer(self, *, console: bool) -> structlog.typing.Processor:
        if not console:
            return structlog.processors.JSONRenderer()
        return structlog.dev.ConsoleRenderer(colors=self._terminal, exception_formatter=structlog.dev.plain_traceback)

    def _line(self, event: Event) -> str:
        level = str(event["level"])
        text = self._render(None, level, self._stamp(None, level, _bound_values(None, level, dict(event))))
        assert isinstance(text, str)
        return f"{text}\n"

    def _put(self, event: Event) -> None:
        self._queue.put(self._line(event))

    def _missing(self, count: int) -> str:
        return self._line({"event": "log lines dropped", "count": count, "level": "warning"})


def _writer(stream: TextIO | None, file: str | None) -> Callable[[str], None]:
    if stream is None:
        # Not Python's stderr: if descriptor 2 is closed that is None, and it must not be blocked for good.
        out = Descriptor(_STDERR)
        return out.write if file is None else LogFile(out, Path(file)).write

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write
