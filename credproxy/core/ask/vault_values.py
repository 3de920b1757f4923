"""What HashiCorp Vault and OpenBao are asked for and give, as values. Source: their HTTP API, which both have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial


_OWN = Dial(own=True)


@dataclass(frozen=True, slots=True)
class VaultServer:
    """One server, as one rule reaches it.

    Attributes:
        origin: ``scheme://host[:port]``.
        namespace: without slashes at its ends; "" for none.
        dial: for connections to it.
    """

    origin: str
    namespace: str = ""
    dial: Dial = _OWN

    @property
    def name(self) -> str:
        """For messages."""
        inside = f", namespace {self.namespace!r}" if self.namespace else ""
        return f"Vault {self.origin.partition('://')[2]!r}{inside}"


@dataclass(frozen=True, slots=True)
class VaultLogin:
    """How a token is obtained.

    Attributes:
        mount: where the method is, without slashes at its ends: ``approle``, ``jwt``.
        role: whose token it is, for messages; of AppRole, where the role's ID says it, "".
        fields: what is sent.
        repeatable: whether it may be sent twice: a secret ID may be good for one use.
    """

    mount: str
    role: str
    fields: Mapping[str, str | Secret] = field(repr=False)
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Lease:
    """What Vault gives for a time.

    Attributes:
        since: boot-clock seconds before it was asked for.
        seconds: that it lasts from then on; None if it does not end.
        renewable: whether it may be asked for more.
        id: of a secret's lease; "" for a token.
    """

    since: float
    seconds: float | None
    renewable: bool = False
    id: str = field(default="", repr=False)

    @property
    def until(self) -> float | None:
        """Boot-clock seconds at which it ends."""
        return None if self.seconds is None else self.since + self.seconds


@dataclass(frozen=True, slots=True)
class VaultToken:
    """A Vault token, and what is known about its lifetime."""

    value: Secret
    lease: Lease


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """What lies at a path.

    Attributes:
        fields: by name; texts, mostly.
        lease: of a dynamic secret; None for one that somebody stored.
        keep: seconds after which a stored one should be looked up again, where its engine says.
        wall_until: POSIX seconds at which its version is deleted, where that is known.
    """

    fields: Mapping[str, object] = field(repr=False)
    lease: Lease | None = None
    keep: float | None = None
    wall_until: float | None = None
