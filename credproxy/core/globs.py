"""Patterns for repository names: ``*`` within a segment, ``**`` across segments, ``?`` one character."""


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name matches.

    One backtrack point for each kind of star, so that the cost stays within pattern x name, whatever is asked (PY25).
    """
    at, position = 0, 0
    star: tuple[int, int] | None = None
    double: tuple[int, int] | None = None
    while position < len(name) or at < len(pattern):
        if pattern.startswith("**", at):
            at += 2
            double, star = (at, position), None
        elif pattern.startswith("*", at):
            at += 1
            star = (at, position)
        elif at < len(pattern) and position < len(name) and _same(pattern[at], name[position]):
            at, position = at + 1, position + 1
        elif star is not None and star[1] < len(name) and name[star[1]] != "/":
            at, position = star[0], star[1] + 1
            star = (at, position)
        elif double is not None and double[1] < len(name):
            at, position = double[0], double[1] + 1
            double, star = (at, position), None
        else:
            return False
    return True


def most_specific(patterns: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...] | None:
    """The value of the matching pattern with the most literal characters; None if none matches."""
    fitting = [pattern for pattern in patterns if matches(pattern, name)]
    if not fitting:
        return None
    return patterns[max(fitting, key=lambda pattern: (len(pattern.replace("*", "").replace("?", "")), pattern))]


def _same(wanted: str, character: str) -> bool:
    return wanted == character or (wanted == "?" and character != "/")
