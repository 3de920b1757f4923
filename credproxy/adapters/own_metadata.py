"""What the environment in which this copy runs says about how it was installed."""

import json
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from credproxy.core.kinds.uses import NOT_INSTALLED, Library
from credproxy.core.own_copy import OwnCopy
from credproxy.core.unreadable_json import UNREADABLE


_NAME = "credproxy"


@cache
def own_copy() -> OwnCopy:
    """Find out how this copy was installed; it does not change while a process runs.

    Reads files the first time: before an event loop runs, or in a thread.
    """
    prefix = Path(sys.prefix)
    source, editable = _source()
    pipx = (prefix / "pipx_metadata.json").exists()
    return OwnCopy(
        sys.executable or "python3",
        "pipx" if pipx else "pip" if find_spec("pip") is not None else "uv",
        prefix.name if pipx else "",
        source,
        editable,
        _roots(prefix),
    )


def installing(*libraries: Library) -> str:
    """The command that adds libraries to the environment of this copy."""
    return own_copy().adding(*(library.requirement(sys.platform) for library in libraries))


def is_not_installed(library: Library) -> str:
    """Say that a library is missing, and the command that adds it."""
    return f"{library.module(sys.platform)!r}{NOT_INSTALLED}{installing(library)}"


def requirement(name: str) -> str:
    """A library that credproxy always needs, with the versions that it accepts."""
    from importlib import metadata  # noqa: PLC0415  it takes 20 ms, for a daemon that cannot start

    try:
        wanted = metadata.requires(_NAME) or ()
    except metadata.PackageNotFoundError:
        wanted = ()
    return next((each for each in wanted if each.startswith(name) and ";" not in each), name)


def _source() -> tuple[str, bool]:
    """What pip takes, and whether it is used where it is. Source: PEP 610.

    Without the record it was installed by its name from an index, or not at all: then a clone is what it runs from.
    """
    # Not by importlib.metadata: that is 20 ms and 2 MB for one file, in a daemon that may never need it.
    places = (place for folder in sys.path if folder for place in Path(folder).glob(f"{_NAME}-*.dist-info"))
    installed = next(places, None)
    if installed is None:
        clone = Path(__file__).parents[2]
        return str(clone) if (clone / "pyproject.toml").exists() else "", True
    try:
        said = json.loads((installed / "direct_url.json").read_bytes())
        url = str(said.get("url", ""))
        if vcs := said.get("vcs_info"):
            return f"{vcs['vcs']}+{url}@{vcs['commit_id']}", False
        editable = bool(said.get("dir_info", {}).get("editable"))
    except (OSError, KeyError, TypeError, AttributeError, *UNREADABLE):
        return "", False
    return (unquote(urlsplit(url).path) if url.startswith("file://") else url), editable


def _roots(prefix: Path) -> bool:
    try:
        return prefix.stat().st_uid == 0 != os.geteuid()
    except OSError:
        return False
