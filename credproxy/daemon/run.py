"""The daemon's life, from its first line to its last."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from credproxy.adapters import sd_notify
from credproxy.adapters.cgroup import CgroupMemory
from credproxy.adapters.clock import SystemClock
from credproxy.adapters.hardening import harden
from credproxy.adapters.loop_errors import LoopErrors
from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.adapters.own_metadata import own_copy, requirement
from credproxy.adapters.sd_notify import Notifier
from credproxy.core.errors import Failed, Failure, Unfit, in_words
from credproxy.core.paths import log_file
from credproxy.daemon.in_place_restart import Departure, Kept, Succession, become
from credproxy.daemon.listeners import ServedSocket, ServedSockets
from credproxy.daemon.logs import Logs
from credproxy.daemon.memory_shortage import relieve_in_time
from credproxy.daemon.reload import Service
from credproxy.daemon.serve_options import ServeOptions
from credproxy.daemon.service_manager import Announcer
from credproxy.daemon.socket_servers import Front, build_front
from credproxy.daemon.sockets import ACTIONS, HELPER, Sockets, open_sockets
from credproxy.server import inherited
from credproxy.server.c_parser import require_c_parser
from credproxy.server.listener import AlreadyRunning
from credproxy.server.namespaces import obstacle


_GRACE = 1.0
"""Seconds that exchanges with waiters get at SIGTERM; then the helper's one retry reaches the successor (P5)."""

_LAST_WORDS = 0.1
"""Seconds after that for answers that are there and only need to be written."""

_UNFIT = 64
"""EX_USAGE: the units do not restart after it."""

log = structlog.get_logger("credproxy.daemon")


def run(options: ServeOptions) -> NoReturn:
    """Serve until told to stop, and end the process.

    Its status is 0 after SIGTERM or SIGINT, and if another daemon already holds the socket; 1 if this one cannot
    serve; 64 if a restart would not help, so that no service manager tries.
    """
    logs = Logs(level=options.log_level, log_format=options.log_format, file=log_file(options.environ))
    try:
        status, kept = _run(options, logs)
    finally:
        logs.close()  # before the next program takes over this process, or the last lines would be lost
    if kept:
        status = _succeed(options, kept)
    # Not by returning: Python would wait for its threads, and one that asks a dead name server takes ten more seconds,
    # during which the successor is not started and callers give up.
    sys.stderr.flush()
    os._exit(status)


def _succeed(options: ServeOptions, kept: Sequence[Kept]) -> int:
    sys.stderr.flush()
    try:
        become(options.program, options.arguments, kept=kept, environ=options.environ)
    except OSError as error:
        sys.stderr.write(f"credproxy: the installed program does not start: {in_words(error)}\n")
        return 1


def _run(options: ServeOptions, logs: Logs) -> tuple[int, list[Kept]]:
    try:
        sockets = _prepare(options)
    except AlreadyRunning as running:
        log.info("already running", socket=str(running), hint="credproxy status tells of the one that listens")
        return 0, []
    except Unfit as error:
        _complain(error)
        inherited.turn_away(options.environ, error.failure)
        return _UNFIT, []
    except (Failed, OSError) as error:
        _complain(error)
        return 1, []
    with contextlib.closing(sockets), contextlib.closing(Notifier(options.environ)) as notifier:
        blind = obstacle(supervised=notifier.supervised) if sys.platform == "linux" else None
        # The runner is never closed: that would also wait for threads.
        kept = asyncio.Runner().run(_serve(options, sockets, notifier, logs, blind))
    return 0, kept


def _prepare(options: ServeOptions) -> Sockets:
    """Everything that comes before the first secret."""
    harden()
    own_copy()  # reads files, which nobody shall wait for later
    require_c_parser(lambda: own_copy().replacing(requirement("aiohttp")))
    sockets = open_sockets(options)
    for name in (*inherited.VARIABLES, *sd_notify.VARIABLES):
        os.environ.pop(name, None)  # meant for this process: a child would take them as its own (T30)
    return sockets


def _complain(error: Failed | OSError) -> None:
    if isinstance(error, Failed):
        log.error("cannot start", code=error.failure.code.value, reason=error.failure.message, hint=error.failure.hint)
    else:
        log.error("cannot start", reason=in_words(error), hint="credproxy doctor")


async def _serve(
    options: ServeOptions, sockets: Sockets, notifier: Notifier, logs: Logs, blind: Failure | None
) -> list[Kept]:
    loop = asyncio.get_running_loop()
    clock, metrics, announcer, departure = SystemClock(), PrometheusMetrics(), Announcer(notifier), Departure()
    loop.set_exception_handler(LoopErrors(clock.boot))
    service = Service(
        environ=options.environ,
        config=options.config,
        clock=clock,
        metrics=metrics,
        sample=random.random,
        adopted=lambda settings: logs.follow(settings.log),
        announcer=announcer,
        system=options.system,
    )
    passed_on = inherited.passed_on(options.environ)
    succession = Succession(
        options.program, processes=service.processes, clock=clock, begin=departure.hand_over, passed_on=passed_on
    )
    async with service, contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        await service.load()
        front = build_front(
            options,
            sockets,
            service=service,
            blind=blind,
            metrics=metrics,
            clock=clock,
            logs=logs,
            asked_by=succession.asked_by,
            state=announcer.state,
        )
        doors, port = front.doors, front.port
        _on_signals(departure.end)
        loop.add_signal_handler(signal.SIGHUP, service.reload_soon)
        loop.add_signal_handler(signal.SIGUSR2, departure.hand_over)
        for door in doors:
            await door.open()
        await port.open()
        await stack.enter_async_context(front.carriers)
        keeper = ServedSockets(doors, clock=clock, announcer=announcer, stop=departure.end, late=front.late)
        relief = relieve_in_time(CgroupMemory().used, service.broker.relieve, clock=clock)
        keeping = group.create_task(keeper.keep())
        kept = [group.create_task(work) for work in (announcer.beat(clock), relief, succession.watch())]
        _say_ready(doors, announcer)
        if service.serves_actions:
            kept.append(group.create_task(front.carriers.warm_up()))
        await departure.wait(front.carriers.count_downloads, clock.sleep)
        keeping.cancel()  # or it would put back what is closed now
        announcer.stopping()
        leaving = group.create_task(_leave(front, service, departure))
        _on_signals(leaving.cancel)  # the second signal means: do not wait (P5)
        await asyncio.wait({leaving})
        for task in kept:
            task.cancel()
    return departure.kept


def _on_signals(call: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, call)


def _say_ready(doors: Sequence[ServedSocket], announcer: Announcer) -> None:
    paths = {door.name: door.path for door in doors}
    connections = sum(door.server.limit for door in doors)
    log.info("ready", socket=paths.get(HELPER), actions=paths.get(ACTIONS), pid=os.getpid(), connections=connections)
    for closed in filter(None, (door.server.gate.closed for door in doors)):
        log.error("helper socket closed", reason=closed.message, hint=closed.hint)
        announcer.say("helper socket", f"refuses every caller: {closed.message}; {closed.hint}", wrong=True)
    announcer.ready()


async def _leave(front: Front, service: Service, departure: Departure) -> None:
    """Callers in the queues are left to the successor; those that were accepted get an answer, or an end that makes them retry.

    Args:
        front: to close.
        service: its exchanges get some time.
        departure: takes the sockets that the successor of a hand-over gets.
    """
    for door in front.doors:
        if not departure.handing:
            door.close()
        elif (kept := door.hand_over()) is not None:
            departure.kept.append(kept)
        door.server.pre_shutdown()
    front.port.close()
    await service.broker.drain(_GRACE)
    # Unlike an exchange, a build action's download cannot be continued by another process: it gets time of its own.
    await asyncio.gather(
        *(door.server.shutdown(_LAST_WORDS) for door in front.doors),
        front.port.shutdown(_LAST_WORDS),
        front.carriers.leave(max(_LAST_WORDS, service.drain_timeout - _GRACE)),
    )
