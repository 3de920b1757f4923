"""The configuration as frozen types: what each key is, and its default.

Only shapes live here; ``core/config.py`` turns TOML into them and checks what a type cannot say.
Source: docs/reference/configuration.md, RQ-2.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from credproxy.core.shapes import PATH


FilePath = Annotated[str, Meta(extra={PATH: "whole"})]
"""Where a file is; ``~/`` at its beginning stands for the user's home."""

SearchPath = Annotated[str, Meta(extra={PATH: "list"})]
"""Directories between colons, each of which may begin with ``~/``."""

CommandLine = Annotated[tuple[str, ...], Meta(extra={PATH: "first"})]
"""A program, whose path may begin with ``~/``, and its arguments, which are left as they are."""


class Base(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Strict: a key that nobody reads is a typo that somebody relies on."""


class DockerConfigSource(Base, frozen=True, tag_field="source", tag="docker-config"):
    """Docker's and podman's configuration, with ``docker-credential-*`` programs; ``path`` overrides ``docker_config``."""

    path: FilePath | None = None


class NetrcSource(Base, frozen=True, tag_field="source", tag="netrc"):
    """A netrc file; ``path`` overrides the top-level ``netrc``."""

    path: FilePath | None = None


class EnvSource(Base, frozen=True, tag_field="source", tag="env"):
    """The daemon's own environment. With ``username`` it is a login, else a plain secret."""

    name: str
    username: str | None = None


class FileSource(Base, frozen=True, tag_field="source", tag="file"):
    """A file whose content, one trailing newline taken off, is the secret."""

    path: FilePath
    username: str | None = None


class CommandSource(Base, frozen=True, tag_field="source", tag="command"):
    """A program whose output, one trailing newline taken off, is the secret; ``keep`` is seconds it is remembered."""

    argv: CommandLine
    username: str | None = None
    keep: float = 240.0
    timeout: float = 30.0


SourceSettings = DockerConfigSource | NetrcSource | EnvSource | FileSource | CommandSource


class BareHost(Base, frozen=True):
    """``bare_host = { scopes, min_lifetime }``: one Bearer for an explicit list."""

    scopes: tuple[str, ...]
    min_lifetime: float = 240.0


class OciHost(Base, frozen=True, tag_field="provider", tag="oci"):
    """A registry of the OCI distribution protocol."""

    match: str
    credentials: SourceSettings = field(default_factory=DockerConfigSource)
    realm: str | None = None
    service: str | None = None
    realm_hosts: tuple[str, ...] = ()
    method: Literal["GET", "POST"] | None = None
    actions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    anonymous: Literal["pull"] | None = None
    bare_host: Literal["basic", "none"] | BareHost = "basic"
    allow_basic: bool = True
    allow_password_grant: bool = False
    allow_catalog: bool = False
    tls_verify: bool = True
    single_scope: bool = False
    account_param: bool = False
    trust_jwt_exp: bool = False
    insecure: bool = False
    allow_private: tuple[str, ...] = ()
    path_prefix: str | None = None
    ca_bundle: FilePath | None = None
    proxy: str | None = None


class ExecHost(Base, frozen=True, tag_field="provider", tag="exec"):
    """Any Bazel credential helper behind the daemon. ``timeout`` in seconds, at most 300."""

    match: str
    command: CommandLine
    cache_key: Literal["uri", "host"] = "uri"
    timeout: float = 30.0
    concurrency: int = 8
    env: dict[str, str] = field(default_factory=dict)
    keep: float = 600.0
    insecure: bool = False


class HeaderHost(Base, frozen=True, tag_field="provider", tag="header"):
    """A static header of any name: remote caches, artifact hosts. ``prefix`` stands before the secret, as ``Bearer ``."""

    match: str
    secret: SourceSettings
    name: str = "Authorization"
    prefix: str = ""
    insecure: bool = False


class BasicHost(Base, frozen=True, tag_field="provider", tag="basic"):
    """``Authorization: Basic`` from a stored login."""

    match: str
    credentials: SourceSettings = field(default_factory=NetrcSource)
    insecure: bool = False


class NoneHost(Base, frozen=True, tag_field="provider", tag="none"):
    """Always ``{}``: carves a host out of a wider rule or out of what works without one."""

    match: str
    insecure: bool = False


HostRule = OciHost | ExecHost | HeaderHost | BasicHost | NoneHost


Operation = Literal["blob:read", "blob:write", "manifest:read", "manifest:write", "*"]


class ActionRule(Base, frozen=True):
    """What build actions may do; of all rules the first that matches decides.

    Either ``registry``, ``repository`` and ``operations``, or ``url`` and ``methods`` for objects elsewhere.
    """

    action: Literal["allow", "deny"]
    registry: str = ""
    repository: str = ""
    operations: tuple[Operation, ...] = ()
    bare_host_scopes: tuple[str, ...] = ()
    url: str | None = None
    methods: tuple[Literal["GET", "HEAD"], ...] = ("GET", "HEAD")


class ActionsSettings(Base, frozen=True):
    """The actions socket: denies everything that no rule allows. ``policy_file`` is rules_img's, instead of rules.

    ``listen`` is a port of the loopback, such as ``127.0.0.1:5151``, where the same is served to who has ``listen_token``.
    ``carriers`` is how many processes serve it at most: None for as many as there are processors, and four.
    """

    rule: tuple[ActionRule, ...] = ()
    policy_file: FilePath | None = None
    listen: str | None = None
    listen_token: EnvSource | FileSource | CommandSource | None = None
    carriers: int | None = None


class CacheSettings(Base, frozen=True):
    """Bounds of the cache: whichever comes first."""

    entries: int = 100_000
    bytes: int | str = "64MiB"


class LogSettings(Base, frozen=True):
    """``auto`` is the console format on a terminal, JSON otherwise; ``audit`` writes a line for every hand-out."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    audit: bool = False


class Settings(Base, frozen=True):
    """One configuration file."""

    builtin: bool = True
    docker_config: FilePath = "auto"
    netrc: FilePath = "auto"
    helper_path: SearchPath | None = None
    empty_ttl: float = 60.0
    flight_timeout: float = 30.0
    bazel_71_compat: bool = False
    allow_root: bool = False
    drain_timeout: float | None = None
    peer_namespaces: Literal["same", "any"] = "same"
    host: tuple[HostRule, ...] = ()
    actions: ActionsSettings = field(default_factory=ActionsSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    log: LogSettings = field(default_factory=LogSettings)
