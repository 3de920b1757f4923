"""The configuration as frozen types: what each key is, and its default.

This module has only shapes; ``core/config/parse.py`` turns TOML into them and checks what a type cannot express.
Source: docs/reference/configuration.md, RQ-2.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from msgspec import field

from credproxy.core.formats.toml_lines import Path
from credproxy.core.formats.toml_types import Base, FilePath, PublicText, SearchPath
from credproxy.core.kinds import BUILTIN, HostRule
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.kinds.uses import Use
from credproxy.core.policy.routing import Router, match_key
from credproxy.core.policy.rules import ActionRule


LOGIN: Final = "login"
DOCKER: Final = "docker-config"
NETRC: Final = "netrc"
"""What works without a rule and is not a host rule, as ``builtin`` names it: what these have a login for."""

LoginStore = Literal["auto", "keyring", "docker", "systemd-creds", "file"]
"""Where ``credproxy login`` puts a login: ``auto`` is the keyring where one answers, else docker's configuration."""


class ActionsSettings(Base, frozen=True):
    """The actions socket: denies everything that no rule allows. ``policy_file`` is rules_img's, instead of rules.

    ``listen`` is a loopback port, such as ``127.0.0.1:5151``, on which the same is served to callers with ``listen_token``.
    ``carriers`` is how many processes serve it at most: None for as many as there are processors, up to four.
    """

    rule: tuple[ActionRule, ...] = ()
    policy_file: FilePath | None = None
    listen: PublicText | None = None
    listen_token: EnvSource | FileSource | CommandSource | None = None
    carriers: int | None = None


class CacheSettings(Base, frozen=True):
    """Bounds of the cache: whichever is reached first."""

    entries: int = 100_000
    bytes: int | PublicText = "64MiB"


class LogSettings(Base, frozen=True):
    """``auto`` is the console format on a terminal, JSON otherwise; ``audit`` writes a line for every hand-out."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    audit: bool = False


class Settings(Base, frozen=True):
    """One configuration file."""

    builtin: bool | tuple[PublicText, ...] = True
    docker_config: FilePath = "auto"
    netrc: FilePath = "auto"
    login_store: LoginStore = "auto"
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

    def works(self, name: str) -> bool:
        """Whether something works without a rule: a kind by its tag, DOCKER or NETRC."""
        return self.builtin if isinstance(self.builtin, bool) else name in self.builtin

    def rules(self, builtin: Sequence[HostRule] = BUILTIN) -> tuple[HostRule, ...]:
        """Every host rule in force: those of the files, then the built-in ones that are neither switched off nor replaced.

        Args:
            builtin: all built-in rules.
        """
        written = {match_key(rule.match) for rule in self.host}
        kept = (rule for rule in builtin if self.works(rule.tag()) and match_key(rule.match) not in written)
        return (*self.host, *kept)

    def router(self) -> Router:
        """The same rules, ready for look-ups: all code that needs to know which one answers uses this."""
        rules, written = self.rules(), len(self.host)
        return Router(rules[:written], rules[written:])

    def uses(self) -> Iterator[tuple[Path, str, Use]]:
        """The files, programs and variables that its rules and its port name: the key, its owner, and the thing."""
        for index, rule in enumerate(self.host):
            for key, use in rule.uses():
                yield ("host", index, *key), repr(rule.match), use
        if self.actions.listen_token is not None:
            for use in self.actions.listen_token.uses():
                yield ("actions", "listen_token"), "'actions.listen'", use
