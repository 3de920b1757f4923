"""Logins in docker's configuration, as ``docker login`` stores and ``docker logout`` deletes them; one of the places of ``login_places``."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from credproxy.adapters.login_programs import run_program
from credproxy.adapters.replaced_file import change_file
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.stored import login
from credproxy.core.errors import Code, failed
from credproxy.core.formats.docker_config import parse_index
from credproxy.core.formats.docker_config_edit import docker_key, entry_of, with_entry, without_entry
from credproxy.core.formats.docker_programs import NOT_FOUND


@dataclass(frozen=True)
class DockerLogins:
    """Docker's configuration, or the program that it names for the registry, as used by ``docker login``.

    Attributes:
        path: of the file.
        key: canonical name of the registry, with its path.
        which: finds a program on the path of the configuration.
    """

    path: Path
    key: str
    which: Callable[[str], str | None]

    @property
    def program(self) -> str:
        """The NAME of the ``docker-credential-NAME`` that stores the login; "" if the file itself does."""
        content = self.path.read_bytes() if self.path.exists() else b""
        index = parse_index(content, self._where)
        return index.helpers.get(self.key.partition("/")[0], ("", index.store))[1]

    @property
    def name(self) -> str:
        """The path of the file, or the name of the program."""
        return f"docker-credential-{self.program}" if self.program else str(self.path)

    @property
    def warning(self) -> str:
        """The same warning as docker's."""
        return "" if self.program else f"your password is stored unencrypted in {self.path}"

    def put(self, username: str, secret: Secret) -> None:
        """Store the login; a program stores it for the whole registry."""
        program, entry = self.program, entry_of(login(username, secret.reveal(), where=self._where))
        if program:
            told = {"ServerURL": self._server, "Username": username, "Secret": secret.reveal()}
            self._run(program, "store", json.dumps(told).encode())
            entry = {}
        change_file(self.path, lambda content: with_entry(content, self.key, entry=entry, where=self._where))

    def remove(self) -> str:
        """Delete the login."""
        if not self.path.exists():
            return ""
        program, name = self.program, self.name
        had = bool(program) and self._run(program, "get", self._server.encode()) is not None
        if had:
            self._run(program, "erase", self._server.encode())
        changed = change_file(self.path, lambda content: without_entry(content, self.key, where=self._where))
        return name if changed or had else ""

    @property
    def _server(self) -> str:
        return docker_key(self.key.partition("/")[0])

    @property
    def _where(self) -> str:
        return f"the docker configuration {str(self.path)!r}"

    def _run(self, program: str, verb: str, said: bytes) -> bytes | None:
        """Run the program; None if it says that it has no login."""
        name = f"docker-credential-{program}"
        place = self.which(name)
        if place is None:
            raise failed(
                Code.HELPER_NOT_RUNNABLE,
                f"{name!r} is not installed, which {self._where} names",
                hint=f"install it, or take {program!r} out of {self.path}",
            )
        done = run_program([place, verb], said)
        if done.returncode == 0:
            return done.stdout
        if done.stdout.strip() == NOT_FOUND:
            return None
        # Its output of a "store" may quote what it was given.
        what = done.stdout.decode("utf-8", "replace").strip()[:200] if verb != "store" else "see what it needs"
        raise failed(Code.HELPER_FAILED, f"{name!r} refuses: {what}", hint=f"run it by hand: {name} list")
