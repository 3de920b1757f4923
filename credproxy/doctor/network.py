"""Checks whether registries can be reached, and whether logins may be sent to their token servers. Opt-in."""

from collections.abc import Iterator, Mapping

from credproxy.core.errors import Failure
from credproxy.doctor.finding import Finding, Topic


topic = Topic("network")


def check(answers: Mapping[str, str | Failure], left_out: int) -> Iterator[Finding]:
    """Report the answers.

    Args:
        answers: by registry: what it asks for, or why that is unknown.
        left_out: registries beyond the limit, which were not asked.
    """
    for registry, answer in answers.items():
        if isinstance(answer, Failure):
            yield topic.error(f"{answer.message} ({answer.code.value})", answer.hint)
        else:
            yield topic.ok(f"registry {registry!r} answers and asks for {answer}")
    if left_out:
        yield topic.note(f"{left_out} more registries were not asked")
