"""Why Amazon does not take a signature, as far as its answer tells."""

from typing import Final

from credproxy.core.errors import Code, Failed, failed


_SIGNED_WRONGLY: Final = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException"})
_SKEW: Final = 240.0
"""Seconds between the two clocks that are enough for it: most of Amazon's services allow five minutes."""


def not_taken(code: str, whose: str, *, ahead: float | None, by: str = "Amazon", option: str = "") -> Failed:
    """Give the error, with what helps.

    Args:
        code: of Amazon's error.
        whose: signature, for people.
        ahead: seconds by which this machine's clock is ahead, see ``clock_ahead``; None if that is unknown.
        by: the service that says so, for people.
        option: of Amazon's command line that names the profile, with a space before it.
    """
    refused = f"{by} takes no signature of {whose}"
    if ahead is not None and abs(ahead) > _SKEW:
        off = f"{abs(ahead) / 60:.0f} minutes {'ahead' if ahead > 0 else 'behind'}"
        message = f"{refused}: this machine's clock is {off} ({code})"
        return failed(Code.BAD_CREDENTIALS, message, hint="set the clock: timedatectl set-ntp true")
    if ahead is not None and code in _SIGNED_WRONGLY:
        message = f"{refused}: its secret is wrong ({code})"
        return failed(Code.BAD_CREDENTIALS, message, hint=f"store the right one: aws configure{option}")
    message = f"{refused}: its secret is wrong, or this machine's clock is ({code})"
    return failed(Code.BAD_CREDENTIALS, message, hint=f"timedatectl, then aws sts get-caller-identity{option}")
