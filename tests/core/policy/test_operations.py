"""What a request does, in the words of the policy: rules_img's gateway classifies in the same way."""

import pytest

from credproxy.core.ask.endpoint import classify
from credproxy.core.policy.operations import needed


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", f"/v2/org/app/blobs/{DIGEST}", ("blob:read",)),
        ("HEAD", f"/v2/org/app/blobs/{DIGEST}", ("blob:read", "blob:write")),
        ("DELETE", f"/v2/org/app/blobs/{DIGEST}", ("blob:write",)),
        ("GET", "/v2/org/app/manifests/latest", ("manifest:read",)),
        ("HEAD", "/v2/org/app/manifests/latest", ("manifest:read", "manifest:write")),
        ("PUT", "/v2/org/app/manifests/latest", ("manifest:write",)),
        ("DELETE", f"/v2/org/app/manifests/{DIGEST}", ("manifest:write",)),
        ("GET", "/v2/org/app/tags/list", ("manifest:read",)),
        ("GET", f"/v2/org/app/referrers/{DIGEST}", ("manifest:read",)),
        ("HEAD", f"/v2/org/app/referrers/{DIGEST}", ("manifest:read",)),
        ("DELETE", "/v2/org/app/tags/list", ()),
        ("PUT", f"/v2/org/app/referrers/{DIGEST}", ()),
        ("POST", "/v2/org/app/blobs/uploads/", ("blob:write",)),
        ("PATCH", "/v2/org/app/blobs/uploads/1-2-3", ("blob:write",)),
        ("PUT", "/v2/org/app/blobs/uploads/1-2-3", ("blob:write",)),
        ("GET", "/v2/org/app/blobs/uploads/1-2-3", ("blob:write",)),
        ("DELETE", "/v2/org/app/blobs/uploads/1-2-3", ("blob:write",)),
        ("GET", f"/v2/blobs/manifests/{DIGEST}", ("manifest:read",)),
        ("GET", f"/v2/manifests/blobs/{DIGEST}", ("blob:read",)),
    ],
)
def test_a_method_and_a_path(method: str, path: str, wanted: tuple[str, ...]) -> None:
    """A HEAD is part of pulling and of pushing; each step of an upload writes."""
    assert needed(method, path, kind=classify(path).kind) == wanted
