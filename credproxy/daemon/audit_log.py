"""The audit log: who was handed what (R28, A6). Lines among the daemon's others, whatever its level."""

import logging

import structlog

from credproxy.core.ask.audit import Record
from credproxy.core.ask.credential import Caller
from credproxy.ports.clock import Clock


# A level of its own: asking for warnings only must not switch the audit off.
log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))


class AuditLog:
    """Writes while ``on``, which follows the configuration in force.

    Args:
        clock: tells how long what is handed out is still valid.
    """

    def __init__(self, clock: Clock) -> None:
        self.on = False
        self._clock = clock

    def handed_out(self, record: Record, caller: Caller, *, pid: int | None, program: str) -> None:
        """Write one line."""
        log.info(
            "handed out",
            socket=caller.socket,
            uid=caller.uid,
            pid=pid,
            program=program,
            target=record.target,
            scope=record.scope,
            credential=record.credential,
            token=record.token,
            left=None if record.expires is None else round(record.expires - self._clock.wall()),
        )
