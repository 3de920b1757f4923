"""How near this process is to the memory that its service manager grants it (C6)."""

from pathlib import Path


_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


class CgroupMemory:
    """The memory of the control group that this process runs in, version 2 alone.

    Args:
        root: where the groups are mounted.
        own: the file that names the group of this process.
    """

    def __init__(self, root: Path = _ROOT, own: Path = _OWN) -> None:
        self._folder = _folder(root, own)

    def used(self) -> float | None:
        """Give what is in use as a fraction of ``memory.high``, or of ``memory.max`` where that is less.

        The page cache is not counted: the kernel reclaims it by itself. None if there is no limit.
        """
        if self._folder is None:
            return None
        try:
            bounds = [_read(self._folder / name) for name in ("memory.high", "memory.max")]
            stat = (self._folder / "memory.stat").read_text(encoding="ascii")
        except (OSError, ValueError):
            return None  # no such controller here: only the kernel's OOM killer is left
        bound = min((bound for bound in bounds if bound is not None), default=None)
        anonymous = next((line.split()[1] for line in stat.splitlines() if line.startswith("anon ")), None)
        return None if not bound or anonymous is None else int(anonymous) / bound


def _folder(root: Path, own: Path) -> Path | None:
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    name = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    return None if name is None else root / name


def _read(file: Path) -> int | None:
    text = file.read_text(encoding="ascii").strip()
    return None if text == "max" else int(text)
