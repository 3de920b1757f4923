"""What is known about each way to obtain a credential, without I/O: the list of kinds.

The other list, of their implementations, is ``credproxy/providers/__init__.py``; nothing else names them all.
"""

from typing import Final, get_args

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
from credproxy.core.kinds.vault import VaultHost


HostRule = (
    OciHost
    | ExecHost
    | HeaderHost
    | BasicHost
    | GithubHost
    | GitlabHost
    | GoogleHost
    | AzureHost
    | HuggingfaceHost
    | RemoteapisHost
    | OauthHost
    | S3Host
    | CodeartifactHost
    | VaultHost
    | NoneHost
)

KINDS: Final[tuple[type[HostRule], ...]] = get_args(HostRule)

BUILTIN: Final[tuple[HostRule, ...]] = tuple(rule for kind in KINDS for rule in kind.builtin())
"""The rules that nobody has to write, of lowest precedence (``Settings.rules``)."""
