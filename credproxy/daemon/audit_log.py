"""The audit log: who was handed what (R28, A6). Lines among the daemon's others, whatever its level."""

import logging

import structlog

from credproxy.core.ask.audit import Record
from credproxy.core.ask.credential import Caller
from credproxy.ports import Clock


# A level of its own: who asks for warnings alone did not ask to switch the audit off.
log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))


class AuditLog:
    """Writes while ``on``, which the configuration in force says.

    Args:
        clock: tells how much is left of what is handed out.
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
