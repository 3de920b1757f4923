"""Amazon's hosts in a real daemon without a line of configuration: what its own tools left is enough."""

import base64
import json
from collections.abc import Iterator

import pytest

from tests.e2e.stage import Stage
from tests.worker.amazon import END, Amazon


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PACKAGES = "https://corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com"
OBJECT = "https://bucket.s3.eu-west-1.amazonaws.com/toolchains/llvm.tar.zst"
UNTIL = 4_070_908_800  # END


@pytest.fixture
def amazon() -> Iterator[Amazon]:
    """ECR and CodeArtifact."""
    with Amazon() as running:
        password = base64.b64encode(b"AWS:canary-ecr").decode()
        data = {"authorizationData": [{"authorizationToken": password, "expiresAt": UNTIL}]}
        running.replies["/"] = (200, json.dumps(data))
        packages = {"authorizationToken": "canary-packages", "expiration": UNTIL}
        running.replies["/v1/authorization-token"] = (200, json.dumps(packages))
        yield running


def test_one_key_opens_objects_registries_and_packages(staged: Stage, amazon: Amazon) -> None:
    """Each by its own means, with one look at the key, which nobody is shown; ``explain`` says where it came from."""
    folder = staged.home / ".aws"
    folder.mkdir()
    keys = {"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "canary-secret", "Expiration": END}
    (folder / "keys").write_text(json.dumps(keys))
    (folder / "printer").write_text(f"#!/bin/sh\necho x >> {folder}/looks\ncat {folder}/keys\n")
    (folder / "printer").chmod(0o700)
    (folder / "config").write_text(f"[default]\ncredential_process = {folder}/printer\n")
    staged.start(AWS_ENDPOINT_URL_ECR=amazon.url, AWS_ENDPOINT_URL_CODEARTIFACT=amazon.url)
    basic = base64.b64encode(b"AWS:canary-ecr").decode()
    assert staged.headers(REGISTRY) == {"Authorization": [f"Basic {basic}"]}
    assert "/eu-west-1/ecr/aws4_request" in amazon.headers["Authorization"]
    assert staged.headers(f"{PACKAGES}/npm/r/x/-/x-1.tgz") == {"Authorization": ["Bearer canary-packages"]}
    assert staged.headers(f"{PACKAGES}/pypi/r/simple/x/")["Authorization"][0].startswith("Basic ")
    assert staged.headers(OBJECT)["Authorization"][0].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert staged.headers(f"{OBJECT}?X-Amz-Signature=0") == {}
    assert len(amazon.asked) == 2
    assert (folder / "looks").read_text() == "x\n"
    said = staged.credproxy("explain", OBJECT).stdout
    assert "aws:profile default" in said
    assert staged.stop() == 0
    for secret in ("canary-secret", "canary-ecr", "canary-packages"):
        assert secret not in staged.log() + said
