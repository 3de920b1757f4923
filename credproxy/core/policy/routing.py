"""Which host rule answers for a target: the most specific one, wherever it is in the file.

::

    ghcr.io:8443            exact host with port
    ghcr.io                 exact host, on any port
    docker.io               also Docker Hub's other names, after rules for exactly those
    *.corp.example          any subdomain, never corp.example itself; the longest suffix wins
    *                       every other host
    ghcr.io/v2/org          any of these with a path: whole segments; within one host the longest wins

A slash that is written ``%2F`` is a name's, not a separator: a path with one in a segment that a rule is about can be read in two
ways. Where an API wants names written like that, such as GitLab's, it separates them (``HostBase.encoded_below``).

On hosts whose servers ignore the case of a path, such as github.com, so do these: an owner's other spelling is the same owner.
A literal target (SC-6a) is matched only by exactly the same text, never through a wildcard.
Source: docs/reference/configuration.md, SC-13.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from credproxy.core.ask.docker_hub import is_hub
from credproxy.core.ask.target import Form, Target
from credproxy.core.ask.uri import DEFAULT_PORTS, canonical_authority, is_socket
from credproxy.core.ask.urls import clear_segments
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds import BUILTIN, HostRule


_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()+,;=:@-]+)*")  # no asterisk: it would look like a pattern without being one
_PORT = re.compile(r"(.+):([1-9][0-9]{0,4})")
_SLASH = re.compile(r"%2[Ff]")
_HINT = "write host, host:port, *.suffix or *, each with an optional /path"

_Host = tuple[str, int | None]


class _PathPrefix(NamedTuple):
    """Where a rule applies on its host: decoded path segments, none for everywhere."""

    segments: tuple[str, ...]
    rule: HostRule


class Router:
    """Host rules, ready for look-ups.

    Args:
        rules: that somebody wrote.
        builtin: used if none of those matches, however wide they are.

    Attributes:
        builtin: the ``match`` of each built-in one.

    Raises:
        Failed(config_invalid): an invalid ``match``, or the same one twice; names the rule as ``host[2]``.
    """

    def __init__(self, rules: Sequence[HostRule], builtin: Sequence[HostRule] = ()) -> None:
        self._written = _RulesOfHost(rules)
        self._builtin = _RulesOfHost(builtin, shared=True)
        folding = (rule for rule in (*rules, *BUILTIN) if rule.ignores_case)
        self._encoded = frozenset(
            (match_key(match)[0], below)
            for rule in (*rules, *BUILTIN)
            for match in rule.matches()
            for below in rule.encoded_below
        )
        self._folding = frozenset(match_key(match)[0] for rule in folding for match in rule.matches()) - {("*", None)}
        self.builtin = frozenset(rule.match for rule in builtin)

    def key(self, rule: HostRule) -> str:
        """By what the provider of one of its rules is found: built-in ones of several kinds may share a ``match``."""
        return f"{rule.tag()} {rule.match}" if rule.match in self.builtin else rule.match

    def match(self, target: Target) -> HostRule | None:
        """The most specific rule for a target, or None.

        Also None if the target's path can be read in two ways and there is a rule for a path nearby: which of the rules
        applies would then depend on the reader (SC-7, T14).
        """
        fold = not self._folding.isdisjoint(_candidates(target))
        path = self._spelt_out(target)
        rule, clear = self._written.match(target, path, fold=fold)
        # ``grpc:`` travels in the clear, which nobody has agreed to who has written no rule.
        return (
            self._builtin.match(target, path, fold=fold)[0]
            if rule is None and clear and target.scheme != "grpc"
            else rule
        )

    def _spelt_out(self, target: Target) -> str:
        """Its path, with each slash of a name as a separator where an API wants names written in that way."""
        apis = (
            below for host, below in self._encoded if target.path.startswith(below) and host in set(_candidates(target))
        )
        return _SLASH.sub("/", target.path) if "%2" in target.path and any(apis) else target.path

    def near(self, target: Target) -> tuple[str, ...]:
        """The ``match`` of each rule that is for the same host, but not for this port or path, or not for this form."""
        return (*self._written.near(target), *self._builtin.near(target))


class _RulesOfHost:
    """Rules of one precedence.

    Args:
        rules: of which the first that fits answers.
        shared: several may have one ``match``, and each answers for the targets that it claims.
    """

    def __init__(self, rules: Sequence[HostRule], *, shared: bool = False) -> None:
        self._shared = shared
        self._places: dict[_Host, list[_PathPrefix]] = {}
        first: dict[tuple[_Host, tuple[str, ...]], int] = {}
        for index, rule in enumerate(rules):
            try:
                host, segments = match_key(rule.match)
            except Failed as error:
                raise failed(
                    Code.CONFIG_INVALID, f"host[{index}]: {error.failure.message}", hint=error.failure.hint
                ) from None
            earlier = first.setdefault((host, segments), index)
            if earlier != index and not shared:
                raise failed(
                    Code.CONFIG_INVALID,
                    f"host[{index}]: the match {rule.match!r} repeats that of host[{earlier}]",
                    hint="remove one of them",
                )
            self._places.setdefault(host, []).append(_PathPrefix(segments, rule))
        self._add_belonging(rules, set(first))
        for places in self._places.values():
            places.sort(key=lambda place: len(place.segments), reverse=True)

    def _add_belonging(self, rules: Sequence[HostRule], taken: set[tuple[_Host, tuple[str, ...]]]) -> None:
        """Places that belong to a rule's place go to that rule, unless another one names them."""
        for rule in rules:
            for match in rule.matches()[1:]:
                host, segments = match_key(match)
                if (host, segments) not in taken:
                    taken.add((host, segments))
                    self._places.setdefault(host, []).append(_PathPrefix(segments, rule))

    def match(self, target: Target, path: str, *, fold: bool) -> tuple[HostRule | None, bool]:
        """The most specific rule, and False if the path can be read in two ways and there is a rule for a path nearby.

        Args:
            target: of the question.
            path: likewise, by which rules are compared.
            fold: its server ignores the case of paths.
        """
        for host in _candidates(target):
            places = self._places.get(host)
            if places is None:
                continue
            if places[0].segments:
                segments = _segments(path, len(places[0].segments))
                if segments is None:
                    return None, False
                without = tuple(segment.partition(";")[0] for segment in segments)
                found = _nearest(places, segments, fold=fold)
                named = bool(found) and any(";" in segment for segment in found[0].segments)
                if not named and found != _nearest(places, without, fold=fold):
                    return None, False  # some servers ignore what follows a semicolon
                places = found
            if self._shared:
                places = [place for place in places if place.rule.claims(target)]
            if places:
                return places[0].rule, True
        return None, True

    def near(self, target: Target) -> tuple[str, ...]:
        """As ``Router.near``."""
        hosts = {host for host, _ in _candidates(target)}
        if target.form is Form.LITERAL:
            name = target.host.removeprefix("*.")
            hosts |= {host for host, _ in _candidates(replace(target, host=name, form=Form.URL))} - {"*"}
        places = (place for (host, _), found in self._places.items() if host in hosts for place in found)
        return tuple(place.rule.match for place in places)


def is_exact(rule: HostRule) -> bool:
    """True if the rule names a host itself: then its own private addresses may be dialled (SEC-4)."""
    return not rule.match.startswith("*")


def _candidates(target: Target) -> Iterator[_Host]:
    """The hosts under which a rule for the target may be listed, most specific first."""
    host = target.host
    yield host, target.port or DEFAULT_PORTS[target.scheme]
    yield host, None
    if target.form is Form.LITERAL:
        return
    if is_hub(target.authority):
        yield "docker.io", None
    dot = host.find(".")
    while dot >= 0:
        yield f"*{host[dot:]}", None
        dot = host.find(".", dot + 1)
    yield "*", None


def _nearest(places: list[_PathPrefix], segments: tuple[str, ...], *, fold: bool) -> list[_PathPrefix]:
    """Those that a path is in, the longest first; of two that differ in case alone, the one that is written as the path is."""
    found = [place for place in places if place.segments == segments[: len(place.segments)]]
    if not fold:
        return found
    folded = tuple(map(str.casefold, segments))
    also = (place for place in places if tuple(map(str.casefold, place.segments)) == folded[: len(place.segments)])
    return sorted((*found, *(place for place in also if place not in found)), key=lambda place: -len(place.segments))


def match_key(text: str) -> tuple[_Host, tuple[str, ...]]:
    """Read a ``match`` into a key that is equal for two that mean the same, however they are written.

    Raises:
        Failed(config_invalid): it names no host, or a path that could be read in two ways.
    """
    if "://" in text:
        raise _invalid(text, "has a scheme", "leave it out: plain http is allowed with insecure = true")
    authority, slash, path = text.partition("/")
    path = f"{slash}{path}".rstrip("/")
    if _PATH.fullmatch(path) is None:
        raise _invalid(
            text,
            "has a path with characters that are not allowed in it",
            "write whole segments: everything below them is included",
        )
    segments = _segments(path)
    if segments is None:
        raise _invalid(text, "has a path with '.' or '..' in it", "write it out")
    host = _host(authority)
    if host is None:
        raise _invalid(text, "names no host", _HINT)
    return host, segments


def _host(authority: str) -> _Host | None:
    if authority == "*" or is_socket(authority):
        return authority, None
    if authority.startswith("*."):
        # A suffix with a numeric end could match part of an IP address.
        suffix = canonical_authority(f"x.{authority[2:]}", "")
        return None if suffix is None or suffix == "x" or ":" in suffix else (f"*{suffix[1:]}", None)
    # Without a scheme there is no default port, and the port stays as written.
    canonical = canonical_authority(authority, "")
    if canonical is None:
        return None
    with_port = _PORT.fullmatch(canonical)
    return (canonical, None) if with_port is None else (with_port[1], int(with_port[2]))


def _segments(path: str, depth: int | None = None) -> tuple[str, ...] | None:
    """The decoded segments of a path, without an empty one at its end; None if it can be read in two ways.

    Args:
        path: as it is sent.
        depth: how many segments matter, None for all. In others a slash may be a name's, as in the tag of a release: it is read
            as a separator then, which changes none that matters.
    """
    raw = path[1:].removesuffix("/").split("/")
    if depth is not None:
        raw[depth:] = [_SLASH.sub("/", segment) for segment in raw[depth:]]
    return () if path in {"", "/"} else clear_segments("/".join(raw))


def _invalid(match: str, problem: str, hint: str) -> Failed:
    return failed(Code.CONFIG_INVALID, f"the match {match!r} {problem}", hint=hint)
