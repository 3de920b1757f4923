"""What tests of the front share."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.server.listener import Bound, bind


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Bound]:
    """A listening socket."""
    with contextlib.closing(bind(str(tmp_path / "run" / "s"), backlog=64)) as made:
        yield made
