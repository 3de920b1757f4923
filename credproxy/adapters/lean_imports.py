"""What processes that run for days do without."""

import importlib
import sys


def import_structlog() -> None:
    """Import structlog without rich, which it takes for drawing tracebacks where it finds it.

    Nothing here draws any, and rich with all its lexers is five megabytes of every process and a tenth of a second of each
    start. Code that has already imported it, or does so later, is not affected.
    """
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # so Python is told that there is no such module
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]
