"""One module per place where logins are stored. Sources do not know one another; this is the one list of them."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

import msgspec

from credproxy.core.ask.token_calls import codeartifact_call, ecr_call
from credproxy.core.kinds.sources import Sources, SourceSettings
from credproxy.core.kinds.sources.acr import AcrSource
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.azure import AzureLogin, AzureSource
from credproxy.core.kinds.sources.ci_oidc import CiOidcSource
from credproxy.core.kinds.sources.codeartifact import CodeartifactSource
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.kinds.sources.docker_config import DockerConfigSource
from credproxy.core.kinds.sources.ecr import EcrSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.kinds.sources.gh import GhSource
from credproxy.core.kinds.sources.git import GitSource
from credproxy.core.kinds.sources.github_app import GithubAppSource
from credproxy.core.kinds.sources.glab import GlabSource
from credproxy.core.kinds.sources.google import GoogleSource
from credproxy.core.kinds.sources.hf import HfSource
from credproxy.core.kinds.sources.keyring import KeyringSource
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.core.kinds.sources.netrc import NetrcSource
from credproxy.core.kinds.sources.r2 import R2Source
from credproxy.core.kinds.sources.systemd_credential import SystemdCredentialSource
from credproxy.core.kinds.sources.vault import VaultSource
from credproxy.core.paths import login_file, netrc_file
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.http_client import HttpClient
from credproxy.ports.keyrings import Keyring
from credproxy.ports.libraries import CloudLibraries
from credproxy.ports.processes import Processes
from credproxy.ports.signing import AwsSigner, Signer
from credproxy.ports.source import Source
from credproxy.sources.acr import Acr
from credproxy.sources.amazon_services import AmazonTokens
from credproxy.sources.aws import Aws
from credproxy.sources.azure import Azure
from credproxy.sources.azure_token import AzureTokens
from credproxy.sources.ci_oidc import CiOidc
from credproxy.sources.command import CommandOutput
from credproxy.sources.docker_config import DockerConfig
from credproxy.sources.docker_files import places
from credproxy.sources.env import Env
from credproxy.sources.file import File
from credproxy.sources.first import First
from credproxy.sources.gh import Gh
from credproxy.sources.git import Git
from credproxy.sources.github_app import GithubApp
from credproxy.sources.glab import Glab
from credproxy.sources.google import Google
from credproxy.sources.hf import Hf
from credproxy.sources.keyring import FromKeyring
from credproxy.sources.login import FromLogin
from credproxy.sources.netrc import Netrc
from credproxy.sources.r2 import R2
from credproxy.sources.systemd_credential import SystemdCredential
from credproxy.sources.vault import Vault
from credproxy.sources.vault_token import VaultTokens


@dataclass(frozen=True, slots=True)
class SourceTools:
    """What sources need of the outside world.

    Attributes:
        environ: the daemon's environment.
        uid: of the user whose docker and podman files are read.
        clock: judges ages.
        processes: runs programs.
        files: reads files.
        http: asks issuers.
        signer: signs requests to them.
        keyring: of the user's session.
        libraries: of clouds, in a process of their own.
        aws: signs with access keys.
        key: gives random bytes of this process, for comparing secrets without keeping them.
        vaults: the tokens for Vault that were obtained, by server and login: of the process, and shared by all sources.
        amazon: the sources of access keys, by their settings.
        docker_config, netrc: the default files for sources that name none: a path, "auto" or "none".
    """

    environ: Mapping[str, str]
    uid: int
    clock: Clock
    processes: Processes
    files: Files
    http: HttpClient
    signer: Signer
    keyring: Keyring
    libraries: CloudLibraries
    aws: AwsSigner
    key: Callable[[], bytes]
    docker_config: str = "auto"
    netrc: str = "auto"
    vaults: MutableMapping[bytes, VaultTokens] = field(default_factory=dict)
    amazon: MutableMapping[bytes, Source] = field(default_factory=dict)


def make(settings: Sources, tools: SourceTools) -> Source:
    """Make a source, or a list of them."""
    if isinstance(settings, tuple):
        return First([_make(one, tools, optional=len(settings) > 1) for one in settings])
    return _make(settings, tools)


def _make(settings: SourceSettings, tools: SourceTools, *, optional: bool = False) -> Source:  # noqa: C901, PLR0911, PLR0912  one case per source
    """Make one source. If a source has no case here, mypy reports it.

    Args:
        settings: of the source.
        tools: for the source to use.
        optional: other sources are asked after it, so that a missing login is not an error.
    """
    match settings:
        case DockerConfigSource(path):
            return _docker(path or tools.docker_config, tools)
        case NetrcSource(path):
            return Netrc(netrc_file(tools.environ, path or tools.netrc), files=tools.files, clock=tools.clock)
        case EnvSource():
            return Env(settings, tools.environ, clock=tools.clock, optional=optional)
        case FileSource():
            return File(settings, tools.files, clock=tools.clock, home=tools.environ.get("HOME", ""), optional=optional)
        case SystemdCredentialSource():
            return SystemdCredential(settings, tools.environ, files=tools.files, clock=tools.clock, optional=optional)
        case CommandSource():
            return CommandOutput(settings, processes=tools.processes, clock=tools.clock, key=tools.key)
        case KeyringSource():
            return FromKeyring(settings, tools.keyring, clock=tools.clock)
        case LoginSource():
            return FromLogin(
                login_file(tools.environ),
                settings.key,
                files=tools.files,
                keyring=tools.keyring,
                processes=tools.processes,
                clock=tools.clock,
                uid=tools.uid,
            )
        case GhSource():
            return Gh(
                settings, tools.environ, files=tools.files, processes=tools.processes, clock=tools.clock, key=tools.key
            )
        case GithubAppSource():
            return GithubApp(
                settings,
                files=tools.files,
                http=tools.http,
                signer=tools.signer,
                clock=tools.clock,
                home=tools.environ.get("HOME", ""),
                optional=optional,
            )
        case GlabSource():
            return Glab(tools.environ, files=tools.files, processes=tools.processes, clock=tools.clock, key=tools.key)
        case HfSource():
            return Hf(tools.environ, files=tools.files, clock=tools.clock)
        case GitSource():
            return Git(
                settings,
                tools.environ,
                files=tools.files,
                processes=tools.processes,
                clock=tools.clock,
                key=tools.key,
                optional=optional,
            )
        case AzureSource():
            return Azure(settings, _azure_tokens(settings, tools))
        case AcrSource():
            return Acr(_azure_tokens(settings, tools), http=tools.http, clock=tools.clock)
        case GoogleSource():
            return Google(
                settings,
                tools.environ,
                files=tools.files,
                libraries=tools.libraries,
                clock=tools.clock,
                optional=optional,
            )
        case CiOidcSource():
            return CiOidc(
                settings,
                tools.environ,
                files=tools.files,
                processes=tools.processes,
                http=tools.http,
                clock=tools.clock,
                key=tools.key,
            )
        case VaultSource():
            tokens = _vault_tokens(settings, tools)
            return Vault(settings, tokens, clock=tools.clock, key=tools.key)
        case AwsSource():
            return _aws(settings, tools)
        case EcrSource():
            return AmazonTokens(
                "ecr",
                ecr_call,
                keys=_aws(settings.keys, tools),
                signer=tools.aws,
                http=tools.http,
                clock=tools.clock,
                environ=tools.environ,
                optional=optional,
            )
        case CodeartifactSource():
            call = partial(codeartifact_call, duration=settings.duration)
            return AmazonTokens(
                "codeartifact",
                call,
                keys=_aws(settings.keys, tools),
                signer=tools.aws,
                http=tools.http,
                clock=tools.clock,
                environ=tools.environ,
                optional=optional,
            )
        case R2Source():
            return R2(tools.environ, http=tools.http, clock=tools.clock, key=tools.key)
        case _:
            assert_never(settings)


def _azure_tokens(settings: AzureLogin, tools: SourceTools) -> AzureTokens:
    return AzureTokens(settings, tools.environ, files=tools.files, libraries=tools.libraries, clock=tools.clock)


def _vault_tokens(settings: VaultSource, tools: SourceTools) -> VaultTokens | None:
    """Give the tokens for a server and a login, the same ones for equal settings; None if nobody names a server."""
    server, auth = settings.server(tools.environ), settings.auth
    if server is None:
        return None
    dial = server.dial
    files = (dial.ca_bundle, dial.client_cert, dial.client_key)
    key = msgspec.json.encode((server.origin, server.namespace, files, auth), order="deterministic")
    if key not in tools.vaults:
        tools.vaults[key] = VaultTokens(
            server,
            auth,
            proof=None if auth is None else _make(auth.proof[1], tools),
            environ=tools.environ,
            files=tools.files,
            http=tools.http,
            clock=tools.clock,
        )
    return tools.vaults[key]


def _aws(settings: AwsSource, tools: SourceTools) -> Source:
    """Give the source of an access key, the same one for equal settings: whatever is made with it is one look at the chain."""
    key = msgspec.json.encode(settings)
    if key not in tools.amazon:
        tools.amazon[key] = Aws(
            settings,
            tools.environ,
            files=tools.files,
            libraries=tools.libraries,
            clock=tools.clock,
            key=tools.key,
        )
    return tools.amazon[key]


def _docker(wanted: str, tools: SourceTools) -> Source:
    automatic = wanted == "auto"
    return DockerConfig(
        places(tools.environ, tools.uid) if automatic else () if wanted == "none" else (wanted,),
        files=tools.files,
        processes=tools.processes,
        clock=tools.clock,
        key=tools.key,
        inline=tools.environ.get("DOCKER_AUTH_CONFIG", "") if automatic else "",
    )
