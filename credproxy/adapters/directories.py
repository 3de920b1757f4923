"""Directories that are made for a file, and that of a file that has been replaced."""

import os
from pathlib import Path


def make_folders(folder: Path, mode: int) -> None:
    """Make a directory and its missing parents, each with this mode whatever the umask.

    ``mkdir -p`` applies the umask to the parents: with a umask of 0 anybody could then replace their contents.
    """
    for place in reversed([folder, *folder.parents]):
        if not place.exists():
            place.mkdir(mode=mode, exist_ok=True)
            place.chmod(mode)


def sync_folder(folder: Path) -> None:
    """Have a new name in a directory on the disk: it is there once its directory is. Source: fsync(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
