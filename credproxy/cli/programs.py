"""Where our own programs are: beside the one that runs, so that an installation refers to itself."""

import shutil
import sys
from pathlib import Path

from credproxy.cli.errors import CommandError


def beside(name: str) -> str:
    """Give the absolute path of ``credproxy`` or ``credproxy-helper``, links kept: they outlive an upgrade.

    Raises:
        CommandError: it is neither beside this program nor on PATH.
    """
    places = [Path(program).absolute().parent / name for program in (sys.argv[0], sys.executable)]
    found = next((str(place) for place in places if place.exists()), shutil.which(name))
    if found is None:
        raise CommandError(f"{name} is not installed beside credproxy nor on PATH", "pipx install .")
    return found
