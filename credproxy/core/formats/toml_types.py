"""What the tables of a configuration are made of: strict structs, and texts that are paths."""

from typing import Annotated

from msgspec import Meta, Struct

from credproxy.core.formats.shapes import PATH


FilePath = Annotated[str, Meta(extra={PATH: "whole"})]
"""Where a file is; ``~/`` at its beginning means the user's home."""

SearchPath = Annotated[str, Meta(extra={PATH: "list"})]
"""Directories between colons, each of which may begin with ``~/``."""

CommandLine = Annotated[tuple[str, ...], Meta(extra={PATH: "first"})]
"""A program, whose path may begin with ``~/``, and its arguments, which are left as they are."""


class Base(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Strict: a key that is not read may be a typo that somebody relies on."""
