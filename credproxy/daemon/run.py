"""The daemon's life, from its first line to its last."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.hardening import harden, raise_descriptor_limit
from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.core.errors import Failed
from credproxy.core.paths import actions_socket, helper_socket
from credproxy.core.settings import Settings
from credproxy.daemon.limits import BACKLOG, Limits, share
from credproxy.daemon.logs import Logs
from credproxy.daemon.port import Port
from credproxy.daemon.service import Service
from credproxy.ports import Clock
from credproxy.server.actions_api import ActionsApi
from credproxy.server.gateway_api import GatewayApi
from credproxy.server.helper_api import HelperApi
from credproxy.server.listener import AlreadyRunning, Bound, bind
from credproxy.server.memo import Memo
from credproxy.server.peer import Gate, namespaces
from credproxy.server.protocol import GatedServer
from credproxy.server.sandboxes import Sandboxes


_GRACE = 1.0
"""Seconds that exchanges with waiters get at SIGTERM; then the helper's one retry reaches the successor (P5)."""

log = structlog.get_logger("credproxy.daemon")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the environment decide.

    Attributes:
        environ: the process environment; nothing below reads it elsewhere.
        config: configuration files, the most important first; None for the usual places.
        log_level: overrides the configuration's, as does ``log_format``.
    """

    environ: Mapping[str, str]
    config: tuple[str, ...] | None = None
    log_level: str | None = None
    log_format: Literal["auto", "console", "json"] | None = None


def run(options: Options) -> int:
    """Serve until told to stop; gives the exit status.

    0 after SIGTERM or SIGINT, and when another daemon holds the socket already; 1 when this one cannot serve.
    """
    logs = Logs(level=options.log_level, log_format=options.log_format)
    try:
        harden()
        path = helper_socket(options.environ, os.getuid(), os.path.isdir)
        bound = bind(path, backlog=BACKLOG)
    except AlreadyRunning as running:
        log.info("already running", socket=str(running))
        return 0
    except (Failed, OSError) as error:
        _complain(error)
        return 1
    else:
        with contextlib.closing(bound), contextlib.ExitStack() as stack:
            actions = _bind_actions(options)
            if actions is not None:
                stack.enter_context(contextlib.closing(actions))
            asyncio.run(_serve(options, bound, actions, logs))
        return 0
    finally:
        logs.close()


def _bind_actions(options: Options) -> Bound | None:
    """Bind the actions socket; without it the helper socket is still worth serving."""
    path = actions_socket(options.environ, os.getuid(), os.path.isdir)
    try:
        return bind(path, backlog=BACKLOG, variable="CREDPROXY_ACTIONS_SOCKET")
    except AlreadyRunning:
        reason, hint = "another daemon serves it", "set CREDPROXY_ACTIONS_SOCKET to another path for one of them"
    except Failed as error:
        reason, hint = error.failure.message, error.failure.hint
    except OSError as error:
        reason, hint = f"{error.strerror}: {error.filename!r}", "set CREDPROXY_ACTIONS_SOCKET to a path of your own"
    log.warning("no actions socket", socket=path, reason=reason, hint=hint)
    return None


def _complain(error: Failed | OSError) -> None:
    if isinstance(error, Failed):
        log.error("cannot start", code=error.failure.code.value, reason=error.failure.message, hint=error.failure.hint)
    else:
        log.error("cannot start", reason=f"{error.strerror}: {error.filename!r}")


async def _serve(options: Options, bound: Bound, actions: Bound | None, logs: Logs) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_loop_error)
    clock = SystemClock()
    metrics = PrometheusMetrics()
    stop = asyncio.Event()
    limits = share(raise_descriptor_limit())
    async with Service(
        environ=options.environ,
        config=options.config,
        clock=clock,
        metrics=metrics,
        sample=random.random,
        adopted=lambda settings: logs.follow(settings.log),
    ) as service:
        await service.load()
        server, actions_server = _servers(service, metrics, clock, limits)
        port = Port(service, actions_server.handler)
        _watch(metrics, server, actions_server, service, logs)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, service.reload_soon)
        listening = await loop.create_unix_server(server, sock=bound.sock, backlog=limits.backlog)
        doors = [listening]
        if actions is not None:
            doors.append(await loop.create_unix_server(actions_server, sock=actions.sock, backlog=limits.backlog))
        await port.open()
        log.info(
            "ready",
            socket=str(bound.path),
            actions=None if actions is None else str(actions.path),
            pid=os.getpid(),
            connections=server.limit,
        )
        await stop.wait()
        log.info("stopping")
        for door in doors:
            door.close()
        server.pre_shutdown()
        actions_server.pre_shutdown()
        await service.broker.drain(_GRACE)
        await asyncio.gather(server.shutdown(_GRACE), actions_server.shutdown(_GRACE), port.close(_GRACE))


def _servers(
    service: Service, metrics: PrometheusMetrics, clock: Clock, limits: Limits
) -> tuple[GatedServer, GatedServer]:
    """The helper socket's server and the actions socket's."""
    broker, audit, memo = service.broker, service.audit, Memo(service.broker, service.audit)
    refused: Counter[str] = Counter()
    api = HelperApi(
        broker=broker,
        memo=memo,
        audit=audit,
        clock=clock,
        reload=service.reload,
        metrics_page=metrics.render,
        flushed=service.gateway.forget,
        refused=refused,
    )
    actions_api = ActionsApi(
        broker=broker,
        memo=memo,
        clock=clock,
        grants=service.grants,
        gateway=GatewayApi(service.gateway, audit=audit, clock=clock, refused=refused),
        sandboxes=Sandboxes(clock, namespaces() if sys.platform == "linux" else None),
        refused=refused,
    )
    for_helpers, for_all = _gates(service.settings)
    return (
        GatedServer(api.handle, gate=for_helpers, limit=limits.helpers, lifelines=limits.lifelines, audit=audit),
        GatedServer(
            actions_api.handle,
            gate=for_all,
            limit=limits.actions,
            lifelines=0,
            audit=audit,
            placed=True,
            abandoned=True,
        ),
    )


def _gates(settings: Settings) -> tuple[Gate, Gate]:
    """The helper socket's gate and the actions socket's: a sandbox is let in to the second one only (T11)."""
    uid, same = os.getuid(), settings.peer_namespaces == "same" and sys.platform == "linux"
    everywhere = Gate(uid, allow_root=settings.allow_root)
    return replace(everywhere, namespaces=namespaces() if same else None), everywhere


def _watch(metrics: PrometheusMetrics, server: GatedServer, actions: GatedServer, service: Service, logs: Logs) -> None:
    metrics.gauge("connections", "Open connections on the helper socket", lambda: server.open)
    metrics.gauge("connections_dropped", "Connections that were more than the limit", lambda: server.dropped)
    metrics.gauge("actions_connections", "Open connections on the actions socket", lambda: actions.open)
    metrics.gauge("actions_connections_dropped", "Those above its limit", lambda: actions.dropped)
    metrics.gauge("cache_entries", "Answers in memory", lambda: len(service.broker.cache))
    metrics.gauge("cache_bytes", "Bytes of the answers in memory", lambda: service.broker.cache.size)
    metrics.gauge("log_lines_dropped", "Log lines that could not be written", lambda: logs.dropped)
    metrics.gauge("log_lines_collapsed", "Log lines that were counted, not written", lambda: logs.collapsed)
    metrics.gauge("gateway_downloads", "Blobs under way", lambda: service.pump.running)
    metrics.gauge("tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks()))


def _loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Name what failed, without its text (PY17, PY24)."""
    del loop
    error = context.get("exception")
    log.error("event loop error", error=type(error).__name__ if error else None, about=str(context.get("message")))


def main() -> int:
    """Run with this process's environment: what ``credproxy serve`` does without options."""
    return run(Options(environ=dict(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
