"""A CI job's identity token becomes a role of Amazon's, at an STS that verifies it, and the role's key signs for a store that does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.e2e.stage import Stage, stage
from tests.real.clients import find
from tests.real.test_s3 import curl
from tests.real.weed import AUDIENCE, BUCKET, ISSUER, ROLE, SECRET, Weed


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signed(key: rsa.RSAPrivateKey = KEY, **claims: object) -> str:
    """An identity token of a job."""
    said = {"iss": ISSUER, "sub": "job", "aud": AUDIENCE, "iat": 1_700_000_000, "exp": 4_000_000_000} | claims
    return jwt.encode(said, key, "RS256", {"kid": "one"})


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """The store and its STS, which asks the identity provider for its keys."""
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    keys = json.dumps({"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}).encode()

    class Keys(BaseHTTPRequestHandler):
        """Gives the provider's keys."""

        def do_GET(self) -> None:
            """Answer."""
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(keys)))
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    provider = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=provider.serve_forever, args=(0.05,), daemon=True).start()
    jwks = f"http://127.0.0.1:{provider.server_port}/jwks"
    with provider, Weed(find("weed"), tmp_path_factory.mktemp("weed") / "weed", jwks=jwks) as running:
        running.put("plain", b"plain")
        yield running
        provider.shutdown()


@pytest.fixture
def job(short_path: Path, weed: Weed) -> Iterator[Stage]:
    """The daemon of a job, which has no key."""
    with stage(short_path) as made:
        made.configure(f'[[host]]\nmatch = "{weed.host}"\nprovider = "s3"\n')
        token = made.home / "token"
        token.write_text(signed())
        made.start(AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN=ROLE, AWS_ENDPOINT_URL_STS=weed.url)
        yield made
        assert made.stop() == 0
        for secret in (token.read_text(), SECRET):
            assert secret not in made.log()


def test_the_token_of_a_job_becomes_a_key_that_reads_what_the_role_may(weed: Weed, job: Stage) -> None:
    """The session token is part of what is signed."""
    url = f"{weed.url}/{BUCKET}/plain"
    headers = job.headers(url)
    assert "X-Amz-Security-Token" in headers
    assert curl(url, headers) == (200, b"plain")
    assert curl(url, {name: values for name, values in headers.items() if name != "X-Amz-Security-Token"})[0] == 403


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (signed(aud="other"), "; it is for 'other', from the issuer 'https://ci.test'"),
        (signed(OTHER), "is not to be had with the identity token in "),
        (signed(sub="another-job"), ", of the subject 'another-job'"),
        (signed(exp=1_700_000_600), "; it ended "),
    ],
    ids=["audience", "signature", "subject", "ended"],
)
def test_a_token_that_the_role_does_not_take_is_told(weed: Weed, job: Stage, token: str, said: str) -> None:
    """With what it says of itself: that is what the role's trust policy is to be compared with."""
    (job.home / "token").write_text(token)
    done = job.helper(f"{weed.url}/{BUCKET}/plain")
    assert done.returncode == 1
    assert said in done.stderr
    assert token not in done.stderr
