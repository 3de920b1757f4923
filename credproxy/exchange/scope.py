"""Scopes in canonical form, so that equal requests share one token.

::

    scope    = type ":" name ":" actions        actions = action *( "," action )

The type ends at the first colon and the actions begin after the last, because a name may contain ``host:port``.

Source: TX-20 to TX-25; distribution docs/content/spec/auth/scope.md.
"""

from collections.abc import Callable, Iterable


_ORDER = {"pull": 0, "push": 1, "delete": 2}
_KNOWN = frozenset({"pull", "push", "*"})
_COLONS = 2


def canonical(scopes: Iterable[str]) -> tuple[str, ...]:
    """Split, merge by type and name, order; the first name stays first, the rest is sorted (TX-21).

    ``*`` absorbs the other actions; a scope without actions grants nothing and is dropped; anything that is not
    ``type:name:actions`` (``aws``) passes unchanged.
    """
    merged: dict[tuple[str, str], set[str]] = {}
    for scope in " ".join(scopes).split():
        kind, name, actions = split(scope)
        if name is None:
            merged.setdefault((scope, ""), set())
        elif wanted := {action for action in actions.split(",") if action}:
            merged.setdefault((kind, name), set()).update(wanted)
    written = [_write(kind, name, actions) for (kind, name), actions in merged.items()]
    return (*written[:1], *sorted(written[1:]))


def repository_scope(name: str, actions: Iterable[str]) -> str:
    """``repository:<name>:<actions>``."""
    return _write("repository", name, set(actions))


def without_push(scopes: Iterable[str]) -> tuple[str, ...]:
    """The same repositories with pull only: the second try if a token server refuses push (TX-10)."""
    return canonical(_with_actions(scope, lambda actions: actions & {"pull"} or {"pull"}) for scope in scopes)


def without_unknown(scopes: Iterable[str]) -> tuple[str, ...]:
    """Leave out actions that Quay's grammar does not have, such as ``delete`` (TX-10, TX-25)."""
    return canonical(_with_actions(scope, lambda actions: actions & _KNOWN) for scope in scopes)


def _with_actions(scope: str, change: Callable[[set[str]], set[str]]) -> str:
    kind, name, actions = split(scope)
    if name is None or not kind.startswith("repository"):
        return scope
    return _write(kind, name, change(set(actions.split(","))))


def split(scope: str) -> tuple[str, str | None, str]:
    """Type, name and actions; the name is empty if this is not ``type:name:actions``."""
    if scope.count(":") < _COLONS:
        return scope, None, ""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return kind, name, actions


def _write(kind: str, name: str, actions: set[str]) -> str:
    if not name and not actions:
        return kind
    if "*" in actions:
        actions = {"*"}
    ordered = sorted(actions, key=lambda action: (_ORDER.get(action, len(_ORDER)), action))
    return f"{kind}:{name}:{','.join(ordered)}"
