"""The composition root: everything meets here, and nothing below knows of it.

``run`` is the whole life of the daemon: harden, log, listen, read the configuration, serve, drain, leave.
"""

from credproxy.daemon.options import Options
from credproxy.daemon.run import run


__all__ = ["Options", "run"]
