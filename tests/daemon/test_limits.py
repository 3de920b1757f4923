"""How descriptors are shared: enough for callers, and never all of them."""

from importlib.resources import files

import pytest

from credproxy.daemon.limits import share


@pytest.mark.parametrize("descriptors", [128, 256, 1024, 4096, 16384, 20_000, 65_536])
def test_what_is_shared_out_fits(descriptors: int) -> None:
    """PY10: A turn of the loop may accept a whole backlog beyond the limit, and the daemon itself needs some."""
    limits = share(descriptors)
    spare = min(40, descriptors // 4)
    assert limits.helpers + limits.lifelines + limits.actions + limits.backlog + spare <= descriptors
    assert limits.helpers >= 16
    assert 0 < limits.lifelines < limits.helpers
    assert limits.actions <= descriptors // 4


def test_ten_thousand_helpers_at_once_have_a_place() -> None:
    """P9: With the hard limit of an ordinary machine, with a modest one, and with what our unit asks for."""
    unit = (files("credproxy") / "units" / "user" / "credproxy.service").read_text()
    asked = next(line.partition("=")[2] for line in unit.splitlines() if line.startswith("LimitNOFILE="))
    for descriptors in (65_536, 20_000, int(asked)):
        assert share(descriptors).helpers > 10_000, descriptors
