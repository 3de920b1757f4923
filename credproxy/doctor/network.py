"""Whether registries can be reached, and whether their token server is one that logins may be sent to. Opt-in."""

from collections.abc import Iterator, Mapping

from credproxy.core.errors import Failure
from credproxy.doctor.finding import Finding, Topic


topic = Topic("network")


def check(answers: Mapping[str, str | Failure], left_out: int) -> Iterator[Finding]:
    """Report.

    Args:
        answers: by registry: what it asks for, or why nobody knows.
        left_out: registries that were too many to ask.
    """
    for registry, answer in answers.items():
        if isinstance(answer, Failure):
            yield topic.error(f"{answer.message} ({answer.code.value})", answer.hint)
        else:
            yield topic.ok(f"registry {registry!r} answers and asks for {answer}")
    if left_out:
        yield topic.note(f"{left_out} more registries were not asked")
