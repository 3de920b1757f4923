"""What a build action is told about a failure: nothing about this machine (T19)."""

import pytest

from credproxy.core.ask.disclosure import outward
from credproxy.core.errors import Code, Failure


INSIDE = "the file '/home/canary/secret' of env:CANARY"


@pytest.mark.parametrize("code", list(Code))
def test_what_is_marked_as_inside_never_leaves(code: Code) -> None:
    """T19: For any code, the message is replaced; code, status and time to wait stay."""
    failure = Failure(code, INSIDE, "docker login ghcr.io", 3.0, inside=True)
    shown = outward(failure)
    assert "canary" not in shown.message.lower()
    assert (shown.code, shown.status, shown.retry_after) == (failure.code, failure.status, 3.0)
    assert shown.message
    assert shown.hint


@pytest.mark.parametrize(
    "code", [Code.CONFIG_INVALID, Code.CREDENTIAL_UNREADABLE, Code.HELPER_FAILED, Code.HELPER_NOT_RUNNABLE]
)
def test_files_and_programs_are_named_to_their_user_alone(code: Code) -> None:
    """T19: These need not be marked; their hints are commands with paths, and are dropped as well."""
    shown = outward(Failure(code, INSIDE, "ls -l /home/canary"))
    assert "canary" not in f"{shown.message} {shown.hint}".lower()


def test_everything_else_is_reported_as_it_is() -> None:
    """T19: A refusal contains its own remedy."""
    failure = Failure(Code.POLICY_DENIED, "no rule allows it", "credproxy actions allow 'ghcr.io/a'")
    assert outward(failure) is failure
