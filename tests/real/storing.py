"""Stores logins and deletes them, again and again, in a process that may be killed at any moment; for test_rotating_logins.py.

    python storing.py

For each line ``PLACE PATH`` on its standard input it forks a process that stores and deletes until it is killed, and prints its
number; it imports once. PLACE is ``docker``, or where the file of logins at PATH keeps secrets: ``file``, ``rotating``,
``systemd-creds``.
"""

import itertools
import os
import sys
from pathlib import Path

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.docker_logins import DockerLogins
from credproxy.adapters.login_places import LoginPlace, LoginsFile
from credproxy.adapters.replaced_file import exclusively
from credproxy.adapters.writable_keyring import writable_keyring
from credproxy.core.ask.credential import Secret
from credproxy.core.formats.login_file import SecretKept


def place_of(path: Path, name: str, number: int) -> LoginPlace:
    """Of one of three hosts."""
    key = f"h{number}.test"
    if name == "docker":
        return DockerLogins(path, key, lambda _: None)
    ring = writable_keyring({}, clock=SystemClock(), uid=os.geteuid())
    kept: SecretKept = "systemd-creds" if name == "systemd-creds" else "file"
    return LoginsFile(path, key, kept, ring, os.geteuid(), rotates=name == "rotating")


def main() -> None:
    """Fork for each line."""
    for line in sys.stdin:
        name, _, place_path = line.rstrip("\n").partition(" ")
        path = Path(place_path)
        child = os.fork()
        if child == 0:
            os.write(1, f"{os.getpid()}\n".encode())
            for number in itertools.count():
                place = place_of(path, name, number % 3)
                with exclusively(path):
                    if number % 5:
                        place.put("" if name == "rotating" else "u", Secret(f"secret-{number}"))
                    else:
                        place.remove()
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
