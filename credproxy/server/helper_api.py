"""The JSON API of the helper socket. Source: docs/reference/api.md.

The path of ``/v1/get``: bytes, URI, target, broker, bytes. Before it comes a memo of the exact bytes that were
asked and answered, because Bazel's next question is usually the same as the last; a memo entry is sent only while its
answer is still valid.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from aiohttp import web

from credproxy import __version__
from credproxy.broker.broker import Broker
from credproxy.broker.explain_uri import explain_uri
from credproxy.broker.table import can_cover
from credproxy.core.ask.audit import login
from credproxy.core.ask.carrier_messages import CarrierReport
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.message import decode_request, encode_docker
from credproxy.core.ask.relay_messages import RelayReport
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import canonical_authority, parse_server_url, parse_uri, shown, without_userinfo
from credproxy.core.ask.worker_messages import WorkerReport
from credproxy.core.errors import Code, failed
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.ports.clock import Clock
from credproxy.ports.observability import Audit
from credproxy.server.answer_memo import Memo
from credproxy.server.body import read_body
from credproxy.server.probes import Probes
from credproxy.server.responses import json_response, text_response
from credproxy.server.routes import Route, Routes, connection, parent, patience


NOT_FOUND = "credentials not found in native keychain"
"""The docker helper protocol's own words: clients compare them literally (DC-14)."""

log = structlog.get_logger("credproxy.server")


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload did: the generation in force, how many host rules it has, and the files that it was read from."""

    generation: int
    rules: int
    files: tuple[str, ...] = ()


class ReportedState(msgspec.Struct, frozen=True):
    """What the daemon says of itself: the sentences that the service manager shows, and whether nothing in them is wrong."""

    state: str
    well: bool


class _Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    match: str | None = None


class _Flushed(msgspec.Struct, frozen=True):
    flushed: int


class HelperApi:
    """Answers the helper socket's requests.

    Args:
        broker: the use case.
        memo: shared with the actions socket.
        audit: told of stored logins; the memo tells it of answers.
        clock: for limits and for the reload's rate.
        reload: reads the configuration again; raises Failed(config_invalid) and keeps what is in force.
        metrics_page: gives the Prometheus text and its content type.
        flushed: told of a flush, for caches that the broker does not know.
        carriers: describes each, for ``status``.
        relays: describes the relay process, likewise.
        state: what the service manager was told.
        worker: describes the process of the clouds' libraries, for ``status``.
        connections: of the actions socket, by account, for ``status``.
        refused: what the actions socket refused so far, by code.
        asked_by: told the version of a helper that differs from ours.
        admins: users who may see and change what concerns everybody; None if all callers are one user.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        memo: Memo,
        audit: Audit,
        clock: Clock,
        reload: Callable[[], Awaitable[Reloaded]],
        metrics_page: Callable[[], tuple[bytes, str]],
        state: Callable[[], ReportedState],
        worker: Callable[[], WorkerReport],
        refused: Mapping[str, int],
        flushed: Callable[[], None] = lambda: None,
        carriers: Callable[[], list[CarrierReport]] = list,
        relays: Callable[[], list[RelayReport]] = list,
        connections: Callable[[], Mapping[str, int]] = dict,
        asked_by: Callable[[str], object] = lambda version: version,
        admins: frozenset[int] | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._reload = reload
        self._metrics_page = metrics_page
        self._refused = refused
        self._flushed = flushed
        self._carriers = carriers
        self._relays = relays
        self._state = state
        self._worker = worker
        self._connections = connections
        self._asked_by = asked_by
        self._started = clock.wall()
        self._memo = memo
        self._audit = audit
        self._changed_at: dict[str, float] = {}
        self._probes = Probes()
        self._routes = Routes("helper", self, table=self.ROUTES, probes=self._probes, admins=admins)
        self.handle = self._routes.handle

    async def _get(self, request: web.BaseRequest) -> web.Response:
        self._note_version(request)
        body = await read_body(request, self._clock)
        peer = connection(request).peer
        caller = Caller("helper", peer.uid)
        started_by = parent(request)
        doubted = started_by is not None and self._broker.doubt.early(started_by, body)
        encoded = None if doubted else self._memo.get(caller, body)
        if encoded is None:
            target = parse_uri(without_userinfo(decode_request(body)))
            answer = await self._broker.ask(Question(target, caller), patience(request), doubted=doubted)
            encoded = self._memo.put(caller, body, target=target, answer=answer)
        if started_by is not None:
            self._broker.doubt.given(started_by, body, handout=encoded.answer)
        return self._memo.give(encoded, caller, peer=peer)

    def _note_version(self, request: web.BaseRequest) -> None:
        version = request.headers.get("X-Credproxy-Version")
        if version is not None and version != __version__:
            self._asked_by(version)

    async def _docker_get(self, request: web.BaseRequest) -> web.Response:
        self._note_version(request)
        text = (await read_body(request, self._clock)).decode("ascii", "backslashreplace").strip()
        target = parse_server_url(text)
        stored = await self._broker.stored(target)
        encoded = encode_docker(text, stored) if stored is not None else None
        if encoded is None:
            return text_response(NOT_FOUND, HTTPStatus.NOT_FOUND)
        if self._audit.on:
            peer = connection(request).peer
            self._audit.handed_out(login(target), Caller("helper", peer.uid), pid=peer.pid, program=peer.program)
        return json_response(encoded)

    async def _status(self, request: web.BaseRequest) -> web.Response:
        del request
        told = {
            **msgspec.to_builtins(self._state()),
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started,
            **msgspec.to_builtins(self._broker.status()),
            "worker": self._worker(),
            "relays": self._relays(),
        }
        of_actions = {"refused": self._refused, "carriers": self._carriers(), "connections": self._connections()}
        return json_response(msgspec.json.encode({**told, **of_actions}))

    async def _explain(self, request: web.BaseRequest) -> web.Response:
        uri = decode_request(await read_body(request, self._clock))
        told = await explain_uri(self._broker, uri, caller=Caller("helper", connection(request).peer.uid))
        return json_response(msgspec.json.encode(told))

    async def _flush(self, request: web.BaseRequest) -> web.Response:
        body = await read_body(request, self._clock)
        try:
            wanted = msgspec.json.decode(body, type=_Match) if body.strip() else _Match()
        except UNREADABLE:
            raise failed(
                Code.BAD_REQUEST, 'the request is not {"match": HOST} or {}', hint="credproxy flush [HOST]"
            ) from None
        if wanted.match is not None and not can_cover(wanted.match):
            raise failed(
                Code.BAD_REQUEST,
                f"{shown(wanted.match)} is not a host, host:port or *.suffix",
                hint=f"credproxy flush {_host_of(wanted.match)}",
            )
        self._not_too_often("flush")
        count = self._broker.flush(wanted.match)
        self._memo.clear()
        self._flushed()
        log.info("cache flushed", match=wanted.match, entries=count)
        return json_response(msgspec.json.encode(_Flushed(count)))

    async def _do_reload(self, request: web.BaseRequest) -> web.Response:
        del request
        self._not_too_often("reload")
        return json_response(msgspec.json.encode(await self._reload()))

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        del request
        page, content_type = self._metrics_page()
        return text_response(page, content_type=content_type)

    async def _healthz(self, request: web.BaseRequest) -> web.Response:
        return await self._probes.healthz(request)

    def _not_too_often(self, verb: str) -> None:
        # A loop of flushes would turn every question into an exchange (T3).
        now = self._clock.boot()
        if now - self._changed_at.get(verb, float("-inf")) < 1.0:
            raise failed(Code.OVERLOADED, f"{verb} is allowed once a second", hint="wait a second", retry_after=1.0)
        self._changed_at[verb] = now

    ROUTES: Final = (
        Route("POST", "/v1/get", _get),
        Route("POST", "/v1/docker/get", _docker_get),
        Route("GET", "/v1/status", _status, admin=True),
        Route("POST", "/v1/explain", _explain),
        Route("POST", "/v1/flush", _flush, admin=True),
        Route("POST", "/v1/reload", _do_reload, admin=True),
        Route("GET", "/metrics", _metrics, admin=True),
        Route("GET", "/healthz", _healthz),
    )
    """Every path that is served; anything else is 404 (T2)."""


def _host_of(text: str) -> str:
    """The host that was probably meant by a URL or a repository; HOST if there is none."""
    authority = text.rpartition("://")[2].partition("/")[0].rpartition("@")[2]
    return canonical_authority(authority) or "HOST"
