"""A stored credential with its lifetime, and how long something obtained with it may live.

Nothing outlives the login that it was obtained with. The login itself in another form (Basic, a header) lives as
long as the login; a token from an exchange has its own lifetime, and ends when its login is known to end.
"""

from dataclasses import dataclass, replace

from credproxy.core.ask.credential import Lifetime, Stored
from credproxy.core.ask.jwt import stored_life
from credproxy.core.ask.lifetime import LONGEST, advisory
from credproxy.core.errors import Code, failed


STATIC_KEEP = 300.0
"""Seconds that a static login may be served from memory: the one figure for all of them. A changed file is another
identity and seen at once."""

PROGRAM_KEEP = 240.0
"""Seconds for which a program's output is used, unless its rule says otherwise; GAR's workload-identity tokens live 300
(DC-19)."""

_LEAST = 10.0
"""Seconds for which a program's login may be served at least, however long the program took."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a source gives.

    Attributes:
        stored: the credential.
        since: boot-clock seconds, the moment *before* it was looked up.
        until: boot-clock seconds of its stated end; None if it does not say.
        keep: seconds from ``since`` after which it must be looked up again, for a program's output: it is unknown
            when that ends. None for a static login, which changes together with its file.
        beside: headers that its issuer wants to be sent with it, such as the project that pays; never secret.
        wall_until: POSIX seconds, the same moment as ``until``: the wall clock may be set meanwhile, and then the
            earlier of the two counts (docs/design/faults.md#renewal).
    """

    stored: Stored
    since: float
    until: float | None = None
    keep: float | None = None
    wall_until: float | None = None
    beside: tuple[tuple[str, str], ...] = ()


def login_of(stored: Stored, *, since: float, boot: float, wall: float, keep: float | None = None) -> Login:
    """Make a login; a secret that is a JWT says when it ends.

    Args:
        stored: the credential.
        since: boot-clock seconds before it was looked up.
        boot: boot-clock seconds, now.
        wall: POSIX seconds, now.
        keep: see Login.
    """
    left = stored_life(stored, wall)
    if left is None:
        return Login(stored, since, keep=keep)
    return Login(stored, since, boot + left, keep, wall + left)


def ended(login: Login, wall_until: float, *, boot: float, wall: float) -> Login:
    """Give a login whose issuer says when it ends, beside what the secret itself says: the earlier of the two counts.

    Args:
        login: as ``login_of`` made it.
        wall_until: POSIX seconds of that end.
        boot: boot-clock seconds, now.
        wall: POSIX seconds, now.
    """
    if login.wall_until is not None and login.wall_until <= wall_until:
        return login
    return replace(login, until=boot + wall_until - wall, wall_until=wall_until)


def dressed(login: Login, name: str, *, boot: float) -> Lifetime:
    """Give the lifetime of headers that hold the login itself.

    Args:
        login: that they are made from.
        name: of the login, for the message.
        boot: boot-clock seconds, now.

    Raises:
        Failed(expired_on_arrival): the login says that it has expired.
    """
    if login.until is not None and login.until <= boot:
        raise failed(
            Code.EXPIRED_ON_ARRIVAL,
            f"{name} holds a token that expired {boot - login.until:.0f} s ago by its own words",
            hint="store a new one, and check this machine's clock",
        )
    if login.keep is not None:
        until = max(login.since + login.keep, boot + _LEAST)
        if login.until is not None:
            until = min(until, login.until)
        return Lifetime(since=login.since, until=until, wall_until=login.wall_until)
    if login.until is None:
        return Lifetime(since=boot, keep=STATIC_KEEP)
    # Counted from now: a renewal finds the same login, and is tried ever later, not once a second.
    return Lifetime(since=boot, until=min(login.until, boot + LONGEST), wall_until=login.wall_until)


def bounded(lifetime: Lifetime, login: Login | None, *, boot: float) -> Lifetime:
    """Give the lifetime of what an exchange obtained with a login: it ends when the login ends.

    A login that says it has expired, but was accepted nevertheless, bounds nothing: the server knows better, and one
    of the clocks is wrong.
    """
    if login is None or login.until is None or login.until <= boot:
        return lifetime
    return Lifetime(
        since=lifetime.since,
        until=_earlier(lifetime.until, login.until),
        keep=lifetime.keep,
        wall_until=_earlier(lifetime.wall_until, login.wall_until),
    )


def again_at(login: Login) -> float:
    """Boot-clock seconds from which a source looks the login up again.

    Before the renewal of anything obtained with it begins, whatever jitter was drawn: otherwise the renewal would be
    given the old login once more. And within LONGEST, even if it says that it ends in a thousand years.
    """
    ends = [end for end in (login.until, None if login.keep is None else login.since + login.keep) if end is not None]
    life = min(LONGEST, max(0.0, min(ends, default=login.since + STATIC_KEEP) - login.since))
    return login.since + life - advisory(life, 1.0)


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((end for end in (one, other) if end is not None), default=None)
