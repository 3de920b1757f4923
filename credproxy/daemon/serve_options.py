"""What the command line and the environment decide, before any configuration is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve.

    Attributes:
        environ: the process environment; nothing below reads it any other way.
        config: configuration files, the most important first; None for the usual places.
        log_level: overrides the configuration's, as does ``log_format``.
        system: one daemon for all users of a machine, whom the kernel tells apart.
        gateway_only: serve the actions socket alone.
        program: the words that run ``credproxy`` as installed where this one was started from.
        arguments: those of this run.
    """

    environ: Mapping[str, str]
    config: tuple[str, ...] | None = None
    log_level: str | None = None
    log_format: Literal["auto", "console", "json"] | None = None
    system: bool = False
    gateway_only: bool = False
    program: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
