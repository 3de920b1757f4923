"""Imports libraries without the parts that a process that runs for days does not need."""

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def kept_for_good() -> Iterator[None]:
    """Import without garbage collections, and keep what was imported out of all later ones.

    What is imported stays until the process ends: to look through it for garbage, again and again while it grows, takes a
    tenth of the time that the daemon needs to start, and later each full collection takes 10 ms of its loop.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_structlog() -> None:
    """Import structlog without rich, which it would use for formatting tracebacks.

    Nothing here formats tracebacks that way, and rich with all its lexers costs five megabytes in every process and a tenth
    of a second at each start. Code that imported it before, or does so later, is not affected.
    """
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python then treats it as missing
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


def import_aiohttp() -> None:
    """Import aiohttp without the machine's certificates, which it would read for two contexts of its own.

    Here every connection has a context of its rule (adapters/tls_trust.py), and those two would take a tenth of each start. As
    they are, they trust nobody. Code that imported it before is not affected.
    """
    if "aiohttp" in sys.modules:
        return
    contexts = importlib.import_module("ssl").SSLContext
    contexts.set_default_verify_paths = lambda _: None  # in place of the inherited one
    try:
        importlib.import_module("aiohttp")
    finally:
        del contexts.set_default_verify_paths
