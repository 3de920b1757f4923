"""Compares what a token says that it grants with what was requested: less, or more (TX-12).

A 200 does not mean access: a server grants the intersection with what the login may do, possibly nothing, which is not
an error; Docker Hub always issues a token. What is read here only affects messages, except that ``down_scope`` keeps a
token that grants more from a build action. The signature is not checked here: only the server needs to.

Source: distribution docs/content/spec/auth/jwt.md (``access``), RFC 6749, section 5.1 (``scope``).
"""

import json
from collections.abc import Iterable, Sequence

from credproxy.core.ask.jwt import claims
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.exchange.scope import canonical, split


_SHOWN = 200
"""Characters of scopes in a note: their names come from a server."""

Actions = dict[tuple[str, str], set[str]]


class UnknownAccessError(Exception):
    """A token has an ``access`` of an unknown form."""


def stated(token: str, scope: object) -> tuple[str, ...] | None:
    """The scopes that an answer says it grants, canonical; None if it does not say.

    Args:
        token: its ``access`` claim counts if it is a JWT.
        scope: the answer's member of that name, which counts otherwise.
    """
    try:
        claimed = access(claims(token).decode("utf-8", "replace"))
    except UnknownAccessError:
        return None
    if claimed is not None or not isinstance(scope, str):
        return claimed
    said = canonical([scope])
    # Some servers say "access" or "aws" here, in no form that could be compared.
    return said if not scope or any(split(part)[1] is not None for part in said) else None


def access(text: str) -> tuple[str, ...] | None:
    """The ``access`` of a JWT's claims as canonical scopes; None for claims without it, and for a token that is not a JWT.

    Names of members are read in any case, as Go reads them: ACR writes them with capitals.

    Raises:
        UnreadableError: it is there but cannot be read.
    """
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except UNREADABLE:
        return None
    lists = [value for name, value in found.items() if name.lower() == "access" and value is not None]
    if not lists:
        return None
    if len(lists) > 1 or not isinstance(lists[0], list):
        raise UnknownAccessError("access is not one list")
    return canonical(map(_scope, lists[0]))


def beyond(granted: Iterable[str], asked: Iterable[str]) -> tuple[str, ...]:
    """The part of some scopes that others do not have, canonical; ``*`` has every action.

    Scopes that are not ``type:name:actions`` cannot be compared and are left out.
    """
    has = _actions(asked)
    left = {
        place: set() if "*" in has.get(place, ()) else actions - has.get(place, set())
        for place, actions in _actions(granted).items()
    }
    return canonical(f"{kind}:{name}:{','.join(actions)}" for (kind, name), actions in left.items())


def note(asked: Sequence[str], granted: Sequence[str] | None) -> str:
    """Describe how what was granted differs from what was requested; empty if it does not, or if unknown."""
    if granted is None:
        return ""
    missing, more = lacking(asked, granted), beyond(granted, asked)
    parts = []
    if missing and not granted:
        parts.append("grants nothing of what was asked for")
    elif missing:
        parts.append(f"grants less than was asked for: not {_shown(missing)}")
    if more:
        parts.append(f"grants more than was asked for: {_shown(more)}")
    return "; ".join(parts)


def lacking(asked: Sequence[str], granted: Sequence[str] | None) -> tuple[str, ...]:
    """The requested part that is not granted; empty if unknown.

    If ``*`` was requested and some actions were granted, these are all that exist, as far as is known.
    """
    if granted is None:
        return ()
    some = {place for place, actions in _actions(granted).items() if actions}
    return tuple(scope for scope in beyond(asked, granted) if not (scope.endswith(":*") and split(scope)[:2] in some))


def _actions(scopes: Iterable[str]) -> Actions:
    found: Actions = {}
    for kind, name, actions in map(split, canonical(scopes)):
        if name is not None:
            found[kind, name] = set(actions.split(","))
    return found


def _scope(entry: object) -> str:
    if not isinstance(entry, dict):
        raise UnknownAccessError("an entry of access is not an object")
    members = {str(key).lower(): value for key, value in entry.items()}
    actions = members.get("actions")
    if len(members) != len(entry) or not isinstance(actions, list):
        raise UnknownAccessError("an entry of access cannot be read")
    texts = [members.get("type"), members.get("name"), *actions]
    if not all(isinstance(text, str) and text and not set(text) & set(" ,") for text in texts):
        raise UnknownAccessError("an entry of access cannot be read")
    return f"{texts[0]}:{texts[1]}:{','.join(map(str, actions))}"


def _shown(scopes: Iterable[str]) -> str:
    text = ", ".join(scopes)
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
