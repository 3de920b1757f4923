"""What this copy finds out about how it was installed, from the files that installers write."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import credproxy
from credproxy.adapters.own_metadata import own_copy, requirement


PACKAGE = Path(credproxy.__file__).parents[1]

ASK = """
import sys
sys.path[:0] = sys.argv[2:]
sys.prefix = sys.argv[1]
from credproxy.adapters.own_metadata import own_copy
copy = own_copy()
print(copy.manager, copy.environment or "-", copy.source or "-", copy.editable)
"""


def told(prefix: Path, record: str | None) -> list[str]:
    """What a process says whose environment is ``prefix`` and whose record of PEP 610 is ``record``."""
    folder = prefix / "credproxy-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: credproxy\nVersion: 1.0\n")
    if record is not None:
        (folder / "direct_url.json").write_text(record)
    argv = [sys.executable, "-c", ASK, str(prefix), str(prefix), str(PACKAGE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("record", "source", "editable"),
    [
        ({"url": "file:///my%20src/c", "dir_info": {}}, "/my src/c", "False"),
        ({"url": "file:///src/c", "dir_info": {"editable": True}}, "/src/c", "True"),
        ({"url": "https://files.example/c.whl", "archive_info": {}}, "https://files.example/c.whl", "False"),
        (
            {"url": "https://git.example/c", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "git+https://git.example/c@abc",
            "False",
        ),
        (None, "-", "False"),
        ("not an object", "-", "False"),
    ],
    ids=["folder", "editable", "archive", "git", "index", "broken"],
)
def test_the_source_is_in_the_record_of_the_installer(
    record: object, source: str, editable: str, tmp_path: Path
) -> None:
    """Source: PEP 610. Without it the copy was installed by name, and nothing is said of where from."""
    words = told(tmp_path, None if record is None else json.dumps(record))
    assert [" ".join(words[2:-1]), words[-1]] == [source, editable]


def test_pipx_is_known_by_its_file_and_names_its_environment(tmp_path: Path) -> None:
    """With ``--suffix`` that is not the name of the package."""
    home = tmp_path / "credproxy-dev"
    home.mkdir()
    (home / "pipx_metadata.json").write_text("{}")
    assert told(home, None)[:2] == ["pipx", "credproxy-dev"]


def test_the_daemon_need_not_import_what_reads_packages() -> None:
    """It would be 2 MB for one file."""
    code = "import sys; from credproxy.adapters.own_metadata import own_copy; print(own_copy().python, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    python, *modules = done.stdout.split()
    assert python == sys.executable
    assert "credproxy.adapters.own_metadata" in modules
    assert "importlib.metadata" not in modules


def test_this_very_copy_names_its_interpreter_and_what_it_needs() -> None:
    """The versions of aiohttp that are accepted are in the package's own metadata."""
    assert own_copy().python == sys.executable
    assert requirement("aiohttp").startswith("aiohttp")
    assert "3.14" in requirement("aiohttp")
    assert requirement("nothing-of-ours") == "nothing-of-ours"
