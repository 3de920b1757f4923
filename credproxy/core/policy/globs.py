"""Patterns for repository names: ``*`` within a segment, a segment ``**`` any number of them, ``?`` one character.

``org/**`` matches ``org`` as well: ``**`` may stand for no segment at all. Within a segment two stars are the same as one.
Source: rules_img ``img_tool/pkg/serve/gateway/policy.go``, so that its policies have the same meaning here.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache


_WILD = re.compile(r"[*?]")


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name matches.

    One backtrack point for segments and one within a segment, so that the cost stays within pattern x name, whatever
    is asked (PY25).
    """
    return _matches(pattern.split("/"), name.split("/"), "**", _segment)


def includes(wider: str, narrower: str) -> bool:
    """Whether ``wider`` matches every name that ``narrower`` matches. If that is hard to tell, False."""
    # Names that begin differently: most pairs of rules, of which there may be a hundred thousand.
    one, other = (_WILD.split(pattern, maxsplit=1)[0] for pattern in (wider, narrower))
    length = min(len(one.rstrip("/")), len(other))  # ``org/**`` matches ``org`` as well
    if one[:length] != other[:length]:
        return False
    return _includes(tuple(wider.split("/")), tuple(narrower.split("/")), "**", _segment_includes)


def most_specific(patterns: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...] | None:
    """The value of the matching pattern with the most literal characters; None if none matches."""
    fitting = [pattern for pattern in patterns if matches(pattern, name)]
    if not fitting:
        return None
    return patterns[max(fitting, key=lambda pattern: (len(pattern.replace("*", "").replace("?", "")), pattern))]


def _segment(pattern: str, segment: str) -> bool:
    return _matches(pattern, segment, "*", lambda wanted, character: wanted in {"?", character})


def _segment_includes(wider: str, narrower: str) -> bool:
    return narrower != "**" and _includes(
        tuple(wider), tuple(narrower), "*", lambda one, other: one == other or (one == "?" and other != "*")
    )


def _includes(wider: tuple[str, ...], narrower: tuple[str, ...], star: str, same: Callable[[str, str], bool]) -> bool:
    """The same item by item, where the items of the name are themselves patterns: only a star includes another star."""

    @cache  # so that many stars cost no more than pattern x pattern
    def from_here(at: int, position: int) -> bool:
        if at == len(wider):
            return position == len(narrower)
        if wider[at] == star:
            return from_here(at + 1, position) or (position < len(narrower) and from_here(at, position + 1))
        if position == len(narrower) or narrower[position] == star:
            return False
        return same(wider[at], narrower[position]) and from_here(at + 1, position + 1)

    return from_here(0, 0)


def _matches(pattern: Sequence[str], name: Sequence[str], star: str, same: Callable[[str, str], bool]) -> bool:
    """Match item by item; after a mismatch the last ``star`` takes one item more."""
    at = position = 0
    resume: tuple[int, int] | None = None
    while position < len(name):
        if at < len(pattern) and pattern[at] == star:
            at += 1
            resume = (at, position)
        elif at < len(pattern) and same(pattern[at], name[position]):
            at, position = at + 1, position + 1
        elif resume is not None:
            at, position = resume[0], resume[1] + 1
            resume = (at, position)
        else:
            return False
    return all(left == star for left in pattern[at:])
