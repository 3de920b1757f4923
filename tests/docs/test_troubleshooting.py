"""docs/troubleshooting.md: every code of the closed list has a remedy."""

import re
from pathlib import Path

import pytest

from credproxy.core.errors import Code


PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
REMEDIES = dict(re.findall(r"^\| `(\w+)` \| .+? \| (.+?) \|$", PAGE.partition("## The codes")[2], re.MULTILINE))


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_remedy(code: Code) -> None:
    """A user who sees the code in brackets finds out what to do."""
    assert len(REMEDIES[code.value]) > 10


def test_only_existing_codes_are_explained() -> None:
    """A renamed code must not stay behind."""
    assert set(REMEDIES) == {code.value for code in Code}
