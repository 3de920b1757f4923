"""SeaweedFS as a process: an S3 that checks every signature, on free ports of the loopback, with one bucket and one key."""

import http.client
import json
import os
import signal
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from typing import Self

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.real.ports import free_port


KEY_ID = "AKIDOFTHETESTS"
SECRET = "canary-secret-of-the-tests"
BUCKET = "bucket"
REGION = "us-east-1"

_PORTS = ("filer.port", "filer.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
          "admin.port", "admin.port.grpc", "s3.port.grpc")  # a table  # fmt: skip


ISSUER = "https://ci.test"
AUDIENCE = "sts.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/build"


def _iam(jwks: str) -> dict[str, object]:
    """A role that may read the bucket, for one job of one provider; names as this server has them."""
    reading = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{BUCKET}/*"]}
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": "ci"},
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {"StringEquals": {"oidc:sub": "job"}},
    }
    config = {"issuer": ISSUER, "clientId": AUDIENCE, "jwksUri": jwks}
    return {
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "seaweedfs-sts",
            "signingKey": b64encode(b"canary-signing-key-of-the-tests!").decode(),
            "providers": [{"name": "ci", "type": "oidc", "enabled": True, "config": config}],
        },
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "policies": [{"name": "read", "document": {"Version": "2012-10-17", "Statement": [reading]}}],
        "roles": [
            {
                "roleName": "build",
                "roleArn": ROLE,
                "trustPolicy": {"Version": "2012-10-17", "Statement": [trust]},
                "attachedPolicies": ["read"],
            }
        ],
    }


class Weed:
    """A running server; ``host`` is its authority.

    Args:
        program: that is started.
        folder: of its own, which is made.
        jwks: where an identity provider has its keys, by whose tokens for AUDIENCE the role ROLE may be assumed; "" for none.
    """

    def __init__(self, program: Path, folder: Path, *, jwks: str = "") -> None:
        folder.mkdir()
        (folder / "data").mkdir()
        keys = [{"accessKey": KEY_ID, "secretKey": SECRET}]
        identity = {"name": "ci", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        self._log = folder / "log"
        options: dict[str, object] = {
            "dir": folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.port": port,
            "s3.config": folder / "s3.json",
            "admin.ui": "false",
            "webdav": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            **{name: free_port() for name in _PORTS},
        }
        if jwks:
            (folder / "iam.json").write_text(json.dumps(_iam(jwks)))
            options["s3.iam.config"] = folder / "iam.json"
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [program, "mini", *(f"-{name}={value}" for name, value in options.items())],
                env={"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder)},
                cwd=folder,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # nothing of it is kept
        self._process.wait(10)

    def put(self, name: str, content: bytes) -> None:
        """Store an object under a name that is encoded already, as an SDK does."""
        assert self.send("PUT", f"/{BUCKET}/{name}", content) == 200

    def send(
        self, method: str, path: str, body: bytes = b"", *, secret: str | None = SECRET, signed_as: str = ""
    ) -> int:
        """Send one request; give the status.

        Args:
            method: of the request.
            path: encoded, with its query.
            body: that is sent.
            secret: to sign with; None for no signature.
            signed_as: another method to sign for.
        """
        request = AWSRequest(method=signed_as or method, url=f"{self.url}{path}", data=body)
        if secret is not None:
            S3SigV4Auth(Credentials(KEY_ID, secret), "s3", REGION).add_auth(request)
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            connection.request(method, path, body, dict(request.headers.items()))
            return connection.getresponse().status
        finally:
            connection.close()

    def _wait(self) -> None:
        deadline = time.perf_counter() + 30
        while not self._ready():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                message = f"SeaweedFS did not start:\n{self._log.read_text()[-3000:]}"
                raise AssertionError(message)
            time.sleep(0.1)

    def _ready(self) -> bool:
        """Whether it takes a bucket and an object: its parts start one after the other."""
        try:
            return self.send("PUT", f"/{BUCKET}") in {200, 409} and self.send("PUT", f"/{BUCKET}/ready", b"1") == 200
        except OSError:
            return False
