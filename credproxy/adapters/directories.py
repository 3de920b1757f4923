"""Directories that are made for a file."""

from pathlib import Path


def make_folders(folder: Path, mode: int) -> None:
    """Make a directory and those above it that are missing, each with this mode whatever the umask.

    ``mkdir -p`` gives those above what the umask leaves: with a umask of 0 anybody could then replace what is below.
    """
    for place in reversed([folder, *folder.parents]):
        if not place.exists():
            place.mkdir(mode=mode, exist_ok=True)
            place.chmod(mode)
