"""What the pure part of one question costs, and that the cost of hostile input only grows with its length.

Source: T-105. Run: ``python bench/core.py``.
"""

import timeit
from collections.abc import Callable
from functools import partial

from credproxy.core.ask.credential import Handout, Secret
from credproxy.core.ask.endpoint import classify
from credproxy.core.ask.message import decode_request, encode_answer
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed
from credproxy.core.kinds.none import NoneHost
from credproxy.core.policy.routing import Router


URI = "https://index.docker.io/v2/library/ubuntu/blobs/sha256:" + "a" * 64
BODY = b'{"uri":"' + URI.encode() + b'"}'
ROUTER = Router([NoneHost(match=match) for match in ("ghcr.io", "*.corp.example", "docker.io", "quay.io", "*")])
HANDOUT = Handout((("Authorization", (Secret("Bearer " + "x" * 1500),)),), 1_767_225_600)

HOSTILE: dict[str, Callable[[int], str]] = {
    "one long name": lambda size: "https://r.test/v2/" + "a" * size,
    "many separators": lambda size: "https://r.test/v2/" + "a-" * (size // 2),
    "many uploads": lambda size: "https://r.test/v2/a/" + "blobs/uploads/" * (size // 14),
    "many labels": lambda size: "https://" + "a." * (size // 2),
    "many at signs": lambda size: "https://" + "@" * size,
    "many escapes": lambda size: "https://r.test/v2/" + "%2e" * (size // 3),
}


def microseconds(action: Callable[[], object], number: int) -> float:
    """The best of five rounds, per call."""
    return min(timeit.repeat(action, number=number, repeat=5)) / number * 1e6


def question() -> None:
    """Everything pure between the body of a request and that of its answer."""
    target = parse_uri(decode_request(BODY))
    ROUTER.match(target)
    classify(target.path, target.query)
    encode_answer(HANDOUT)


def judge(uri: str) -> None:
    """Validate and classify; a refusal counts as a result."""
    try:
        target = parse_uri(uri)
    except Failed:
        return
    classify(target.path, target.query)


def main() -> None:
    """Print both tables."""
    print(f"one question          {microseconds(question, 10_000):8.1f} us")
    for name, make in HOSTILE.items():
        costs = [microseconds(partial(judge, make(size)), 200) for size in (1000, 2000, 4000, 8000)]
        print(f"{name:20}", *(f"{cost:8.1f}" for cost in costs), "us for 1, 2, 4, 8 kB")


if __name__ == "__main__":
    main()
