"""Whether a build action may be given a credential that opens more than the URL that it asks about."""

from shlex import quote

from credproxy.core.ask.target import Object, Question
from credproxy.core.errors import FETCH, Code, failed
from credproxy.core.kinds.base import HostBase


def opening(rule: HostBase, question: Question) -> str:
    """Give the pattern of all that a narrow credential for a question opens; "" if it cannot be narrowed.

    It is the widest that the rules for build actions allow all of, else the narrowest that there is.
    """
    offered = [opened[0] for opened in rule.openings(question.target)]
    granted = {one.url for one in question.grants or () if isinstance(one, Object)}
    return next((one for one in offered if one in granted), offered[-1] if offered else "")


def check_opened(rule: HostBase, question: Question, *, calls: str) -> bool:
    """Tell whether a credential can be made so narrow that the rules for build actions allow all that it opens.

    Args:
        rule: of the host; it knows what the narrowest credential for a target opens.
        question: of a build action.
        calls: what the rule calls its credential, in messages.

    Raises:
        Failed(use_gateway): it can be made narrow, but the rules for build actions do not go so far.
    """
    opened = opening(rule, question)
    if not opened or question.grants is None:
        return False
    if any(isinstance(granted, Object) and granted.url == opened for granted in question.grants):
        return True
    raise failed(
        Code.USE_GATEWAY,
        f"the {calls} for {question.target.authority!r} opens all of {opened!r}, "
        "and no rule allows build actions that much",
        hint=f"{FETCH}; or let build actions have all of it: credproxy actions allow {quote(opened)}",
    )
