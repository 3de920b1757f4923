"""The explicit tables: which class stands behind which name of the configuration."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from credproxy.broker.table import Table
from credproxy.core.paths import netrc_file
from credproxy.core.routing import Router, is_exact
from credproxy.core.settings import (
    BasicHost,
    CommandSource,
    DockerConfigSource,
    EnvSource,
    ExecHost,
    FileSource,
    HeaderHost,
    HostRule,
    NetrcSource,
    NoneHost,
    OciHost,
    Settings,
    SourceSettings,
)
from credproxy.ports import Clock, Files, HttpClient, Processes, Provider, Source
from credproxy.providers.basic import BasicProvider
from credproxy.providers.exec import ExecProvider
from credproxy.providers.header import HeaderProvider
from credproxy.providers.learned import Learned
from credproxy.providers.none import NoneProvider
from credproxy.providers.oci import OciProvider
from credproxy.sources.command import CommandOutput
from credproxy.sources.docker_config import DockerConfig, places
from credproxy.sources.env import Env
from credproxy.sources.file import File
from credproxy.sources.netrc import Netrc
from credproxy.sources.nowhere import Nowhere


KEY_BYTES = 32
"""Of a random key of this process: what must be compared and not kept is digested with one."""


@dataclass(frozen=True, slots=True)
class World:
    """What providers and sources reach the world through, and what they learned of it."""

    environ: Mapping[str, str]
    uid: int
    clock: Clock
    http: HttpClient
    processes: Processes
    files: Files
    learned: Learned


def build_table(settings: Settings, world: World) -> Table:
    """Make the providers of every rule, and those of what works without one.

    Raises:
        Failed(config_invalid): a ``match`` that is none; ``core.config`` refuses it earlier, with its line.
    """
    builder = _Builder(settings, world)
    router = Router(settings.host)
    providers = {rule.match: builder.provider(rule) for rule in settings.host}
    return Table(router, providers, builder.fallback())


def build_token(settings: Settings, world: World) -> Source | None:
    """Make the source of the token that callers of ``actions.listen`` bring."""
    wanted = settings.actions.listen_token
    return None if wanted is None else _Builder(settings, world).source(wanted)


class _Builder:
    """One configuration's sources are made once, so that rules share what they remember."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings = settings
        self._world = world
        self._shared: dict[SourceSettings, Source] = {}

    def fallback(self) -> tuple[Provider, ...]:
        """Who answers where no rule is: what works without any, and whoever fetches for the gateway without a login."""
        http, clock, learned = self._world.http, self._world.clock, self._world.learned
        # It answers for what the gateway carries alone, which a rule for build actions has allowed.
        why = "" if self._settings.builtin else "builtin = false: logins of docker and netrc count in rules alone"
        nowhere = Nowhere(why)
        anyone = OciProvider(OciHost(match=""), exact=False, source=nowhere, http=http, clock=clock, learned=learned)
        if not self._settings.builtin:
            return (anyone,)
        docker = self.source(DockerConfigSource())
        # Named in a docker configuration is named exactly: its own addresses may be private (SEC-4).
        registry = OciProvider(
            OciHost(match=""), exact=True, source=docker, http=http, clock=clock, learned=learned, last=False
        )
        login = BasicProvider("", source=self.source(NetrcSource()), clock=clock, required=False)
        return (registry, login, anyone)

    def provider(self, rule: HostRule) -> Provider:
        """The provider of one rule."""
        clock = self._world.clock
        match rule:
            case OciHost():
                source = self.source(rule.credentials)
                http, learned = self._world.http, self._world.learned
                return OciProvider(rule, exact=is_exact(rule), source=source, http=http, clock=clock, learned=learned)
            case ExecHost():
                return ExecProvider(rule, processes=self._world.processes, clock=clock)
            case HeaderHost():
                return HeaderProvider(rule, source=self.source(rule.secret), clock=clock)
            case BasicHost():
                return BasicProvider(rule.match, source=self.source(rule.credentials), clock=clock, required=True)
            case NoneHost():
                return NoneProvider()

    def source(self, settings: SourceSettings) -> Source:
        """A source, the same for equal settings."""
        if settings not in self._shared:
            self._shared[settings] = self._new_source(settings)
        return self._shared[settings]

    def _new_source(self, settings: SourceSettings) -> Source:
        world, key = self._world, partial(secrets.token_bytes, KEY_BYTES)
        match settings:
            case DockerConfigSource(path):
                wanted = path or self._settings.docker_config
                automatic = wanted == "auto"
                paths = places(world.environ, world.uid) if automatic else () if wanted == "none" else (wanted,)
                return DockerConfig(
                    paths,
                    files=world.files,
                    processes=world.processes,
                    clock=world.clock,
                    key=key,
                    inline=world.environ.get("DOCKER_AUTH_CONFIG", "") if automatic else "",
                )
            case NetrcSource(path):
                return Netrc(self._netrc(path), files=world.files, clock=world.clock)
            case EnvSource():
                return Env(settings, world.environ, clock=world.clock)
            case FileSource():
                return File(settings, world.files, clock=world.clock, home=world.environ.get("HOME", ""))
            case CommandSource():
                return CommandOutput(settings, processes=world.processes, clock=world.clock, key=key)

    def _netrc(self, path: str | None) -> str | None:
        return netrc_file(self._world.environ, path or self._settings.netrc)
