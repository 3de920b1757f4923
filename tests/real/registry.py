"""Debian's docker-registry as a process: TLS on a free port of the loopback, storage in a folder."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import bcrypt

from tests.real import tokens
from tests.real.content import Image, push
from tests.real.pki import Pki
from tests.real.wire import Wire


STARTED = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


class Registry:
    """A running registry. Its log, `log`, is kept in its folder; close() ends it.

    With `redirect`, a URL, it redirects requests for a blob there: to the blob's path below its `storage`.
    """

    def __init__(
        self, program: Path, folder: Path, pki: Pki, auth: Mapping[str, object], redirect: str | None = None
    ) -> None:
        folder.mkdir()
        self.storage = folder / "storage"
        self.log = folder / "registry.log"
        self._wire = Wire(pki.client_context())
        config = folder / "config.yml"
        config.write_text(json.dumps(_config(folder, pki, auth, redirect)))  # JSON is YAML, too
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", config],
                cwd=folder,
                env={"PATH": os.defpath},  # a REGISTRY_* variable of the person would change the configuration
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.authority = f"localhost:{self._wait()}"
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and whatever it started; may be called twice."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def url(self) -> str:
        """The address of the API, such as `https://localhost:5000/v2/`."""
        return f"https://{self.authority}/v2/"

    def manifest_url(self, repository: str, reference: str) -> str:
        """The URL of a manifest by tag or digest."""
        return f"{self.url}{repository}/manifests/{reference}"

    def blob_url(self, repository: str, digest: str) -> str:
        """The URL of a blob."""
        return f"{self.url}{repository}/blobs/{digest}"

    def push(self, repository: str, tag: str, image: Image, *, authorization: str) -> None:
        """Upload an image with the tests' own client, which sends `authorization` as it is."""
        push(self._wire, self.url + repository, tag, image, authorization)

    def _wait(self) -> int:
        """The port, once it listens: it chooses one itself, because one chosen here could be taken meanwhile."""
        for _ in range(200):
            found = STARTED.search(self.log.read_text())
            if found:
                return int(found[1])
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"docker-registry did not start:\n{self.log.read_text()}")


def token_auth(realm: str, pki: Pki) -> dict[str, object]:
    """Settings for Bearer tokens from `realm`, signed by tokens.Signer with the same `pki`."""
    settings = {"realm": realm, "service": tokens.SERVICE, "issuer": tokens.ISSUER, "rootcertbundle": str(pki.bundle)}
    return {"token": settings}


def basic_auth(path: Path, users: Mapping[str, str]) -> dict[str, object]:
    """Settings for Basic with `users` (name to password), which are written to `path`."""
    hashes = {user: bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)) for user, password in users.items()}
    path.write_text("".join(f"{user}:{hashed.decode()}\n" for user, hashed in hashes.items()))
    return {"htpasswd": {"realm": "registry.test", "path": str(path)}}


def _config(folder: Path, pki: Pki, auth: Mapping[str, object], redirect: str | None) -> dict[str, object]:
    pair = pki.loopback
    middleware = {"storage": [{"name": "redirect", "options": {"baseurl": redirect}}]}
    return {
        **({} if redirect is None else {"middleware": middleware}),
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "storage")},
            "maintenance": {"uploadpurging": {"enabled": False}},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": "127.0.0.1:0",
            "secret": "for upload sessions",
            "tls": {"certificate": str(pair.certificate), "key": str(pair.key)},
        },
        "auth": auth,
    }
