"""The configuration of ``glab``, GitLab's own program: its hosts with their tokens.

Source: gitlab-org/cli, internal/config and internal/oauth2. A token is written as ``token: !!null glpat-…`` if glab wrote it
over an empty one, so tags are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.formats.tool_yaml import read_tool_yaml


@dataclass(frozen=True, slots=True)
class GitlabPlace:
    """Where a GitLab is: an authority, and a path where it shares that with others.

    Attributes:
        authority: canonical.
        path: such as ``/gitlab``, without a slash at its end; "" for all of the authority.
    """

    authority: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.authority}{self.path}"

    def has(self, target: Target) -> bool:
        """Whether a target belongs to it."""
        return target.authority == self.authority and f"{target.path}/".startswith(f"{self.path}/")


def gitlab_place(text: str, below: str = "") -> GitlabPlace | None:
    """Read a host, ``host:port`` or URL, as glab's variables and its file name a GitLab; None for anything else.

    Args:
        text: of the variable or the key.
        below: the path, if that is kept apart.
    """
    authority, _, path = (text.partition("://")[2] or text).partition("/")
    canonical = canonical_authority(authority)
    path = (below or path).strip("/")
    return None if canonical is None else GitlabPlace(canonical, f"/{path}" if path else "")


@dataclass(frozen=True, slots=True)
class GlabHost:
    """One host that glab knows.

    Attributes:
        name: as the file has it, and glab takes it.
        token: of a person, or of OAuth; None if a keyring has it, or nothing does.
        job_token: of a CI job.
        oauth: the token ends, and glab renews it.
        until: POSIX seconds at which it ends; None if unknown.
        keyring: its token is in the keyring, which glab reads.
    """

    name: str
    token: Secret | None = None
    job_token: Secret | None = None
    oauth: bool = False
    until: float | None = None
    keyring: bool = False

    @property
    def has_login(self) -> bool:
        """Whether a login may be available for it."""
        return self.token is not None or self.job_token is not None or self.keyring


def glab_host(known: Mapping[GitlabPlace, GlabHost], target: Target) -> GlabHost | None:
    """The one that a target belongs to; of several on one host that with the longest path."""
    places = [place for place in known if place.has(target)]
    return known[max(places, key=lambda place: len(place.path))] if places else None


def parse_glab(content: bytes, where: str) -> Mapping[GitlabPlace, GlabHost]:
    """Read the file.

    Args:
        content: of the file.
        where: names it, for messages.

    Returns:
        By place; a host with an ``api_host`` of its own by that, too.

    Raises:
        Failed(credential_unreadable): it is not such a file; names the line.
    """
    hosts = read_tool_yaml(content, where, hint=_HINT).get("hosts")
    found: dict[GitlabPlace, GlabHost] = {}
    for name, entry in hosts.items() if isinstance(hosts, dict) else ():
        if isinstance(entry, dict):
            host = _host(str(name), entry)
            below = entry.get("subfolder")
            for other in (entry.get("api_host"), name):
                place = gitlab_place(other, below if isinstance(below, str) else "") if isinstance(other, str) else None
                if place is not None:
                    found[place] = host
    return found


_HINT = "glab config edit --global"


def _host(name: str, entry: Mapping[str, object]) -> GlabHost:
    return GlabHost(
        name,
        _secret(entry.get("token")),
        _secret(entry.get("job_token")),
        oauth=entry.get("is_oauth2") == "true",
        until=_until(entry.get("oauth2_expiry_date")),
        keyring=entry.get("use_keyring") == "true",
    )


def _secret(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and value else None


def _until(value: object) -> float | None:
    """RFC 3339, or RFC 822 as older ones wrote it; None for a zone that only the writer's machine knows."""
    if not isinstance(value, str):
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(value)
        except (ValueError, OverflowError, IndexError, TypeError):  # of the standard library's parsers, given garbage
            continue
        return None if moment.tzinfo is None else moment.timestamp()
    return None
