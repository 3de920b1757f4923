"""``provider = "exec"``: any Bazel credential helper behind the daemon."""

from collections.abc import Iterator
from typing import Literal

from msgspec import field

from credproxy.core.formats.checks import Problem, duration, environment, program, timeout
from credproxy.core.formats.toml_types import CommandLine, HiddenText, PublicText
from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.uses import Program, Used


_MOST = 64


class ExecHost(HostBase, frozen=True, tag_field="provider", tag="exec"):
    """Any Bazel credential helper behind the daemon. ``timeout`` in seconds, at most 300."""

    command: CommandLine
    cache_key: Literal["uri", "host"] = "uri"
    timeout: float = 30.0
    concurrency: int = 8
    env: dict[str, HiddenText] = field(default_factory=dict)
    pass_env: tuple[PublicText, ...] = ()
    keep: float = 600.0

    def mistakes(self) -> Iterator[Problem]:
        """The command line, and numbers."""
        yield from program("command", self.command)
        yield from timeout("timeout", self.timeout)
        if not 1 <= self.concurrency <= _MOST:
            yield ("concurrency",), f"wanted a number from 1 to {_MOST}"
        yield from duration("keep", self.keep)
        yield from environment(self.env, self.pass_env)

    def own_uses(self) -> Iterator[Used]:
        """The program."""
        yield ("command",), Program(self.command[0])
