"""What is known about each source without I/O: the list of them. Their readers are in ``credproxy/sources``."""

from credproxy.core.kinds.sources.acr import AcrSource
from credproxy.core.kinds.sources.aws import AwsSource
from credproxy.core.kinds.sources.azure import AzureSource
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


SourceSettings = (
    DockerConfigSource
    | NetrcSource
    | EnvSource
    | FileSource
    | SystemdCredentialSource
    | CommandSource
    | KeyringSource
    | LoginSource
    | GhSource
    | GithubAppSource
    | GlabSource
    | GoogleSource
    | AzureSource
    | AcrSource
    | HfSource
    | GitSource
    | CiOidcSource
    | VaultSource
    | AwsSource
    | EcrSource
    | CodeartifactSource
    | R2Source
)

Sources = SourceSettings | tuple[SourceSettings, ...]
"""One, or several that are tried one after the other: the first that has a login gives it."""
