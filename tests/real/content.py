"""Small valid images, and how to push one with plain HTTP."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from dataclasses import dataclass

from tests.real.wire import MANIFEST_TYPE, Wire


CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Image:
    """An image of one layer, in the bytes that a registry stores."""

    manifest: bytes
    config: bytes
    layer: bytes


def digest(data: bytes) -> str:
    """The content's name in a registry: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image(layer_size: int = 1_000) -> Image:
    """Make an image whose layer holds `layer_size` incompressible bytes, the same for the same size."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("content")
        member.size = layer_size
        archive.addfile(member, io.BytesIO(random.Random(layer_size).randbytes(layer_size)))
    layer = gzip.compress(packed.getvalue(), mtime=0)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(packed.getvalue())]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": [_descriptor(LAYER_TYPE, layer)],
        }
    )
    return Image(manifest, config, layer)


def push(wire: Wire, repository_url: str, tag: str, what: Image, authorization: str) -> None:
    """Upload an image to `repository_url`, such as `https://localhost:5000/v2/team/app`."""
    for blob in (what.config, what.layer):
        _upload(wire, repository_url, blob, authorization)
    headers = {"Authorization": authorization, "Content-Type": MANIFEST_TYPE}
    reply = wire.ask(f"{repository_url}/manifests/{tag}", method="PUT", headers=headers, body=what.manifest)
    assert reply.status == 201, reply


def _upload(wire: Wire, repository_url: str, blob: bytes, authorization: str) -> None:
    """Send one blob in a single piece: POST for a place, then PUT."""
    started = wire.ask(f"{repository_url}/blobs/uploads/", method="POST", headers={"Authorization": authorization})
    assert started.status == 202, started
    place = started.headers["Location"]
    headers = {"Authorization": authorization, "Content-Type": "application/octet-stream"}
    url = f"{place}{'&' if '?' in place else '?'}digest={digest(blob)}"
    reply = wire.ask(url, method="PUT", headers=headers, body=blob)
    assert reply.status == 201, reply


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
