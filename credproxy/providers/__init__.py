"""One module per way to obtain a credential. Providers do not know one another; this is the only list of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from credproxy.core.kinds import HostRule
from credproxy.core.kinds.azure import AzureHost
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.codeartifact import CodeartifactHost
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.kinds.github import GithubHost
from credproxy.core.kinds.gitlab import GitlabHost
from credproxy.core.kinds.google import GoogleHost
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.huggingface import HuggingfaceHost
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.remoteapis import RemoteapisHost
from credproxy.core.kinds.s3 import S3Host
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.vault import VaultHost
from credproxy.core.policy.routing import is_exact
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient
from credproxy.ports.processes import Processes
from credproxy.ports.provider import Provider
from credproxy.ports.signing import AwsSigner
from credproxy.ports.source import Source
from credproxy.providers.dressed import Dressed, DressedLogin
from credproxy.providers.exec import ExecProvider
from credproxy.providers.learned import Learned
from credproxy.providers.none import NoneProvider
from credproxy.providers.oauth2 import OauthProvider
from credproxy.providers.oauth_secrets import KeyTools, OauthSecrets
from credproxy.providers.oci import OciProvider
from credproxy.providers.s3 import S3Provider


@dataclass(frozen=True, slots=True)
class ProviderTools:
    """What providers reach the world through.

    Attributes:
        clock: judges lifetimes.
        http: sends.
        processes: runs programs.
        source: gives the source that settings name, the same one for equal settings.
        learned: what upstreams taught this process.
        keys: reads private keys, and signs.
        aws: signs with access keys.
    """

    clock: Clock
    http: HttpClient
    processes: Processes
    source: Callable[[Sources], Source]
    learned: Learned
    keys: KeyTools
    aws: AwsSigner


def make(rule: HostRule, tools: ProviderTools, *, builtin: bool = False) -> Provider:  # noqa: C901, PLR0911, PLR0912  one for each kind
    """Make the provider of a rule. mypy finds a kind without a case here.

    Args:
        rule: of a configuration, or a built-in one.
        tools: that it works with.
        builtin: nobody wrote the rule, so a missing login is not an error: other providers are asked after it.
    """
    match rule:
        case OciHost():
            return OciProvider(
                rule,
                exact=is_exact(rule),
                source=tools.source(rule.credentials),
                http=tools.http,
                clock=tools.clock,
                learned=tools.learned,
                last=not builtin,
            )
        case ExecHost():
            return ExecProvider(rule, processes=tools.processes, clock=tools.clock)
        case HeaderHost():
            return Dressed(rule, source=tools.source(rule.secret), clock=tools.clock, required=not builtin)
        case BasicHost():
            source = tools.source(rule.credentials)
            return DressedLogin(rule, source=source, clock=tools.clock, required=not builtin)
        case AzureHost() | CodeartifactHost() | GithubHost() | GitlabHost() | GoogleHost() | HuggingfaceHost():
            return Dressed(rule, source=tools.source(rule.credentials), clock=tools.clock, required=not builtin)
        case RemoteapisHost():
            return Dressed(rule, source=tools.source(rule.places), clock=tools.clock, required=not builtin)
        case OauthHost():
            places = {key: tools.source(place) for key, place in rule.places.items()}
            secrets = OauthSecrets(rule, sources=places, keys=tools.keys, clock=tools.clock)
            return OauthProvider(rule, secrets=secrets, http=tools.http, clock=tools.clock)
        case S3Host():
            return S3Provider(
                rule,
                source=tools.source(rule.credentials),
                signer=tools.aws,
                http=tools.http,
                clock=tools.clock,
                required=not builtin,
            )
        case VaultHost():
            return Dressed(rule, source=tools.source(rule.whole()), clock=tools.clock, required=not builtin)
        case NoneHost():
            return NoneProvider()
        case _:
            assert_never(rule)
