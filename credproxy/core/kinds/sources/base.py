"""What is known of every source without looking into it."""

from collections.abc import Iterator
from typing import ClassVar

from credproxy.core.formats.checks import Problem
from credproxy.core.formats.toml_types import Base
from credproxy.core.kinds.uses import Use


class SourceBase(Base, frozen=True):
    """Where a stored login lies, as a rule names it: ``{ source = "env", name = "X" }``.

    Attributes:
        narrows: whether its logins can be limited to one repository (``ports.Narrows``).
    """

    narrows: ClassVar[bool] = False

    def problems(self) -> Iterator[Problem]:
        """What a type cannot say of its options: the key, and what is wrong."""
        return iter(())

    def uses(self) -> Iterator[Use]:
        """The files, programs and variables that it names."""
        return iter(())
