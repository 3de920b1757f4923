"""``source = "command"``: a program that prints the secret."""

from collections.abc import Iterator

from msgspec import field

from credproxy.core.ask.login import PROGRAM_KEEP
from credproxy.core.formats.checks import Problem, duration, environment, program, timeout, user
from credproxy.core.formats.toml_types import CommandLine
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Program, Use


class CommandSource(SourceBase, frozen=True, tag_field="source", tag="command"):
    """A program whose output, without one trailing newline, is the secret; ``keep`` is how many seconds it is remembered."""

    argv: CommandLine
    username: str | None = None
    keep: float = PROGRAM_KEEP
    timeout: float = 30.0
    env: dict[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()

    def problems(self) -> Iterator[Problem]:
        """The command line, times, and the name of the user."""
        yield from program("argv", self.argv)
        yield from timeout("timeout", self.timeout)
        yield from duration("keep", self.keep)
        yield from user("username", self.username)
        yield from environment(self.env, self.pass_env)

    def uses(self) -> Iterator[Use]:
        """The program."""
        yield Program(self.argv[0])
