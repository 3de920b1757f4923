"""How near memory is to its limit, from the kernel's files."""

from pathlib import Path

import pytest

from credproxy.adapters.cgroup import CgroupMemory


def _group(folder: Path, *, high: str, most: str, stat: str = "anon 300\nfile 5000\n") -> CgroupMemory:
    own = folder / "cgroup"
    own.write_text("1:name=systemd:/elsewhere\n0::/user.slice/credproxy.service\n")
    group = folder / "user.slice" / "credproxy.service"
    group.mkdir(parents=True)
    (group / "memory.high").write_text(high + "\n")
    (group / "memory.max").write_text(most + "\n")
    (group / "memory.stat").write_text(stat)
    return CgroupMemory(folder, own)


@pytest.mark.parametrize(
    ("high", "most", "expected"),
    [
        pytest.param("400", "600", 0.75, id="high"),
        pytest.param("max", "600", 0.5, id="max alone"),
        pytest.param("1000", "600", 0.5, id="the narrower one"),
        pytest.param("max", "max", None, id="none"),
        pytest.param("0", "max", None, id="nothing granted at all"),
        pytest.param("what", "max", None, id="not a number"),
    ],
)
def test_the_fraction_of_the_limit_that_is_in_use(tmp_path: Path, high: str, most: str, expected: float | None) -> None:
    """C6: Files in the page cache do not count."""
    assert _group(tmp_path, high=high, most=most).used() == expected


def test_the_fraction_is_none_without_the_page_cache_count(tmp_path: Path) -> None:
    """C6: A kernel that does not say, a group of version 1, no such folder: then no memory is freed."""
    assert _group(tmp_path, high="400", most="max", stat="file 1\n").used() is None
    (tmp_path / "first").write_text("4:memory:/user.slice\n")
    assert CgroupMemory(tmp_path, tmp_path / "first").used() is None
    assert CgroupMemory(tmp_path, tmp_path / "missing").used() is None
    (tmp_path / "gone").write_text("0::/gone\n")
    assert CgroupMemory(tmp_path, tmp_path / "gone").used() is None
