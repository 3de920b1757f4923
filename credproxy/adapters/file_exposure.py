"""Whether others could replace a file: checks the file, each link, and each directory on the way to it.

This is what sshd's ``StrictModes`` checks about a user's files, and more: the target of a link is checked as well. As
in sshd, directories above the home directory are not checked: anyone who could change them owns the whole account.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from credproxy.adapters.root_uids import roots
from credproxy.core.ownership import Exposure, exposure


_LINKS = 40
"""Symbolic links that are followed, as many as by the kernel."""


class PathStop(NamedTuple):
    """One step on the way to a file: a directory, a link, or the file itself."""

    path: Path
    about: os.stat_result


def exposures(path: str, home: str, *, end: os.stat_result | None = None) -> tuple[Exposure, ...]:
    """List what is wrong with a file and with the way to it.

    Args:
        path: of the file, absolute or not.
        home: of the user; "" for no user: then every directory up to the root is checked.
        end: the file as it was when it was opened; None if it was not.

    Raises:
        OSError: something on the way is missing, or cannot be inspected.
    """
    me, above = os.geteuid(), set(Path(os.path.realpath(home)).parents) if home else set()
    found = []
    last: os.stat_result | None = None
    for place, about in way(Path(path).absolute()):
        last = about
        if place not in above:
            found.append(exposure(str(place), owner=about.st_uid, mode=about.st_mode, me=me, roots=roots()))
    if end is not None and last is not None and not os.path.samestat(end, last):
        found.append(Exposure(f"was replaced while it was read: {path!r}", "credproxy reload"))
    return tuple(one for one in found if one is not None)


def way(path: Path) -> Iterator[PathStop]:
    """List the steps from the root to the file, following links as the kernel does.

    Raises:
        OSError: something on the way is missing, or cannot be inspected.
    """
    here, links = Path("/"), 0
    left = list(reversed(path.parts[1:]))
    yield PathStop(here, here.lstat())
    while left:
        part = left.pop()
        if part == "..":
            here = here.parent
            continue
        step = here / part
        about = step.lstat()
        yield PathStop(step, about)
        if not stat.S_ISLNK(about.st_mode):
            here = step
            continue
        links += 1
        if links > _LINKS:
            raise OSError(f"too many links on the way to {str(path)!r}")
        target = step.readlink()
        here = Path("/") if target.is_absolute() else here
        left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
