"""The server behind each socket: its API, its gate and its share of the connections."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from credproxy.adapters.hardening import raise_descriptor_limit
from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failure
from credproxy.daemon.carrier_office import SystemOffice
from credproxy.daemon.carriers import Carriers, enough
from credproxy.daemon.limits import share
from credproxy.daemon.listeners import ServedSocket, Serves
from credproxy.daemon.logs import Logs
from credproxy.daemon.passing_server import PassingServer
from credproxy.daemon.reload import Service
from credproxy.daemon.serve_options import ServeOptions
from credproxy.daemon.sockets import ACTIONS, HELPER, Sockets, open_actions_late
from credproxy.daemon.tcp_listener import CONNECTIONS, TcpListener
from credproxy.ports.clock import Clock
from credproxy.server.answer_memo import Memo
from credproxy.server.broker_authorizer import BrokerAuthorizer
from credproxy.server.helper_api import HelperApi, ReportedState
from credproxy.server.listener import Bound, Listener
from credproxy.server.namespaces import own_namespaces
from credproxy.server.narrow import NarrowAnswers
from credproxy.server.peer import Gate, Peer
from credproxy.server.protocol import GatedServer


class Front(NamedTuple):
    """What callers meet: a door for each socket, perhaps a port, and the carriers behind both.

    ``late`` makes the door of the actions socket that could not be bound at the start; None if it was, or is not ours to bind.
    """

    doors: list[ServedSocket]
    port: TcpListener
    carriers: Carriers
    late: Callable[[], ServedSocket | None] | None = None


def build_front(
    options: ServeOptions,
    sockets: Sockets,
    *,
    service: Service,
    blind: Failure | None,
    metrics: PrometheusMetrics,
    clock: Clock,
    logs: Logs,
    state: Callable[[], ReportedState],
    asked_by: Callable[[str], object],
) -> Front:
    """Make the servers for the sockets that exist.

    Args:
        options: whom to serve.
        sockets: to serve.
        service: with its configuration loaded.
        blind: why callers' namespaces cannot be seen from here; None if they can.
        metrics: gets the gauges.
        clock: for limits.
        logs: for its gauges.
        state: what the service manager was told.
        asked_by: told of helpers of another version.
    """
    limits, memo = share(raise_descriptor_limit()), Memo(service.audit)
    refused: Counter[str] = Counter()
    # A system service cannot see the namespaces of other users' processes: there each user has a share.
    own = own_namespaces() if sys.platform == "linux" and not options.system else None
    carriers = _carriers(service, memo, refused, clock)

    def forget() -> None:
        memo.clear()
        carriers.changed()

    service.changed = forget
    doors: list[ServedSocket] = []
    passing: PassingServer | None = None
    if sockets.helper is not None:
        api = HelperApi(
            broker=service.broker,
            memo=memo,
            audit=service.audit,
            clock=clock,
            reload=service.reload,
            metrics_page=metrics.render,
            flushed=carriers.flushed,
            carriers=carriers.report,
            relays=carriers.relays.report,
            worker=service.libraries.report,
            connections=lambda: passing.accounts.held() if passing is not None else {},
            state=state,
            asked_by=asked_by,
            refused=refused,
            admins=frozenset({0, os.getuid()}) if options.system else None,
        )
        gate = replace(_helper_gate(options, service.settings, blind=blind), carriers=lambda: carriers.pids)
        server = GatedServer(
            api.handle,
            gate=gate,
            limit=limits.helpers,
            lifelines=limits.lifelines,
            audit=service.audit,
            untrusted=options.system,
            short=service.broker.relieve,
        )
        doors.append(ServedSocket(HELPER, sockets.helper, server=server, backlog=limits.backlog))
    missing = sockets.actions is None and isinstance(sockets.helper, Bound)
    if sockets.actions is not None or missing:
        passing = PassingServer(
            carriers,
            gate=_gate(options, service.settings),
            limit=limits.actions,
            audit=service.audit,
            own=own,
        )

    def of_actions(listener: Listener | None) -> ServedSocket | None:
        if listener is None or passing is None:
            return None
        doors.append(door := ServedSocket(ACTIONS, listener, server=passing, backlog=limits.backlog))
        return door

    of_actions(sockets.actions)

    def of_port(port: int) -> PassingServer:
        # The token identifies the user: nothing else is known about the caller on a port.
        known = Peer(None, os.getuid())
        gate = Gate(os.getuid())
        return PassingServer(carriers, gate=gate, limit=CONNECTIONS, audit=service.audit, port=port, known=known)

    _watch(metrics, {door.name: door.server for door in doors} | _named(passing), service, carriers, logs)
    late = (lambda: of_actions(open_actions_late(options))) if missing else None
    return Front(doors, TcpListener(service, of_port), carriers, late)


def _named(passing: PassingServer | None) -> dict[str, Serves]:
    return {} if passing is None else {ACTIONS: passing}


def _carriers(service: Service, memo: Memo, refused: Counter[str], clock: Clock) -> Carriers:
    authority = BrokerAuthorizer(service.broker, service, audit=service.audit)
    narrow = NarrowAnswers(broker=service.broker, memo=memo, grants=service.grants)
    office = SystemOffice(authority, narrow, token=service.listen_token, clock=clock)
    return Carriers(office, clock, most=enough(service.settings.actions.carriers), refused=refused)


def _gate(options: ServeOptions, settings: Settings) -> Gate:
    """The user's own gate; a system service's sockets have a group instead, and root may use them."""
    return Gate(None) if options.system else Gate(os.getuid(), allow_root=settings.allow_root)


def _helper_gate(options: ServeOptions, settings: Settings, *, blind: Failure | None) -> Gate:
    """A sandbox is admitted only to the actions socket (T11)."""
    gate = _gate(options, settings)
    if settings.peer_namespaces == "any" or options.system or sys.platform != "linux":
        return gate
    return replace(gate, closed=blind, namespaces=own_namespaces())


def _watch(
    metrics: PrometheusMetrics, servers: Mapping[str, Serves], service: Service, carriers: Carriers, logs: Logs
) -> None:
    if (server := servers.get(HELPER)) is not None:
        metrics.gauge("connections", "Open connections on the helper socket", value=lambda: server.open)
        metrics.gauge("connections_dropped", "Connections beyond the limit", value=lambda: server.dropped)
    if (actions := servers.get(ACTIONS)) is not None:
        metrics.gauge("actions_connections", "Open connections on the actions socket", value=lambda: actions.open)
        metrics.gauge(
            "actions_connections_dropped",
            "Connections of the actions socket beyond its limit",
            value=lambda: actions.dropped,
        )
        metrics.gauge(
            "actions_connections_ended", "Silent connections that gave way to others", value=lambda: actions.ended
        )
    metrics.gauge("cache_entries", "Answers in memory", value=lambda: len(service.broker.cache))
    metrics.gauge("cache_bytes", "Bytes of the answers in memory", value=lambda: service.broker.cache.size)
    metrics.gauge("log_lines_dropped", "Log lines that could not be written", value=lambda: logs.dropped)
    metrics.gauge("log_lines_collapsed", "Log lines that were counted, not written", value=lambda: logs.collapsed)
    metrics.gauge("gateway_downloads", "Blobs under way", value=lambda: carriers.downloads)
    metrics.gauge("carriers", "Processes that serve build actions", value=lambda: len(carriers.running))
    metrics.gauge("carriers_lost", "Carriers that ended unexpectedly", value=lambda: carriers.lost)
    libraries = service.libraries
    metrics.gauge("worker", "Processes of the clouds' libraries", value=lambda: libraries.pid is not None)
    metrics.gauge("worker_calls", "Questions for the clouds' libraries", value=lambda: libraries.calls)
    metrics.gauge("worker_restarts", "Times that the worker died or hung", value=lambda: libraries.restarts)
    relays = carriers.relays
    metrics.gauge("relays", "Connections on which a client certificate was shown", value=lambda: relays.running)
    metrics.gauge("relay_processes_lost", "Processes of such connections that were lost", value=lambda: relays.lost)
    metrics.gauge("tasks", "Tasks of the event loop", value=lambda: len(asyncio.all_tasks()))
