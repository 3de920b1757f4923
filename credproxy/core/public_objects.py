"""What users who never wrote a rule are told when a login that was left on the machine fails: perhaps none is needed.

Nothing is tried without it. Whether an object is public, only its host could say, for each object anew: a bucket has both kinds, and a
private object would be "not found" or 403 without the next command (P-12). Bazel goes on without a credential, and prints the failure as
a warning: what is public is fetched all the same.
"""

from dataclasses import replace

from credproxy.core.errors import Failed


def or_public(error: Failed, match: str) -> Failed:
    """The failure with both ways out.

    Args:
        error: of the login.
        match: what a rule for public objects would match; "" if somebody wrote the rule, or if there are none.
    """
    if not match:
        return error
    way = f'for what is public, write [[host]] match = "{match}" provider = "none"'
    return Failed(replace(error.failure, hint=f"{error.failure.hint}; {way}"))
