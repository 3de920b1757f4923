"""docs/lazy-layers.md: its lines are those that the commands print, its recipes work, its policies load."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from credproxy.core.config.policy_file import load_policy
from tests.cli.test_commands import configure, home, run
from tests.scripted_gateway import ScriptedGateway, response


__all__ = ["home"]  # the fixture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "lazy-layers.md").read_text()
LAYER = b"a layer"
DIGEST = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"


def recipe(name: str) -> str:
    """A recipe of the page."""
    (found,) = re.findall(rf"```bash {name}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_flags_are_what_bazelrc_prints(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the machine of the page: one path for all, and a Google registry."""
    monkeypatch.setenv("CREDPROXY_ACTIONS_SOCKET", "/run/credproxy-actions/actions.sock")
    configure(
        home,
        '[[actions.rule]]\naction = "allow"\nregistry = "europe-docker.pkg.dev"\nrepository = "**"\n'
        'operations = ["blob:read"]\n',
    )
    printed = [line.removeprefix("# ") for line in run("bazelrc", "--actions").stdout.splitlines()]
    shown = re.findall(r"^build .*", PAGE, re.MULTILINE)
    assert len(shown) == 3
    assert not [line for line in shown if line not in printed]
    assert "--sandbox_add_mount_pair=/run/credproxy-actions" in PAGE
    assert "build --sandbox_add_mount_pair=/run/credproxy-actions" in printed


def test_the_gateway_recipe_downloads_and_verifies(tmp_path: Path) -> None:
    """Only with curl and sha256sum, only through a socket."""
    with ScriptedGateway(tmp_path / "s.sock", lambda _, __: response(200, LAYER)) as gateway:
        environ = {
            "PATH": "/usr/bin:/bin",
            "SOCKET": str(gateway.path),
            "REGISTRY": "ghcr.io",
            "REPOSITORY": "my-org/app",
            "DIGEST": DIGEST,
            "OUT": str(tmp_path / "out"),
        }

        def download() -> int:
            return subprocess.run(["sh", "-ec", recipe("gateway")], env=environ, check=False, timeout=20).returncode

        assert download() == 0
        assert (tmp_path / "out").read_bytes() == LAYER
        assert gateway.heard[0].startswith(f"GET /v2/my-org/app/blobs/{DIGEST} HTTP/1.1\r\nHost: ghcr.io\r\n".encode())
        assert b"\r\nX-Rules_img-Original-Host: ghcr.io\r\n" in gateway.heard[0]
        gateway.answer = lambda _, __: response(200, b"another layer")
        assert download() != 0
        gateway.answer = lambda _, __: response(403, json.dumps({"errors": [{"code": "DENIED"}]}).encode())
        assert download() != 0


def test_policies_on_the_pages_load() -> None:
    """Copied examples have to work."""
    pages = "".join(page.read_text() for page in sorted((ROOT / "docs").rglob("*.md")))
    policies = re.findall(r"```yaml\n(version:.*?)```", pages, re.DOTALL)
    assert policies
    for text in policies:
        assert load_policy(text.encode(), "policy.yaml").rules
