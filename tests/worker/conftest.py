"""What the tests of the worker's modules need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.test_pump import Trusted
from tests.worker.token_server import TokenServer


@pytest.fixture
def trusted(tmp_path: Path) -> Trusted:
    """A private CA."""
    return Trusted(tmp_path / "ca.pem")


@pytest.fixture
def server() -> Iterator[TokenServer]:
    """Google's token servers."""
    with TokenServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_metadata_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine's variable name no host of these tests, of which errors would say that it is a metadata server."""
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.2:1")
