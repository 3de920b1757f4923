"""Commands that use parts of the daemon without its log."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

import structlog


def _drop(*event: object) -> MutableMapping[str, object]:
    del event
    raise structlog.DropEvent


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress what a daemon would log: a command says the reasons itself."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)
