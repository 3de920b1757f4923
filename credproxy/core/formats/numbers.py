"""Numbers that no program means: with more digits than the interpreter reads, or beyond 64 bits."""

import re
from typing import Final


TOO_LARGE: Final = "a number with so many digits cannot be read"
"""What is wrong with one for which ``int`` raises ValueError."""

BEYOND: Final = "wanted a smaller number: this one does not fit into 64 bits"

_DIGITS: Final = re.compile(r"[0-9_]{4000,}")


def line_of_digits(text: str) -> int:
    """Give the line of the first such number, counted from 1; 1 if there is none."""
    found = _DIGITS.search(text)
    return 1 if found is None else text.count("\n", 0, found.start()) + 1


def fits(value: object) -> bool:
    """Whether a value is anything else than a whole number beyond 64 bits, which is more than a setting or a float can hold."""
    return not isinstance(value, int) or -(2**63) <= value < 2**63
