"""What is known about every source without reading it."""

from collections.abc import Iterator
from typing import ClassVar

from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import Base
from credproxy.core.kinds.uses import Use


class SourceBase(Base, frozen=True):
    """Where a stored login is, as a rule names it: ``{ source = "env", name = "X" }``.

    Attributes:
        narrows: whether its logins can be limited to one repository (``ports.source.Narrows``).
        rewritable: whether another secret can be written in the place of the one that is there (``ports.source.Rewritable``).
        hosts: the form of the only hosts that it has logins for; "" for any.
    """

    narrows: ClassVar[bool] = False
    rewritable: ClassVar[bool] = False
    hosts: ClassVar[str] = ""

    def serves(self, host: str) -> bool:
        """Whether it can have a login for a host; a source with ``hosts`` overrides this.

        Args:
            host: canonical, without a port.
        """
        del host
        return True

    @property
    def log_in(self) -> str:
        """The command that stores a login where only this source looks; "" if there is none."""
        return ""

    def problems(self) -> Iterator[Problem]:
        """What a type cannot express about its options: the key, and what is wrong."""
        return iter(())

    def uses(self) -> Iterator[Use]:
        """The files, programs and variables that it names."""
        return iter(())
