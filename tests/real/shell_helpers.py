"""The two credential helpers in shell, each installed into a folder of its own with the files that it reads and writes."""

import json
import shutil
from pathlib import Path


SOURCES = Path(__file__).parent


class _ShellHelper:
    """A copy of a script in `folder`, which is made."""

    script: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder  # to be put on a PATH
        self.program = folder / self.script
        shutil.copy(SOURCES / self.script, self.program)  # with its mode

    @property
    def calls(self) -> list[str]:
        """One line for each time that it ran."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


class DockerHelper(_ShellHelper):
    """`docker-credential-shelltest`; docker configuration calls it `shelltest`. Calls are `get SERVER` and `list`."""

    script = "docker-credential-shelltest"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._pairs = folder / "pairs"
        self._pairs.touch()

    def store(self, server: str, user: str, secret: str) -> None:
        """Add a login; user `<token>` makes the secret an identity token."""
        with self._pairs.open("a") as pairs:
            pairs.write(f"{server}\t{user}\t{secret}\n")

    def replace(self, server: str, user: str, secret: str) -> None:
        """Have this login and no other one."""
        self._pairs.write_text("")
        self.store(server, user, secret)


class BazelHelper(_ShellHelper):
    """`bazel_helper.sh get`; calls are the requests, JSON each."""

    script = "bazel_helper.sh"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.answer("Bearer from-the-shell")

    def answer(self, authorization: str, expires: str | None = None) -> None:
        """Say this header from now on; `expires` is an RFC 3339 time."""
        answer: dict[str, object] = {"headers": {"Authorization": [authorization]}}
        if expires:
            answer["expires"] = expires
        (self.folder / "answer.json").write_text(json.dumps(answer))
