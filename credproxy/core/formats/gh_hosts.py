"""The file in which ``gh``, GitHub's own program, keeps its logins: ``hosts.yml``.

::

    github.com:
        users:
            monalisa:
                oauth_token: gho_...
        user: monalisa
        oauth_token: gho_...

Source: cli/cli, internal/config/config.go. A host without ``oauth_token`` has its token in the keyring, and gh before
version 2.40 does not have ``users``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.formats.tool_yaml import read_tool_yaml


HINT: Final = "gh auth status shows what gh makes of it; gh auth login rewrites it"


@dataclass(frozen=True, slots=True)
class GhHost:
    """One host that gh has a login for.

    Attributes:
        name: as the file has it, and gh takes it.
        user: the active one; "" if the file does not say.
        token: of that user; None if a keyring has it.
        users: every user, with a token if the file has it.
    """

    name: str
    user: str = ""
    token: Secret | None = None
    users: Mapping[str, Secret | None] = field(default_factory=dict)

    def has(self, user: str | None) -> bool:
        """Whether there is a login: of the active user for None."""
        return user is None or user == self.user or user in self.users

    def token_of(self, user: str | None) -> Secret | None:
        """The token; None if a keyring has it."""
        if user is None or user == self.user:
            return self.token or self.users.get(self.user)
        return self.users.get(user)


def parse_hosts(content: bytes, where: str) -> Mapping[str, GhHost]:
    """Read the file.

    Args:
        content: of the file.
        where: names it, for messages.

    Returns:
        By authority.

    Raises:
        Failed(credential_unreadable): it is not such a file; names the line.
    """
    found: dict[str, GhHost] = {}
    for name, entry in read_tool_yaml(content, where, hint=HINT).items():
        authority = canonical_authority(name)
        if authority is not None and isinstance(entry, dict):
            found[authority] = _host(name, entry)
    return found


def _host(name: str, entry: Mapping[str, object]) -> GhHost:
    user, users = entry.get("user"), entry.get("users")
    return GhHost(
        name,
        user if isinstance(user, str) else "",
        _token(entry),
        {str(one): _token(kept) for one, kept in users.items()} if isinstance(users, dict) else {},
    )


def _token(entry: object) -> Secret | None:
    value = entry.get("oauth_token") if isinstance(entry, dict) else None
    return Secret(value) if isinstance(value, str) and value else None
