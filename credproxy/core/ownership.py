"""Who could replace a file: anyone who can controls everything that trusts it (T29)."""

import stat
from shlex import quote
from typing import NamedTuple


class Exposure(NamedTuple):
    """How others could, and the command that prevents it.

    ``grave`` unless only members of a group that the owner chose could: a program is refused even then (T29), a
    settings file is not, because with a umask of 002, as on some systems, every file is like that.
    """

    problem: str
    remedy: str
    grave: bool = True


ROOT = frozenset({0})


def shown_roots(uid_map: str, overflow: int) -> frozenset[int]:
    """The uids by which root's files are shown in a user namespace: 0, and if root is not mapped, the overflow uid as well.

    There root's files look like those of other users, as in a unit with ``PrivateUsers=`` or in bubblewrap:
    without this, nothing below ``/etc`` or ``/usr`` could be trusted or run there.

    Args:
        uid_map: ``/proc/self/uid_map``: in each line a beginning inside, one outside, and a length.
        overflow: the uid that represents all users that are not mapped.

    Source: user_namespaces(7).
    """
    outside = [int(line.split()[1]) for line in uid_map.splitlines()]
    return ROOT if 0 in outside or not outside else ROOT | {overflow}  # 0 is the smallest, so it begins its line


def exposure(place: str, *, owner: int, mode: int, me: int, roots: frozenset[int] = ROOT) -> Exposure | None:
    """Judge a file, or a folder on the way to it; None if only this user and root could replace it.

    Args:
        place: its path, or that of a link.
        owner: its uid.
        mode: all of ``st_mode``; for a link, its own.
        me: this user's uid.
        roots: uids by which root's files are shown.
    """
    if owner != me and owner not in roots:
        return Exposure(f"could be replaced by uid {owner}, the owner of {place!r}", f"chown root {quote(place)}")
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return None  # a link has no mode; in a sticky folder others can add files but not replace ours
    if mode & stat.S_IWOTH:
        return Exposure(f"could be replaced by others: everybody may write {place!r}", f"chmod go-w {quote(place)}")
    if mode & stat.S_IWGRP:
        return Exposure(
            f"could be replaced by its group, which may write {place!r}", f"chmod go-w {quote(place)}", grave=False
        )
    return None
