"""A URL for each built-in rule, for which that rule answers."""

import pytest

from credproxy.core.config.settings import Settings
from credproxy.core.kinds import BUILTIN, HostRule
from credproxy.core.policy.samples import sample


@pytest.mark.parametrize("rule", BUILTIN, ids=lambda rule: f"{rule.tag()} {rule.match}")
def test_a_built_in_rule_answers_for_its_sample(rule: HostRule) -> None:
    """Otherwise a login for it would not be seen: a new built-in rule needs one that it claims."""
    target = sample(rule)
    assert Settings().router().match(target) == rule
    assert rule.withheld(target) == ""
