"""Where our own programs are: beside the running one, so that an installation refers to itself."""

import os
import shutil
import sys
from pathlib import Path

from credproxy.adapters.own_metadata import own_copy
from credproxy.cli.command_error import CommandError


def program() -> tuple[str, ...]:
    """Give the command that runs this ``credproxy`` again, also after its files were replaced; links are kept."""
    started = os.path.abspath(sys.argv[0])  # noqa: PTH100  abspath keeps links
    if os.path.basename(started) == "__main__.py":  # noqa: PTH119  as above
        return sys.executable, "-m", "credproxy"
    return (started,)


def beside(name: str) -> str:
    """Give the absolute path of ``credproxy`` or ``credproxy-helper``. Links are kept, because they survive an upgrade.

    Raises:
        CommandError: it is neither beside this program nor on PATH.
    """
    places = [Path(program).absolute().parent / name for program in (sys.argv[0], sys.executable)]
    found = next((str(place) for place in places if place.exists()), shutil.which(name))
    if found is None:
        raise CommandError(f"{name} is not installed beside credproxy nor on PATH", own_copy().again())
    return found
