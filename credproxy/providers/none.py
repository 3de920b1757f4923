"""``provider = "none"``: always ``{}``, whatever a wider rule says or logins exist."""

from credproxy.core.ask.target import Question, Target
from credproxy.ports.provider import Plan


class NoneProvider:
    """Has no credential. Source: ports.provider.Provider."""

    async def plan(self, question: Question) -> Plan | None:
        """No plan: the answer is ``{}``."""
        del question
        return None

    async def check(self, plan: Plan, target: Target) -> None:
        """It has no plan."""
        del plan, target

    def reasons(self, question: Question) -> tuple[str, ...]:
        """The rule says so."""
        del question
        return ('its rule says provider = "none": this host gets nothing, whatever login there is',)
