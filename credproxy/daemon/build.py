"""Builds what one configuration needs: its providers, and the sources that they share."""

import secrets
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import partial

import msgspec
from cachetools import LRUCache

from credproxy import providers, sources
from credproxy.adapters.aws_signing import BotocoreSigner
from credproxy.adapters.libraries import WorkerLibraries
from credproxy.adapters.no_keyring import NO_KEYRING
from credproxy.broker.table import Table
from credproxy.core.config.settings import DOCKER, LOGIN, NETRC, Settings
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources import Sources, SourceSettings
from credproxy.core.kinds.sources.docker_config import DockerConfigSource
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.core.kinds.sources.netrc import NetrcSource
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.http_client import HttpClient
from credproxy.ports.keyrings import Keyring
from credproxy.ports.libraries import CloudLibraries
from credproxy.ports.processes import Processes
from credproxy.ports.provider import Provider
from credproxy.ports.signing import AwsSigner, Signer
from credproxy.ports.source import Source
from credproxy.providers.dressed import DressedLogin
from credproxy.providers.learned import Learned
from credproxy.providers.oauth_secrets import KeyTools
from credproxy.providers.oci import OciProvider
from credproxy.sources.nowhere import Nowhere
from credproxy.sources.vault_token import VaultTokens


KEY_BYTES = 32
"""Length of this process's random key: values that must be compared but not kept are digested with it."""


_VAULTS = 64
"""Logins to Vault whose tokens are kept: of the configuration in force, and of those before it."""


@dataclass(frozen=True, slots=True)
class World:
    """What providers and sources reach the world through, and what they have learned."""

    environ: Mapping[str, str]
    uid: int
    clock: Clock
    http: HttpClient
    processes: Processes
    files: Files
    signer: Signer
    learned: Learned
    keyring: Keyring = NO_KEYRING
    libraries: CloudLibraries = field(default_factory=partial(WorkerLibraries, {}), repr=False)
    aws: AwsSigner = field(default_factory=BotocoreSigner)
    vaults: MutableMapping[bytes, VaultTokens] = field(default_factory=partial(LRUCache, _VAULTS), repr=False)


def build_table(settings: Settings, world: World) -> Table:
    """Make the providers for every rule, and those for what works without one.

    Raises:
        Failed(config_invalid): an invalid ``match``; ``core.config.parse`` refuses it earlier, with its line.
    """
    shared = _SharedSources(settings, world)
    tools = _tools(shared, world)
    router = settings.router()
    made = {
        router.key(rule): providers.make(rule, tools, builtin=rule.match in router.builtin) for rule in settings.rules()
    }
    fallback = _fallback(tools, settings)
    return Table(router, made, fallback=fallback, sources=shared.all(), learned=world.learned)


def provider_tools(settings: Settings, world: World) -> providers.ProviderTools:
    """What the providers of a configuration reach the world through."""
    return _tools(_SharedSources(settings, world), world)


def _tools(shared: "_SharedSources", world: World) -> providers.ProviderTools:
    return providers.ProviderTools(
        clock=world.clock,
        http=world.http,
        processes=world.processes,
        source=shared,
        learned=world.learned,
        keys=KeyTools(
            files=world.files,
            signer=world.signer,
            home=world.environ.get("HOME", ""),
            nonce=partial(secrets.token_urlsafe, KEY_BYTES),
        ),
        aws=world.aws,
    )


def build_token(settings: Settings, world: World) -> Source | None:
    """Make the source of the token that callers of ``actions.listen`` bring."""
    wanted = settings.actions.listen_token
    return None if wanted is None else _SharedSources(settings, world)(wanted)


def _fallback(tools: providers.ProviderTools, settings: Settings) -> tuple[Provider, ...]:
    """The providers that answer where there is no rule: what works without one, and anonymous fetches for the gateway."""
    http, clock, learned = tools.http, tools.clock, tools.learned
    found: list[Provider] = []
    of_registries: tuple[tuple[str, SourceSettings], ...] = ((LOGIN, LoginSource()), (DOCKER, DockerConfigSource()))
    stores = tuple(source for name, source in of_registries if settings.works(name))
    if stores:
        logins = tools.source(stores)
        # A registry in a docker configuration, or that somebody logged in to, is named exactly, so its addresses may be private (SEC-4).
        found.append(
            OciProvider(
                OciHost(match=""), exact=True, source=logins, http=http, clock=clock, learned=learned, last=False
            )
        )
    if settings.works(NETRC):
        found.append(DressedLogin(BasicHost(match=""), source=tools.source(NetrcSource()), clock=clock, required=False))
    # It answers only for what the gateway fetches, which a rule for build actions has allowed.
    nowhere = Nowhere(_why(settings))
    anyone = OciProvider(OciHost(match=""), exact=False, source=nowhere, http=http, clock=clock, learned=learned)
    return (*found, anyone)


def _why(settings: Settings) -> str:
    """What ``explain`` says about a login that is used by rules only."""
    if settings.builtin is False:
        return "builtin = false: logins of docker and netrc are used by rules only"
    left = [repr(name) for name in (LOGIN, DOCKER, NETRC) if not settings.works(name)]
    return f"builtin leaves out {' and '.join(left)}: their logins are used by rules only" if left else ""


class _SharedSources:
    """The sources of one configuration are made once, so that rules share what they remember."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._tools = sources.SourceTools(
            environ=world.environ,
            uid=world.uid,
            clock=world.clock,
            processes=world.processes,
            files=world.files,
            http=world.http,
            signer=world.signer,
            keyring=world.keyring,
            libraries=world.libraries,
            aws=world.aws,
            key=partial(secrets.token_bytes, KEY_BYTES),
            vaults=world.vaults,
            docker_config=settings.docker_config,
            netrc=settings.netrc,
        )
        self._shared: dict[bytes, Source] = {}

    def __call__(self, settings: Sources) -> Source:
        """A source, the same for equal settings."""
        key = msgspec.json.encode(settings, order="deterministic")
        if key not in self._shared:
            self._shared[key] = sources.make(settings, self._tools)
        return self._shared[key]

    def all(self) -> tuple[Source, ...]:
        """All that were made."""
        return tuple(self._shared.values())
