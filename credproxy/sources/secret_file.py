"""A file with a secret that a rule names, read anew each time and judged: anyone else who could write it would choose the login.

It is read long after the configuration that names it was put in force.
"""

from credproxy.core.ask.stored import unreadable
from credproxy.core.errors import Failed
from credproxy.ports import Files


async def read_secret_file(files: Files, path: str, *, home: str, hint: str) -> bytes:
    """Give its content.

    Args:
        files: reads it.
        path: of the file.
        home: the directories above it are not judged; "" for none.
        hint: what a person does about a file that is not there.

    Raises:
        Failed(credential_unreadable): it is not there, cannot be read, or could have been written by others.
    """
    found = await files.judged(path, home)
    if found is None:
        raise missing(path, hint)
    return found.trusted(path)


def missing(path: str, hint: str) -> Failed:
    """The failure of a file that is not there."""
    return unreadable(f"the file {path!r}", "is not there", hint=hint)
