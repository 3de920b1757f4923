"""``source = "command"``: a program that prints the secret, alone or in JSON."""

from collections.abc import Iterator
from typing import Literal

from msgspec import field

from credproxy.core.formats.checks import Problem, duration, environment, program, timeout, user, within
from credproxy.core.formats.printed_json import PrintedFields
from credproxy.core.formats.toml_types import CommandLine, HiddenText, PublicText, UserName
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Program, Use


class CommandSource(SourceBase, frozen=True, tag_field="source", tag="command"):
    """A program whose output, without one trailing newline, is the secret; in JSON ``fields`` says which value of it is.

    ``keep`` is how many seconds it is remembered; None for as long as the JSON says, else for PROGRAM_KEEP.
    """

    argv: CommandLine
    username: UserName | None = None
    keep: float | None = None
    timeout: float = 30.0
    env: dict[str, HiddenText] = field(default_factory=dict)
    pass_env: tuple[PublicText, ...] = ()
    format: Literal["text", "json"] = "text"
    fields: PrintedFields | None = None

    def problems(self) -> Iterator[Problem]:
        """The command line, times, the name of the user, and the fields."""
        yield from program("argv", self.argv)
        yield from timeout("timeout", self.timeout)
        if self.keep is not None:
            yield from duration("keep", self.keep)
        yield from user("username", self.username)
        yield from environment(self.env, self.pass_env)
        yield from self._fields()

    def uses(self) -> Iterator[Use]:
        """The program."""
        yield Program(self.argv[0])

    def _fields(self) -> Iterator[Problem]:
        if self.format == "json" and self.fields is None:
            yield ("fields",), 'wanted which value is the secret: fields = { value = "NAME" }'
        if self.fields is None:
            return
        if self.format != "json":
            yield ("fields",), 'means nothing without format = "json"'
        if self.username is not None and self.fields.username is not None:
            yield ("username",), "fields has it as well; leave one of the two out"
        yield from within(("fields",), self.fields.problems())
