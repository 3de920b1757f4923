"""The configuration in force and everything built from it: loaded at start, replaced as a whole by a reload."""

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import structlog

from credproxy.adapters.files import SystemFiles
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.jwt_signing import JwtSigner
from credproxy.adapters.keyrings import keyring_of
from credproxy.adapters.libraries import WorkerLibraries
from credproxy.adapters.processes import SystemProcesses
from credproxy.broker.broker import Broker
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import PlainSecret, Secret
from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.names import Authority
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Form, Granted, Target
from credproxy.core.config.config_checks import size_in_bytes
from credproxy.core.config.settings import Settings
from credproxy.core.counted import counted
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.ownership import Exposure
from credproxy.core.paths import config_files
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.routing import Router
from credproxy.daemon.audit_log import AuditLog
from credproxy.daemon.build import KEY_BYTES, World, build_table, build_token
from credproxy.daemon.loading import Loaded, Loader
from credproxy.daemon.service_manager import Announcer
from credproxy.daemon.unconfigured import Unconfigured
from credproxy.ports.clock import Clock, Sample
from credproxy.ports.observability import Metrics
from credproxy.ports.processes import Processes
from credproxy.ports.source import Source
from credproxy.providers.learned import Learned
from credproxy.server.helper_api import Reloaded


_HEALING = 1.0
"""Seconds between checks of a configuration that could not be used at start: a fix is seen within two (P3)."""

_PORT = Target("http", "localhost", None, "", "", Form.HOST)
"""The target that a source is given when it reads the token of the port."""

_TOPIC = "configuration"

log = structlog.get_logger("credproxy.daemon")


class Service:
    """Owns the broker and everything below it; an async context manager.

    Args:
        environ: of the process.
        config: files, the most important first; None for the usual places.
        clock: the system's.
        metrics: for programs and the broker.
        sample: draws jitter.
        adopted: told of each configuration that comes into force.
        announcer: told what is in force, and of reloads.
        system: one service for all users: only the machine's configuration is read.

    Attributes:
        libraries: those of clouds, in their process.
        changed: called when a new configuration is in force; does nothing at first.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        config: tuple[str, ...] | None,
        clock: Clock,
        metrics: Metrics,
        sample: Sample,
        adopted: Callable[[Settings], None],
        announcer: Announcer,
        system: bool = False,
    ) -> None:
        self._adopted = adopted
        self._announcer = announcer
        self._system = system
        self._metrics = metrics
        self._clock = clock
        self._files = SystemFiles()
        paths = config_files(environ, system=system) if config is None else config
        required, home = config is not None, environ.get("HOME", "")
        self._loader = Loader(self._files, paths, required=required, system=system, home=home)
        self._processes = SystemProcesses(environ, clock=clock, metrics=metrics)
        self._http = AiohttpClient(clock)
        upstream = RepeatingClient(self._http, clock=clock, sample=sample)
        learned = Learned(secrets.token_bytes(KEY_BYTES))
        keyring = keyring_of(environ, clock=clock, uid=os.getuid(), processes=self._processes)
        self.libraries = WorkerLibraries(environ)
        self._world = World(
            environ,
            os.getuid(),
            clock,
            upstream,
            self._processes,
            self._files,
            JwtSigner(),
            learned,
            keyring,
            self.libraries,
        )
        self._group = asyncio.TaskGroup()
        self._healing: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()
        self.settings = Settings()
        self.audit = AuditLog(clock)
        self._exposed: tuple[Exposure, ...] = ()
        self._token: Source | None = None
        nothing = Table(Router(()), {}, fallback=())
        # So that the first configuration in force has the number 1.
        self.broker = Broker(nothing, number=0, clock=clock, sample=sample, metrics=metrics, upstream=upstream)
        self.changed: Callable[[], object] = lambda: None

    async def __aenter__(self) -> Self:
        self._stack.callback(self._files.close)
        self._stack.callback(self._processes.close)
        self._stack.push_async_callback(self.libraries.close)
        await self._stack.enter_async_context(self._http)
        await self._stack.enter_async_context(self.broker)
        await self._stack.enter_async_context(self._group)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._healing is not None:
            self._healing.cancel()
        await self._stack.__aexit__(kind, error, trace)

    async def load(self) -> None:
        """Put the configuration in force; if it is broken, serve its mistake until it is fixed."""
        try:
            self._put_in_force(await self._loader.load())
        except Failed as error:
            failure = error.failure
            log.warning("no valid configuration", reason=failure.message, hint=failure.hint)
            self._announcer.say(
                _TOPIC, f"no valid configuration: {failure.message}; every question gets that answer", wrong=True
            )
            unconfigured = Unconfigured(failure)
            self.broker.swap(Table(Router(()), {}, fallback=(unconfigured,)), unconfigured, options=BrokerSettings())
            self._healing = self._group.create_task(self._heal())

    async def reload(self) -> Reloaded:
        """Read the configuration again and swap it as a whole.

        Raises:
            Failed(config_invalid): what was in force stays in force.
        """
        self._announcer.reloading()
        try:
            loaded = await self._loader.load()
        except Failed as error:
            log.warning("reload refused", reason=error.failure.message)
            self._announcer.say(
                _TOPIC, f"reload failed, the configuration in force stays: {error.failure.message}", wrong=True
            )
            self._metrics.reload("refused")
            raise
        else:
            number = self._put_in_force(loaded)
            rules = len(loaded.settings.host)
            log.info("reloaded", generation=number, rules=rules)
            self._metrics.reload("ok")
            return Reloaded(number, rules, loaded.files)
        finally:
            self._announcer.ready()

    def grants(self, target: Target) -> tuple[Granted, ...]:
        """What the policy in force allows a build action to have. Raises Failed(policy_denied)."""
        return self.broker.policy.grants(target)

    def permit(self, registry: Authority, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Permit a request of the gateway's if the policy in force allows it. Raises Failed(policy_denied)."""
        self.broker.policy.permit(registry, method, path=path, endpoint=endpoint)

    def permit_object(self, target: Target, method: str) -> None:
        """The same for an object. Raises Failed(policy_denied)."""
        self.broker.policy.permit_object(target, method)

    async def listen_token(self, *, anew: bool) -> Secret:
        """Give the token that callers of the port bring; ``anew`` as for ports.source.Source.

        Raises:
            Failed: peer_refused if the configuration in force has none; credential_unreadable.
        """
        source = self._token
        if source is None:
            raise failed(
                Code.PEER_REFUSED, "the configuration in force names no port", hint="set actions.listen, or restart"
            )
        identity = await source.locate(_PORT, None)
        login = None if identity is None else await source.read(identity, _PORT, anew=anew)
        if login is None or not isinstance(login.stored, PlainSecret):
            raise unreadable(
                "the token of actions.listen_token", "is not a plain secret", hint="leave out its username"
            )
        return login.stored.value

    @property
    def serves_actions(self) -> bool:
        """Whether the policy in force allows build actions anything."""
        policy = self.broker.policy
        return isinstance(policy, Policy) and bool(policy.rules.registries())

    @property
    def processes(self) -> Processes:
        """Runs programs the way credential programs are run."""
        return self._processes

    @property
    def drain_timeout(self) -> float:
        """Seconds that downloads of build actions get at the end: by default one for a user's service, 30 for a machine's."""
        configured = self.settings.drain_timeout
        return configured if configured is not None else (30.0 if self._system else 1.0)

    def reload_soon(self) -> None:
        """Reload because of a signal; the outcome is in the log."""
        self._group.create_task(self._reload_logged())

    async def _reload_logged(self) -> None:
        try:
            await self.reload()
        except Failed:
            return  # already logged, and nobody waits for it

    async def _heal(self) -> None:
        while True:
            await self._clock.sleep(_HEALING)
            if not await self._loader.changed():
                continue
            try:
                await self.reload()
            except Failed:
                continue
            return

    def _put_in_force(self, loaded: Loaded) -> int:
        settings = loaded.settings
        options = BrokerSettings(
            empty_ttl=settings.empty_ttl,
            flight_timeout=settings.flight_timeout,
            bazel_71_compat=settings.bazel_71_compat,
            entries=settings.cache.entries,
            bytes=size_in_bytes(settings.cache.bytes),
        )
        self._processes.search(settings.helper_path)
        # One era has both, so a question sees a single configuration (SEC-16).
        number = self.broker.swap(build_table(settings, self._world), loaded.policy, options=options)
        self.settings = settings
        self.audit.on = settings.log.audit
        if wide := loaded.policy.too_wide():
            log.warning("rules are broad", rules=len(wide), first=wide[0])
        for one in loaded.exposed:
            if one not in self._exposed:
                log.warning("a group may write what is trusted", reason=one.problem, hint=one.remedy)
        self._exposed = loaded.exposed
        self._token = build_token(settings, self._world)
        self._adopted(settings)
        self.changed()
        self._announcer.say(
            _TOPIC, f"generation {number} of the configuration, {counted(len(settings.host), 'host rule')}"
        )
        return number
