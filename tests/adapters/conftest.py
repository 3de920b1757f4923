"""What several tests of adapters need."""

from pathlib import Path

import pytest

from tests.adapters.test_pump import Trusted


@pytest.fixture
def trusted(tmp_path: Path) -> Trusted:
    """A private CA."""
    return Trusted(tmp_path / "ca.pem")
