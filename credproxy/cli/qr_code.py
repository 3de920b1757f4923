"""A QR code of a page's address, where the terminal can show one."""

import os
import shutil
import sys
from io import StringIO
from typing import TextIO

import click


_BORDER = 2
"""Modules of margin: half of what the norm has, and enough for telephones."""


def qr_code(url: str, *, columns: int, out: TextIO | None = None) -> str:
    """Give its lines; "" if ``out``, usually stdout, cannot show it: no terminal, no UTF-8, too few columns or rows."""
    out = sys.stdout if out is None else out
    encoding = (out.encoding or "").lower().replace("-", "")
    if not out.isatty() or encoding != "utf8" or os.environ.get("TERM", "dumb") == "dumb":
        return ""
    import segno  # noqa: PLC0415  most commands need none

    try:
        made = segno.make(url, error="l", micro=False)
    except segno.DataOverflowError:
        return ""
    width, height = made.symbol_size(border=_BORDER)
    size = shutil.get_terminal_size()
    if width > min(columns, size.columns) or height / 2 > size.lines - 1:
        return ""
    drawn = StringIO()
    made.terminal(drawn, compact=True, border=_BORDER)
    # Dark on light, whatever the colours of the terminal are: not every telephone reads it the other way round.
    return "\n".join(click.style(line, fg="bright_white", bg="black") for line in drawn.getvalue().splitlines())
