"""What git says of its credential helpers, and how they are asked: ``git config`` and ``git credential``.

Source: git-credential(1), "INPUT/OUTPUT FORMAT"; gitcredentials(7), "CONFIGURATION OPTIONS"; git-config(1), "FILES", "Includes".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.github_urls import github_name
from credproxy.core.ask.target import Form, Target
from credproxy.core.ask.urls import leads_elsewhere


_SECTION: Final = re.compile(rb"^[ \t]*\[[ \t]*([a-z0-9.-]+)([^\]\n]*)\]?", re.IGNORECASE | re.MULTILINE)
_NAMED: Final = re.compile(rb"\s*\"([^\"\\]*)\"\s*")
_HELPER: Final = re.compile(rb"^[ \t]*helper\b", re.IGNORECASE | re.MULTILINE)
_PROJECT: Final = re.compile(r"/api/v4/projects/([^/]*[^/0-9][^/]*)(?:/|$)")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~/-]+")
"""A path that can be a line of a request: anything else would have to be one that git reads as we do."""

_TRUE: Final = frozenset({"true", "yes", "on", "1"})


def named_helpers(content: bytes) -> frozenset[str]:
    """Hosts for which a file of git's configuration may name a helper, as ``GitHelpers.hosts``: git is not asked for others.

    A file that includes others may name one for every host.
    """
    found = set[str]()
    sections = [*_SECTION.finditer(content)]
    ends = [*(section.start() for section in sections), len(content)][1:]
    for section, end in zip(sections, ends, strict=True):
        name = section[1].lower()
        if name in {b"include", b"includeif"}:
            found.add("")
        elif name == b"credential" and _HELPER.search(content[section.end() : end]):
            url = _NAMED.fullmatch(section[2])
            found.add("" if url is None else _parts(url[1].decode("utf-8", "replace"))[0])
        elif name.startswith(b"credential."):  # git's old form of a section with a name
            found.add("")
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class GitHelpers:
    """What git's configuration says of its helpers.

    Attributes:
        hosts: that there are any for, as the configuration names them; "" for every host.
        by_path: whether it depends on the path of a URL what they are asked, or which of them.
        sent_path: whether they are told the path (``credential.useHttpPath``).
    """

    hosts: frozenset[str] = frozenset()
    by_path: bool = False
    sent_path: bool = False

    def serve(self, host: str) -> bool:
        """Whether there may be one for a host, without its port."""
        return any(not name or _is_host(name, host) for name in self.hosts)


def parse_git_config(output: bytes) -> GitHelpers:
    """Read what ``git config --null --get-regexp ^credential`` prints: each key with its value on the next line, or alone, and a null byte after it."""
    hosts, by_path, sent_path = set[str](), False, False
    for key, value in _settings(output):
        _, _, rest = key.partition(".")
        url, _, name = rest.rpartition(".")
        # An empty helper takes the ones before it away; which are left for a URL, git knows.
        host, path = _parts(url)
        if name == "helper" and value:
            hosts.add(host)
        sent_path |= name == "usehttppath" and value.lower() in _TRUE
        by_path |= bool(path)
    return GitHelpers(frozenset(hosts), by_path or sent_path, sent_path)


def _settings(output: bytes) -> Iterator[tuple[str, str]]:
    for entry in output.decode("utf-8", "replace").split("\0"):
        if entry:
            key, _, value = entry.partition("\n")
            yield key, value


def _is_host(pattern: str, host: str) -> bool:
    """Whether a host is one of a pattern: a ``*`` stands for one label. Source: git-config(1), "http.<url>.*"."""
    wanted, labels = pattern.split("."), host.lower().split(".")
    return len(wanted) == len(labels) and all(one in {"*", other} for one, other in zip(wanted, labels, strict=True))


def _parts(url: str) -> tuple[str, str]:
    """The host and the path of a section's name; one that cannot be read, or has only a path, is for every host."""
    try:
        parts = urlsplit(url if "://" in url or not url else f"//{url}")  # git takes a host without a scheme as well
        return parts.hostname or "", parts.path.strip("/")
    except ValueError:
        return "", ""


def repository_path(target: Target) -> str:
    """The path of the repository that a URL is about, as git has it, without ``.git``; "" for none that is known."""
    if target.form is not Form.URL or leads_elsewhere(target.path):
        return ""
    before, dash, _ = target.path.partition("/-/")
    project = _PROJECT.match(target.path)
    if dash:
        path = before.strip("/")
    elif project is not None:
        path = unquote(project[1])
    else:
        place = github_name(target)
        path = "" if place is None else place.name
    return path if _PLAIN.fullmatch(path) else ""


def credential_request(host: str, path: str, *, username: str | None) -> bytes:
    """What ``git credential fill`` is told on its standard input."""
    wanted = {"protocol": "https", "host": host, "path": path, "username": username or ""}
    return "".join(f"{key}={value}\n" for key, value in wanted.items() if value).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """What a helper knows: ``until`` is the POSIX second at which the password ends; None if it does not say."""

    username: str
    password: Secret = field(repr=False)
    until: float | None = None


def parse_git_answer(output: bytes) -> GitAnswer | None:
    """Read what ``git credential fill`` prints; None for an answer without a password. Raises UnicodeDecodeError."""
    told: Mapping[str, str] = dict(
        line.split("=", 1) for line in output.decode().removesuffix("\n").split("\n") if "=" in line
    )
    if not told.get("password"):
        return None
    until = told.get("password_expiry_utc", "")
    return GitAnswer(
        told.get("username", ""), Secret(told["password"]), float(until) if _SECONDS.fullmatch(until) else None
    )


_SECONDS: Final = re.compile(r"[0-9]{1,12}")
