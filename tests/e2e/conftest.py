"""Fixtures for tests that start the real daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.halves import Halves
from tests.e2e.stage import Stage, TokenRegistry, stage


@pytest.fixture
def staged(short_path: Path) -> Iterator[Stage]:
    """A home without a daemon yet."""
    with stage(short_path) as made:
        yield made


@pytest.fixture
def registry() -> Iterator[TokenRegistry]:
    """A registry with a token server."""
    made = TokenRegistry()
    yield made
    made.close()


@pytest.fixture
def halves() -> Iterator[Halves]:
    """A registry whose downloads pause in the middle."""
    made = Halves()
    yield made
    made.rest.set()
    made.close()
