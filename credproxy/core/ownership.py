"""Who may put another file in a file's place: whoever can does as he likes with what trusts it (T29)."""

import stat
from typing import NamedTuple


class Exposure(NamedTuple):
    """How others could, and the command that ends it.

    ``grave`` unless it takes a member of a group that the owner chose: a program is refused for that as well (T29), a
    file of settings is not, because a umask of 002 makes every file of some systems so (S5).
    """

    problem: str
    remedy: str
    grave: bool = True


def exposure(place: str, *, owner: int, mode: int, me: int) -> Exposure | None:
    """Judge a file, or a folder on the way to it; None where only this user and root can.

    Args:
        place: its path, or that of a link.
        owner: its uid.
        mode: ``st_mode``, whole; of a link its own.
        me: this user's uid.
    """
    if owner not in {0, me}:
        return Exposure(f"could be replaced by uid {owner}, the owner of {place!r}", f"chown root {place}")
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return None  # a link has no mode; in a sticky folder others can add files but not replace ours
    if mode & stat.S_IWOTH:
        return Exposure(f"could be replaced by others: {place!r} is writable", f"chmod go-w {place}")
    if mode & stat.S_IWGRP:
        return Exposure(f"could be replaced by its group: {place!r} is writable", f"chmod go-w {place}", grave=False)
    return None
