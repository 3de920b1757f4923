"""Taking secrets and control characters out of texts that others wrote (T17, H3, SC-14)."""

import re


_CREDENTIAL = re.compile(r"\b(bearer|basic|token)[ =:]+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?#]+)\?\S*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A long word of letters and digits mixed, JWTs with their dots included; paths and host names are not.
_TOKEN = re.compile(r"\b(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*={0,2}")


def mask(text: str) -> str:
    """Take out what looks like a credential or a presigned query, and escape control characters."""
    text = _CREDENTIAL.sub(lambda found: f"{found[1]} ***", text)
    text = _QUERY.sub(r"\1?***", text)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def mask_complaint(text: str) -> str:
    """``mask`` for what a program printed as it failed: long random-looking words go as well, line ends become ``; ``."""
    lines = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    return _TOKEN.sub("***", mask(lines))
