"""Where a program is, and whether it may be run: nobody else may be able to replace it."""

import os
import shutil
from pathlib import Path
from shlex import quote

from credproxy.adapters.file_exposure import exposures
from credproxy.core.errors import Code, Failed, failed
from credproxy.ports.processes import Command


def find_program(command: Command, path: str) -> str:
    """Find the absolute path of a program that may be run.

    Raises:
        Failed(helper_not_runnable)
    """
    wanted = command.argv[0]
    found = shutil.which(wanted, path=path)
    if found is None:
        raise _not_runnable(wanted, "is not there or not executable", command.missing or _how_to_find(wanted))
    program = str(Path(found).absolute())
    if command.secure:
        # All directories up to the root, and the links on the way: the system follows them again when it starts the
        # program.
        try:
            exposed = exposures(program, "")
        except OSError as error:
            message = f"cannot be looked at: {os.strerror(error.errno or 0).lower()}"
            hint = f"see which part of the path is at fault: namei -l {quote(program)}"
            raise _not_runnable(wanted, message, hint) from None
        if exposed:
            raise _not_runnable(wanted, exposed[0].problem, exposed[0].remedy)
    return program


def _how_to_find(program: str) -> str:
    if Path(program).is_file():
        return f"chmod u+x {quote(program)}"
    return f"install it there, or name another program instead of {program}, then: credproxy reload"


def _not_runnable(program: str, problem: str, hint: str) -> Failed:
    return failed(Code.HELPER_NOT_RUNNABLE, f"helper {program!r} {problem}", hint=hint)
