"""The authorization server of oidc_server.mjs: a certified one, whose refresh tokens rotate, and which detects reused ones."""

import http.client
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.real import clients
from tests.real.wire import basic


MODULES = clients.ROOT / ".counterparts" / "npm" / "node_modules"
KEY_ID = "of-the-tests"
ROBOT = "secret of robot"


class OidcServer:
    """Runs it between ``with`` and its end.

    Attributes:
        issuer: its URL.
        key: a file with the private key that it trusts, of the client ``signer`` and of assertions.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "oidc.log"
        self.key = folder / "key.pem"
        self.issuer = ""

    def __enter__(self) -> Self:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.key.chmod(0o600)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
        key = json.dumps({**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"})
        argv: list[str | Path] = [clients.find("node"), Path(__file__).with_name("oidc_server.mjs"), modules(), key]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        self.issuer = self._process.stdout.readline().strip()
        assert self.issuer, self._log.read_text()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)

    def refresh_token(self) -> str:
        """One for the client ``bazel``, as a login gives it."""
        return self.ask("/mint").decode()

    def revoked(self) -> int:
        """How many logins it has ended because an old token was reused."""
        return int(self.ask("/revoked"))

    def introspected(self, token: str) -> dict[str, object]:
        """What it says about a token."""
        found: object = json.loads(self.ask("/token/introspection", {"token": token}))
        assert isinstance(found, dict)
        return found

    def signed(self, subject: str) -> str:
        """A token of an issuer that it trusts, such as a CI system."""
        claims: dict[str, object] = {"iss": "job", "sub": subject, "aud": self.issuer, "exp": 4_000_000_000}
        return jwt.encode(claims, self.key.read_bytes(), "RS256", {"kid": KEY_ID})

    def ask(self, path: str, form: Mapping[str, str] | None = None) -> bytes:
        """Ask it as the client ``robot``; anything but 200 fails."""
        connection = http.client.HTTPConnection(urlsplit(self.issuer).netloc, timeout=10)
        headers = {"Authorization": basic("robot", ROBOT.replace(" ", "+"))}
        if form is None:
            connection.request("GET", path, headers=headers)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request("POST", path, urlencode(form), headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, (answer.status, body)
        return body


def modules(package: str = "oidc-provider") -> Path:
    """Where the packages of npm are; without this one a test skips on a person's machine and fails in CI."""
    if (MODULES / package).exists():
        return MODULES
    reason = f"{package} is missing: install with tools/install-counterparts"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
