"""A stand-in for a GitHub Enterprise Server on the loopback, because GitHub itself cannot be used: an App, its installation, releases.

It verifies what GitHub verifies, with a different library from the one that the product signs with, and answers with
GitHub's messages. Source: docs.github.com/rest/apps/apps, docs.github.com/rest/releases; the texts of its refusals from
threads of users: octokit/auth-app.js issue 698, Link-/gh-token issue 17, octokit.rb pull 1307, PyGithub pull 3539,
tibdex/github-app-token issue 105.
"""

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


APP = "4711"
INSTALLATION = 77
OWNER = "octo"
CANARY = "ghs_canary"
LONGEST = 600.0

Answer = tuple[int, object, dict[str, str]]


def new_key() -> rsa.RSAPrivateKey:
    """Of the size that GitHub's are."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    """As GitHub gives it to download."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


@dataclass
class Token:
    """An issued token."""

    repositories: frozenset[str]
    permissions: dict[str, str]


@dataclass
class GitHub:
    """Its state, and the requests to it.

    Attributes:
        key: of the App.
        ahead: seconds by which its clock is ahead of this machine's.
        repositories: of the installation.
        permissions: of the installation.
        suspended: the installation is.
        ignorant: it knows no ``repositories`` in a request, as an old server may not.
        requests: method and path of each, in order.
        issued: tokens, by their text.
        releases: files by name, by repository and tag; what their browser's URL gives is a page to log in.
        files: by path, such as ``/octo/hello/archive/v1.zip``; wanted with a token for the repository.
    """

    key: rsa.RSAPrivateKey
    ahead: float = 0.0
    repositories: frozenset[str] = frozenset({"hello", "world"})
    permissions: dict[str, str] = field(default_factory=lambda: {"contents": "read", "metadata": "read"})
    suspended: bool = False
    ignorant: bool = False
    requests: list[str] = field(default_factory=list)
    issued: dict[str, Token] = field(default_factory=dict)
    releases: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    authority: str = ""

    def now(self) -> float:
        """What its clock shows."""
        return time.time() + self.ahead  # noqa: TID251  the signer uses the real clock

    def answer(self, method: str, path: str, *, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request."""
        self.requests.append(f"{method} {path}")
        if "user-agent" not in headers:
            return (
                403,
                b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
                {},
            )
        api = path.removeprefix("/api/v3")
        if "/releases/" in path:
            return self._release(api, headers)
        if api == path:
            return self._file(path, headers)
        if re.fullmatch(r"/app/installations/\d+/access_tokens|/(orgs|users)/[^/]+/installation", api):
            return self._refused(headers) or self._as_app(method, api, body)
        return self._file(api.removeprefix("/repos"), headers)

    def _refused(self, headers: dict[str, str]) -> Answer | None:
        """Whether the JWT is one that GitHub would take."""
        text = headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(
                text, self.key.public_key(), ["RS256"], options={"verify_exp": False, "verify_iat": False}
            )
        except jwt.InvalidTokenError:
            return _said(401, "A JSON web token could not be decoded")
        if claims.get("iss") != APP:
            return _said(404, "Integration not found")
        if not isinstance(claims.get("iat"), int) or claims["iat"] > self.now():
            return _said(
                401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
            )
        if not isinstance(claims.get("exp"), int) or claims["exp"] <= self.now():
            return _said(
                401,
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            )
        if claims["exp"] - self.now() > LONGEST:
            return _said(401, "'Expiration time' claim ('exp') is too far in the future")
        return None

    def _as_app(self, method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            known = path == f"/users/{OWNER}/installation"
            return (200, {"id": INSTALLATION, "account": {"login": OWNER}}, {}) if known else _said(404, "Not Found")
        if path != f"/app/installations/{INSTALLATION}/access_tokens":
            return _said(404, "Not Found")
        if self.suspended:
            return _said(403, "This installation has been suspended")
        asked = json.loads(body or b"{}")
        names = frozenset(() if self.ignorant else asked.get("repositories", ()))
        if not names <= self.repositories:
            return _said(
                422,
                "There is at least one repository that does not exist or is not accessible to the parent installation.",
            )
        permissions = asked.get("permissions", self.permissions)
        if any(self.permissions.get(name) not in {level, "write"} for name, level in permissions.items()):
            return _said(422, "The permissions requested are not granted to this installation.")
        return self._issue(names, permissions)

    def _issue(self, names: frozenset[str], permissions: dict[str, str]) -> Answer:
        token = f"{CANARY}{len(self.issued)}"
        self.issued[token] = Token(names or self.repositories, permissions)
        end = datetime.fromtimestamp(int(self.now()) + 3600, UTC).isoformat().replace("+00:00", "Z")
        told: dict[str, object] = {
            "token": token,
            "expires_at": end,
            "permissions": {**permissions, "metadata": "read"},
            "repository_selection": "selected" if names else "all",
        }
        if names:
            told["repositories"] = [{"name": name, "full_name": f"{OWNER}/{name}"} for name in sorted(names)]
        return 201, told, {}

    def _release(self, path: str, headers: dict[str, str]) -> Answer:
        """A release's description, the next page of its assets, or one asset; only the second page of assets is short."""
        token = self.issued.get(headers.get("authorization", "").removeprefix("Bearer "))
        parts = path.partition("?")[0].split("/")
        if parts[1] != "repos":
            return 200, b"<html>log in", {}
        repository, _, what, *rest = parts[3:]
        if token is None or repository not in token.repositories:
            return _said(404, "Not Found")
        files = [
            (1000 * number + index, name, content)
            for number, ((owner, _), assets) in enumerate(self.releases.items())
            if owner == repository
            for index, (name, content) in enumerate(assets.items())
        ]
        if what == "assets":
            wanted = next(content for number, _, content in files if str(number) == rest[0])
            accepts = headers.get("accept") == "application/octet-stream"
            return (200, wanted, {}) if accepts else (200, {"id": int(rest[0])}, {})
        if what == "tags" and (repository, "/".join(rest)) not in self.releases:
            return _said(404, "Not Found")
        about = {"label": "x" * 2000}  # GitHub's descriptions have that size
        listed = [{"id": number, "name": name, **about} for number, name, _ in files]
        if what == "tags":
            return 200, {"id": 1, "assets": listed[:30]}, {}
        page = int(path.rpartition("page=")[2])
        return 200, listed[100 * (page - 1) : 100 * page], {}

    def _file(self, path: str, headers: dict[str, str]) -> Answer:
        """A file, for tokens that may see it: for all others it does not exist."""
        token = self.issued.get(headers.get("authorization", "").removeprefix("Bearer "))
        repository = path.split("/")[2]
        if token is None or repository not in token.repositories or path not in self.files:
            return _said(404, "Not Found")
        return 200, self.files[path], {}


def _said(status: int, message: str) -> Answer:
    return status, {"message": message, "documentation_url": "https://docs.github.com/rest"}, {}


def _handler(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            sent = self.rfile.read(int(headers.get("content-length", "0")))
            status, told, more = github.answer(self.command, self.path, headers=headers, body=sent)
            body = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  what the server looks for

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(github.now() if timestamp is None else timestamp)

        def log_message(self, *args: object) -> None:
            del args

    return Handler


@contextlib.contextmanager
def running(github: GitHub) -> Iterator[GitHub]:
    """Serve it; gives it its authority."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(github)) as server:
        github.authority = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield github
        server.shutdown()
        thread.join()


def stored(key: rsa.RSAPrivateKey, folder: Path) -> Path:
    """A key's file, as it should be."""
    path = folder / "app.pem"
    path.write_text(pem(key))
    path.chmod(0o600)
    return path
