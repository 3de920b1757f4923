"""Whether others could put another file in a file's place: the file, each link, and each directory on the way.

As sshd's ``StrictModes`` looks at a user's files, and further: what a link leads to is looked at as well. Above the home
directory nothing is judged, as there: who could change that has the whole account.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from credproxy.adapters.root_uids import roots
from credproxy.core.ownership import Exposure, exposure


_LINKS = 40
"""As many as the kernel follows."""


class PathStop(NamedTuple):
    """One place on the way to a file: a directory, a link, or the file itself."""

    path: Path
    about: os.stat_result


def exposures(path: str, home: str, *, end: os.stat_result | None = None) -> tuple[Exposure, ...]:
    """What is wrong on the way to a file, and with the file.

    Args:
        path: of the file, absolute or not.
        home: of the user; "" for nobody's, and then every directory up to the root is judged.
        end: the file as it was when it was opened; None where it was not.

    Raises:
        OSError: something on the way is not there, or cannot be looked at.
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
    """From the root to the file, following links as the kernel does.

    Raises:
        OSError: something on the way is not there, or cannot be looked at.
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
