"""Who may put another file in a file's place: whoever can does as he likes with what trusts it (T29)."""

import stat
from typing import NamedTuple


class Exposure(NamedTuple):
    """How others could, and the command that ends it."""

    problem: str
    remedy: str


def exposure(place: str, *, owner: int, mode: int, me: int) -> Exposure | None:
    """Judge a file, or a folder on the way to it; None where only this user and root can.

    Args:
        place: its path.
        owner: its uid.
        mode: ``st_mode``, whole.
        me: this user's uid.
    """
    if owner not in {0, me}:
        return Exposure(f"could be replaced by uid {owner}, the owner of {place!r}", f"chown root {place}")
    # In a sticky folder others can add files but not replace ours.
    if mode & 0o022 and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return Exposure(f"could be replaced by others: {place!r} is writable", f"chmod go-w {place}")
    return None
