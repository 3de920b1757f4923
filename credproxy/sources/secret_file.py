"""A secret file that a rule names, read and judged each time: anyone else who could write it would choose the login.

It is read long after the configuration that names it came into force.
"""

from credproxy.core.ask.stored import unreadable
from credproxy.core.errors import Failed
from credproxy.ports.files import Files


async def read_secret_file(files: Files, path: str, *, home: str, hint: str) -> bytes:
    """Give the content of the file.

    Args:
        files: reads it.
        path: of the file.
        home: the directories above it are not judged; "" for none.
        hint: what the user does about a missing file.

    Raises:
        Failed(credential_unreadable): it is missing, cannot be read, or could have been written by others.
    """
    found = await files.judged(path, home)
    if found is None:
        raise missing(path, hint)
    return found.trusted(path)


def missing(path: str, hint: str) -> Failed:
    """The failure for a missing file."""
    return unreadable(f"the file {path!r}", "is not there", hint=hint)
