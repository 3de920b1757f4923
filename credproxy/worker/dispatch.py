"""Which function answers which question. Libraries are imported with the first question for them."""

import math
import re
import time
from typing import Final

from credproxy.core.ask.worker_messages import (
    AwsChain,
    AzureToken,
    GoogleToken,
    LibraryAnswer,
    LibraryQuestion,
    LibraryToken,
)
from credproxy.core.errors import Code, failed


_EARLY: Final = 1.0
"""Seconds by which it is given up here before the daemon takes a library that waits for one that hangs."""

_SECRET: Final = re.compile(r"[!-~]{1,65536}")
"""What a header can carry. Libraries pass on what a server or a program has said, of whatever type."""


def answer(question: LibraryQuestion, limit: float) -> LibraryAnswer:
    """Answer a question; blocks.

    Args:
        question: of the daemon.
        limit: seconds for all of it.

    Raises:
        Failed: in our words; whatever else is raised is a bug of ours, or of a library.
    """
    end = time.monotonic() + max(limit - _EARLY, limit / 2)  # noqa: TID251  a suspended machine waits for nobody
    return _checked(_asked(question, end), question)


def _asked(question: LibraryQuestion, end: float) -> LibraryAnswer:
    match question:
        case GoogleToken():
            from credproxy.worker.google import google_token  # noqa: PLC0415  a library that nobody asks costs nothing

            return google_token(question, _left(end))
        case AwsChain():
            from credproxy.worker.aws import aws_access  # noqa: PLC0415  likewise

            return aws_access(question, _left(end))
        case AzureToken():
            from credproxy.worker.azure import azure_token  # noqa: PLC0415  as above

            return azure_token(question, _left(end))


def _left(end: float) -> float:
    """Seconds that are left once the library is there: to import it takes a part of them."""
    return max(0.1, end - time.monotonic())  # noqa: TID251  as above


def _checked(found: LibraryAnswer, question: LibraryQuestion) -> LibraryAnswer:
    """Let an answer pass that the daemon understands, and that can be sent. Raises Failed(bad_token)."""
    if isinstance(found, LibraryToken):
        secrets, plain = [found.token], [found.account, found.project]
    else:
        secrets = [found.key_id, found.secret, *filter(None, [found.session_token])] if found.key_id else []
        plain = []
    if all(map(_is_secret, secrets)) and all(map(_is_plain, plain)) and _is_time(found.until):
        return found
    message = f"{question.library} was given something that is not a token, or of which it cannot be told when it ends"
    raise failed(Code.BAD_TOKEN, message, hint=f"see what is given by hand: {question.by_hand}")


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and _SECRET.fullmatch(value) is not None


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_time(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value))
