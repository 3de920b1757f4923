"""The composition root: everything comes together here, and nothing below knows of it.

``run`` is the whole life of the daemon: harden, log, listen, read the configuration, serve, drain, leave.
"""

from credproxy.adapters.lean_imports import import_aiohttp, import_structlog


import_structlog()  # before anything else
import_aiohttp()

from credproxy.daemon.run import run  # noqa: E402  see above
from credproxy.daemon.serve_options import ServeOptions  # noqa: E402  see above


__all__ = ["ServeOptions", "run"]
