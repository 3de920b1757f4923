"""The composition root: everything meets here, and nothing below knows of it.

``run`` is the whole life of the daemon: harden, log, read the configuration, listen, serve, drain, leave.
"""

from credproxy.daemon.run import Options, run


__all__ = ["Options", "run"]
