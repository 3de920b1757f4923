"""Files that are replaced as a whole: a reader, or a restart after a crash, finds the old content or the new one."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from credproxy.adapters.directories import make_folders, sync_folder
from credproxy.adapters.rewriting import hold
from credproxy.core.errors import Code, failed


PATIENCE = 10.0
"""Seconds to wait for another writer, which needs some milliseconds."""

_PAUSE = 0.05

_PRIVATE = 0o600


def replace_file(place: Path, content: bytes) -> None:
    """Write a temporary file and rename it; a link is followed, the mode of an existing file is kept, a new one is private.

    The content is on the disk when this returns. Raises OSError: the file is unchanged.
    """
    target = place.resolve()  # the file behind the link of a dotfiles repository, not the link
    try:
        _replace(target, content)
    except OSError as error:  # the system names the temporary file, or none at all where the disk is full
        raise OSError(error.errno, os.strerror(error.errno or 0), str(target)) from None


def _replace(target: Path, content: bytes) -> None:
    mode = target.stat().st_mode & 0o777 if target.exists() else _PRIVATE
    make_folders(target.parent, 0o700)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).rename(target)
        sync_folder(target.parent)
    except BaseException:  # Ctrl-C must not leave a half-written file either
        with suppress(OSError):
            Path(name).unlink()
        raise


def change_file(place: Path, change: Callable[[bytes], bytes | None]) -> bool:
    """Read, change and replace a file. The caller must be the only writer: see ``exclusively``.

    Args:
        place: path of the file; a missing one counts as empty.
        change: gives the new content, None to leave it.

    Returns:
        Whether it was written.

    Raises:
        OSError: it cannot be read or written, and is unchanged.
        Failed: what ``change`` raises.
    """
    target = place.resolve()
    _tidy(target)
    before = target.read_bytes() if target.exists() else b""
    content = change(before)
    if content is None or content == before:
        return False
    replace_file(target, content)
    return True


@contextmanager
def exclusively(target: Path) -> Iterator[None]:
    """Hold the lock of a file, which is a separate file beside it, because the file itself gets replaced.

    Raises:
        Failed(overloaded): another process holds it for ten seconds.
        OSError: the lock file cannot be made.
    """
    make_folders(target.parent, 0o700)
    path = str(target.with_name(f".{target.name}.lock"))
    lock, tries = hold(path), int(PATIENCE / _PAUSE)
    while lock is None and tries:
        time.sleep(_PAUSE)
        lock, tries = hold(path), tries - 1
    if lock is None:
        raise failed(Code.OVERLOADED, f"another process is writing {str(target)!r}", hint="try again when it has ended")
    try:
        yield
    finally:
        lock.close()


def _tidy(target: Path) -> None:
    """Delete what a killed writer has left beside the file; nobody else is writing now."""
    for left in target.parent.glob(f".{target.name}.????????"):
        with suppress(OSError):
            left.unlink()
