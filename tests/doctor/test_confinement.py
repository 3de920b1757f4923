"""What doctor says about the processes that talk to build actions."""

import pytest

from credproxy.doctor.confinement import check
from credproxy.doctor.finding import Severity


@pytest.mark.parametrize(
    ("landlock", "filtered", "said"),
    [
        (7, True, ["Landlock 7"]),
        (0, True, ["no Landlock"]),
        (1, False, ["no filter of system calls"]),
        (0, False, ["no Landlock", "no filter of system calls"]),
    ],
)
def test_what_a_carrier_is_not_kept_from_is_a_warning_with_a_remedy(
    landlock: int,
    filtered: bool,  # noqa: FBT001  parametrized
    said: list[str],
) -> None:
    """If the kernel confines everything, that is reported, too."""
    found = [*check(landlock, filtered=filtered)]
    assert all(part in finding.message for part, finding in zip(said, found, strict=True))
    whole = bool(landlock and filtered)
    assert {finding.severity for finding in found} == {Severity.OK if whole else Severity.WARNING}
    assert all(bool(finding.remedy) is not whole for finding in found)


def test_a_carrier_that_says_it_can_open_files_is_a_warning_though_the_kernel_could_forbid_it() -> None:
    """Doctor runs outside of the filter of the daemon's system calls; a carrier's own report counts."""
    (found,) = check(7, filtered=True, unbound=2)
    assert (found.severity, found.message[:26]) == (Severity.WARNING, "2 of them can open files, ")
    assert found.remedy.startswith("credproxy install")
