"""Running programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run once.

    Attributes:
        argv: the program is found by the adapter: an absolute path, or a name on ``path``.
        stdin: written and closed; a program that does not read it is fine (H8).
        timeout: seconds from start to SIGTERM.
        env: added to the minimal environment (T30).
        pass_env: names of variables of the daemon that are added as well, if they are set.
        secure: check owner and mode of the file and its parents at spawn (T29).
        concurrency: how many of this program may run at once; a docker helper is run alone (DC-19).
        missing: the hint if it is not found, from the code that knows what names it; "" for the usual one.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    timeout: float = 30.0
    env: Mapping[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    secure: bool = True
    concurrency: int = 8
    missing: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended. ``stdout`` is a secret; ``complaint`` is stderr, sanitised, its last 2 KiB (H3)."""

    status: int
    stdout: bytes = field(repr=False)
    complaint: str = field(default="", repr=False)

    def ended(self, before: str = ": ", *, most: int = 300) -> str:
        """How it ended, and the last characters of what it said, if it said anything.

        Args:
            before: what stands before that.
            most: characters of it.
        """
        how = f"ended with status {self.status}" if self.status >= 0 else f"was killed by signal {-self.status}"
        return f"{how}{before}{self.complaint[-most:]}" if self.complaint else how


class Processes(Protocol):
    """Runs programs in a process group of their own, capped, and leaves no survivors."""

    async def run(self, command: Command) -> Completed:
        """Run to its exit.

        Raises:
            Failed: helper_not_runnable (missing, not executable, insecure file), helper_failed (timeout, flood).
        """
        ...

    async def find(self, command: Command) -> None:
        """Check whether the program could be started, without starting it.

        Raises:
            Failed(helper_not_runnable): as ``run``.
        """
        ...
