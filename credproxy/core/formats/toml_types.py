"""What the tables of a configuration are made of: strict structs, and texts of which it is said who may see them."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from credproxy.core.formats.shapes import PATH


SHOWN: Final = "shown"
"""The key of ``msgspec.Meta(extra=...)`` that says how people are shown a text: ``core/config/shown_settings.py`` reads it.

``text``: what looks like a credential in it is masked. ``name``: what looks random as well. ``prefix``: if it is one word.
``command``: the program, and the names of options. ``never``: not at all.
"""

PublicText = Annotated[str, Meta(extra={SHOWN: "text"})]
"""It names something."""

UserName = Annotated[str, Meta(extra={SHOWN: "name"})]
"""Of the user whose password or token a place holds."""

HeaderPrefix = Annotated[str, Meta(extra={SHOWN: "prefix"})]
"""What comes before a secret in a header, such as ``Bearer ``."""

HiddenText = Annotated[str, Meta(extra={SHOWN: "never"})]
"""It may be a secret."""

FilePath = Annotated[str, Meta(extra={PATH: "whole", SHOWN: "text"})]
"""Where a file is; ``~/`` at its beginning means the user's home."""

SearchPath = Annotated[str, Meta(extra={PATH: "list", SHOWN: "text"})]
"""Directories between colons, each of which may begin with ``~/``."""

CommandLine = Annotated[tuple[str, ...], Meta(extra={PATH: "first", SHOWN: "command"})]
"""A program, whose path may begin with ``~/``, and its arguments, which are left as they are."""


class Base(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Strict: a key that is not read may be a typo that somebody relies on."""
