"""A number and what is counted, for people."""


def counted(count: object, one: str, *, more: str = "") -> str:
    """Such as ``1 rule`` and ``2 rules``; ``more`` is an irregular plural."""
    return f"{count} {one if count == 1 else more or f'{one}s'}"
