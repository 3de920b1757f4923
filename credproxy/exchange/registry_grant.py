"""Makes a grant from a login, a challenge and an answer. Source: docs/design/exchanges.md#token-requests.

``boot`` is boot-clock seconds, now, throughout.
"""

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import (
    Grant,
    Identity,
    IdentityToken,
    Lifetime,
    RegistryToken,
    Secret,
    UserPassword,
)
from credproxy.core.ask.lifetime import EMPTY_KEEP
from credproxy.core.ask.login import Login, bounded, dressed
from credproxy.core.ask.stored import unreadable, usable
from credproxy.core.ask.target import Target
from credproxy.core.errors import GATEWAY, Code, failed
from credproxy.exchange.down_scope import refusal
from credproxy.exchange.granted import lacking, note
from credproxy.exchange.plan import ANONYMOUS, Purpose
from credproxy.exchange.token_answer import Token


def checked(login: Login, identity: Identity, *, target: Target) -> Login:
    """Give the login back if a registry can use it.

    Raises:
        Failed(credential_unreadable): it is empty, or cannot be sent.
    """
    hint = f"log in again: docker login {target.authority}"
    stored = usable(login.stored, str(identity), hint=hint)
    # Elsewhere a key may be the user name; a registry's login has both parts, unless a variable was not set.
    if isinstance(stored, UserPassword) and not stored.password:
        raise unreadable(str(identity), "has an empty password", hint=hint)
    return login


def at_once(login: Login | None, identity: Identity, *, boot: float, anonymous: bool) -> Grant | None:
    """Give the grant that needs no request: a finished token, or nothing for an empty entry; None: ask the registry.

    Args:
        login: as its source gave it.
        identity: of the login.
        boot: see above.
        anonymous: whether the rule may do without a login.
    """
    if login is None:
        return None if identity is ANONYMOUS or anonymous else empty("the stored entry is empty", boot)
    if isinstance(login.stored, RegistryToken):
        return _bearer(login.stored.token, dressed(login, str(identity), boot=boot), direct=True)
    return None


def sendable(login: Login | None, identity: Identity) -> UserPassword | IdentityToken | None:
    """Give what a token server accepts; None for no login. Raises Failed(credential_unreadable): it is neither."""
    stored = None if login is None else login.stored
    if stored is None or isinstance(stored, (UserPassword, IdentityToken)):
        return stored
    raise unreadable(
        str(identity), "holds no user name", hint="name one: username = ... in the credentials of its [[host]]"
    )


def of_login(login: Login | None, identity: Identity, *, boot: float) -> Grant:
    """The grant of the login itself, for a client that exchanges it."""
    return _basic(login, identity, boot) or empty("the stored credential is not a user name and password", boot)


def of_basic(login: Login | None, identity: Identity, *, boot: float, allowed: bool) -> Grant:
    """The grant for a registry that takes only Basic; ``allowed`` by its rule."""
    if not allowed:
        return empty("the registry takes only Basic, and allow_basic = false", boot)
    without = "the registry takes only Basic, and the stored credential is not a user name and password"
    return _basic(login, identity, boot) or empty(without, boot)


def of_token(token: Token, purpose: Purpose, *, login: Login | None, boot: float) -> Grant:
    """The grant of a token that was obtained with a login; None for an anonymous token."""
    odd, less = note(purpose.scopes, token.granted), bool(lacking(purpose.scopes, token.granted))
    return _bearer(token.value, bounded(token.lifetime, login, boot=boot), odd, less=less)


def check_narrow(grant: Grant, login: Login | None, *, purpose: Purpose) -> None:
    """Refuse what a build action may not have, if the caller is one. Raises Failed(use_gateway)."""
    stored = None if login is None else login.stored
    reason = refusal(grant, stored, scopes=purpose.scopes) if purpose.narrow else None
    if reason is not None:
        raise failed(Code.USE_GATEWAY, f"no build action may have the credential: {reason}", hint=GATEWAY)


def too_short(grant: Grant, purpose: Purpose, *, boot: float) -> Grant | None:
    """The empty grant in place of a token that does not live long enough; None: it does."""
    least = purpose.min_lifetime
    if grant.lifetime.until is None or grant.lifetime.until - boot >= least:
        return None
    # Below min_lifetime the broker would make a new exchange for every question (SC-18).
    return empty(f"the token lives shorter than min_lifetime = {least:g}", boot, keep=least + EMPTY_KEEP)


def empty(why: str, boot: float, *, keep: float = EMPTY_KEEP) -> Grant:
    """The grant without a credential; ``keep`` in seconds."""
    return Grant((), Lifetime(since=boot, keep=keep), note=why)


def _basic(login: Login | None, identity: Identity, boot: float) -> Grant | None:
    if login is None or not isinstance(login.stored, UserPassword):
        return None
    lifetime = dressed(login, str(identity), boot=boot)
    return Grant((("Authorization", (basic(login.stored),)),), lifetime, note="basic handed out", direct=True)


def _bearer(token: Secret, lifetime: Lifetime, odd: str = "", *, less: bool = False, direct: bool = False) -> Grant:
    return Grant((("Authorization", (Secret(f"Bearer {token.reveal()}"),)),), lifetime, odd, less, direct)
