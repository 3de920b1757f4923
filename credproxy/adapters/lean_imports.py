"""Imports without what a process that runs for days does not need."""

import importlib
import sys


def import_structlog() -> None:
    """Import structlog without rich, which it would use for formatting tracebacks.

    Nothing here formats tracebacks so, and rich with all its lexers costs five megabytes in every process and a tenth
    of a second at each start. Code that imported it before, or does so later, is not affected.
    """
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python then treats it as missing
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]
