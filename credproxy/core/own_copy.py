"""The commands that add to this copy of credproxy or install it again: they name where it came from, never an index's name.

Anybody may register the name ``credproxy`` at an index; a command that a user pastes must not fetch what is there.
"""

from dataclasses import dataclass
from shlex import quote
from typing import Literal


Manager = Literal["pip", "pipx", "uv"]
"""The program that made an environment, and installs into it."""


@dataclass(frozen=True, slots=True)
class OwnCopy:
    """How the copy that runs was installed.

    Attributes:
        python: the interpreter of its environment, by its absolute path.
        manager: pipx; uv, where pip is not in it.
        environment: pipx's name for it.
        source: what it was installed from, as pip takes it: a folder, a file, a URL. "" if that is not known.
        editable: the folder itself is used, and not a copy of it.
        root: only root can change the environment, and this is another user.
    """

    python: str
    manager: Manager = "pip"
    environment: str = ""
    source: str = ""
    editable: bool = False
    root: bool = False

    def adding(self, *requirements: str) -> str:
        """Add libraries to the environment; each as ``botocore>=1.40``."""
        begin = f"pipx inject {quote(self.environment)}" if self.manager == "pipx" else self._pip
        return f"{self._sudo}{begin} {_quoted(*requirements)}"

    def replacing(self, requirement: str) -> str:
        """Replace a library that is there."""
        begin = f"pipx runpip {quote(self.environment)} install" if self.manager == "pipx" else self._pip
        return f"{self._sudo}{begin} {self._anew} {quote(requirement)}"

    def again(self) -> str:
        """Install this copy again, from where it came."""
        if self.manager == "pipx":  # which has recorded the source, with extras and what was injected
            return f"{self._sudo}pipx reinstall {quote(self.environment)}"
        source = f"{'--editable ' if self.editable else ''}{self._source}"
        uncached = (
            "--no-cache" if self.manager == "uv" else "--no-cache-dir"
        )  # a wheel may be kept that has no C helper
        return f"{self._sudo}{self._pip} {self._anew} --no-deps {uncached} {source}"

    def at(self, folder: str) -> str:
        """Install it into an environment of its own, which this makes; for root."""
        place = quote(folder)
        return f"python3 -m venv {place} && {place}/bin/pip install {self._source}"

    @property
    def _source(self) -> str:
        return quote(self.source) if self.source else "SOURCE  # the clone or the wheel that you have credproxy from"

    @property
    def _pip(self) -> str:
        python = quote(self.python)
        return f"uv pip install --python {python}" if self.manager == "uv" else f"{python} -m pip install"

    @property
    def _anew(self) -> str:
        return "--reinstall" if self.manager == "uv" else "--force-reinstall"

    @property
    def _sudo(self) -> str:
        return "sudo " if self.root else ""


def _quoted(*words: str) -> str:
    return " ".join(map(quote, words))
