"""What types cannot express about a configuration: ranges, forms, contradictions, two rules for one host."""

import re
from collections.abc import Callable, Iterator

from credproxy.core.ask.uri import canonical_authority
from credproxy.core.config.settings import DOCKER, LOGIN, NETRC, ActionsSettings, Settings
from credproxy.core.config.text_checks import unusable_texts
from credproxy.core.errors import Failed
from credproxy.core.formats.checks import absolute, duration, timeout, within
from credproxy.core.formats.shape_words import meant
from credproxy.core.formats.toml_lines import Path
from credproxy.core.kinds import BUILTIN
from credproxy.core.policy.action_rules import split_scope
from credproxy.core.policy.objects import object_pattern
from credproxy.core.policy.routing import match_key
from credproxy.core.policy.rules import ActionRule


_SIZE = re.compile(r"(\d{1,12}) ?(B|KiB|MiB|GiB)?")
_UNITS = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_PATTERN = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[a-z0-9._/*?-]+")  # no empty segment, no dots alone
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LAST_PORT = 65535

RULES = 4096
"""Rules for build actions, wherever they are written: each is checked for every request (PY25)."""


def size_in_bytes(size: int | str) -> int:
    """Give ``"64MiB"`` or a plain number as bytes. Raises ValueError."""
    found = _SIZE.fullmatch(str(size))
    if found is None:
        raise ValueError(size)
    return int(found[1]) * _UNITS[found[2]]


def check(settings: Settings, place: Callable[[Path], Path] = lambda path: path) -> Iterator[tuple[Path, str]]:
    """Give the path and the problem of each mistake.

    Args:
        settings: to check.
        place: where in the file a path of the settings is, for a problem that names another place.
    """
    found = [*_check_tables(settings, place)]
    yield from found
    said = {path for path, _ in found}
    for path, problem in unusable_texts(settings):
        # What a kind says about a value, or about the list that it is in, is better.
        if path not in said and (path[:-1] not in said or not isinstance(path[-1], int)):
            yield path, problem


def _check_tables(settings: Settings, place: Callable[[Path], Path]) -> Iterator[tuple[Path, str]]:
    yield from _check_builtin(settings)
    yield from _check_numbers(settings)
    yield from _check_paths(settings)
    for index, rule in enumerate(settings.host):
        yield from within(("host", index), rule.problems())
    yield from within(("actions",), _check_actions(settings.actions))
    yield from _check_matches(settings, place)


def loopback_port(address: str) -> tuple[str, int] | None:
    """Read ``127.0.0.1:port`` or ``[::1]:port``; None for anything else, a name included."""
    host, _, port = address.rpartition(":")
    if host not in {"127.0.0.1", "[::1]"} or _PORT.fullmatch(port) is None or int(port) > _LAST_PORT:
        return None
    return host.strip("[]"), int(port)


def is_registry(pattern: str) -> bool:
    """True for a host, ``host:port`` or ``*.suffix``."""
    return canonical_authority(pattern.removeprefix("*.")) is not None


def is_repository_pattern(pattern: str) -> bool:
    """True if a repository can match, whose names are lower case and have no empty segment."""
    return _PATTERN.fullmatch(pattern) is not None


def _check_matches(settings: Settings, place: Callable[[Path], Path]) -> Iterator[tuple[Path, str]]:
    seen: dict[object, int] = {}
    for index, rule in enumerate(settings.host):
        try:
            key = match_key(rule.match)
        except Failed as error:
            yield ("host", index, "match"), f"{error.failure.message}; {error.failure.hint}"
            continue
        first = seen.setdefault(key, index)
        if first != index:
            yield ("host", index, "match"), f"{rule.match!r} already has a rule: host[{place(('host', first))[-1]}]"


def _check_builtin(settings: Settings) -> Iterator[tuple[Path, str]]:
    known = sorted({DOCKER, LOGIN, NETRC, *(rule.tag() for rule in BUILTIN)})
    for name in () if isinstance(settings.builtin, bool) else settings.builtin:
        if name not in known:
            yield ("builtin",), f"{name!r} is not built in; known: {', '.join(known)}{meant(name, known)}"


def _check_numbers(settings: Settings) -> Iterator[tuple[Path, str]]:
    if not 1 <= settings.empty_ttl <= 3600:  # noqa: PLR2004
        yield ("empty_ttl",), "wanted seconds from 1 to 3600"
    yield from timeout("flight_timeout", settings.flight_timeout)
    if settings.drain_timeout is not None:
        yield from duration("drain_timeout", settings.drain_timeout)
    if settings.cache.entries < 1:
        yield ("cache", "entries"), "wanted 1 or more"
    try:
        room = size_in_bytes(settings.cache.bytes)
    except ValueError:
        room = 0
    if not room:
        yield ("cache", "bytes"), 'wanted bytes, such as 67108864 or "64MiB"'


def _check_paths(settings: Settings) -> Iterator[tuple[Path, str]]:
    for key in ("docker_config", "netrc"):
        value = getattr(settings, key)
        if value not in {"auto", "none"} and not value.startswith("/"):
            yield (key,), 'wanted "auto", "none" or an absolute path, or one that begins with ~/'
    if settings.helper_path and not all(part.startswith("/") for part in settings.helper_path.split(":")):
        # Otherwise programs would be searched for wherever the daemon happens to be started.
        yield ("helper_path",), "wanted absolute paths, or ones that begin with ~/, separated by colons"


CARRIERS = 16
"""Processes that serve build actions at most: more than this share a machine's processors without being any faster."""


def _check_actions(actions: ActionsSettings) -> Iterator[tuple[Path, str]]:
    if actions.policy_file is not None:
        yield from absolute("policy_file", actions.policy_file)
        if actions.rule:
            yield ("policy_file",), "there are rules here as well; leave one of the two out"
    yield from _check_listen(actions)
    if actions.carriers is not None and not 1 <= actions.carriers <= CARRIERS:
        yield ("carriers",), f"wanted a number from 1 to {CARRIERS}"
    if len(actions.rule) > RULES:
        yield ("rule", RULES), f"more than {RULES} rules"
    for index, rule in enumerate(actions.rule[:RULES]):
        yield from within(("rule", index), _check_action_rule(rule))


def _check_listen(actions: ActionsSettings) -> Iterator[tuple[Path, str]]:
    if actions.listen is not None and loopback_port(actions.listen) is None:
        wanted = "wanted one like 127.0.0.1:5151; any other address would need TLS and client authentication"
        yield ("listen",), f"{actions.listen!r} is not a loopback address with a port; {wanted}"
    if (actions.listen is None) != (actions.listen_token is None):
        missing = "listen" if actions.listen is None else "listen_token"
        yield (missing,), "listen and listen_token go together: on a port nothing else identifies the caller"
    if actions.listen_token is not None:
        yield from within(("listen_token",), actions.listen_token.problems())


RULE_FORMS = {
    "registry": '"ghcr.io"',
    "repository": '"my-org/**"',
    "operations": '["blob:read", "manifest:read"]',
    "url": '"https://bucket.s3.eu-west-1.amazonaws.com/prefix/**"',
    "methods": '["GET", "HEAD"]',
}
"""How the values of a rule for build actions are written, for messages."""


def _check_action_rule(rule: ActionRule) -> Iterator[tuple[Path, str]]:
    if rule.url is not None:
        yield from _check_object_rule(rule, rule.url)
        return
    missing = [key for key in ("registry", "repository", "operations") if not getattr(rule, key)]
    if len(missing) == 3:  # noqa: PLR2004  all of them
        wanted = " and ".join(f"{key} = {RULE_FORMS[key]}" for key in missing)
        yield (), f"a rule names repositories or URLs; wanted {wanted}, or url = {RULE_FORMS['url']}"
        return
    yield from (((key,), f'"{key}" is missing or empty; wanted {key} = {RULE_FORMS[key]}') for key in missing)
    if rule.registry and not is_registry(rule.registry):
        yield ("registry",), f'{rule.registry!r} is not a registry; wanted one like "ghcr.io" or "*.corp.example"'
    if rule.repository and not is_repository_pattern(rule.repository):
        yield ("repository",), f'{rule.repository!r} matches no repository; wanted a pattern like "my-org/**"'
    for scope in rule.bare_host_scopes:
        try:
            split_scope(scope)
        except ValueError:
            yield ("bare_host_scopes",), f'{scope!r} is not a scope; wanted one like "repository:my-org/app:pull"'


def _check_object_rule(rule: ActionRule, url: str) -> Iterator[tuple[Path, str]]:
    for key in ("registry", "repository", "operations", "bare_host_scopes"):
        if getattr(rule, key):
            yield (key,), "is for repositories, and url for everything else: a rule has one of the two"
    if object_pattern(url) is None:
        wanted = f"wanted one like {RULE_FORMS['url']}, where * and ** stand for parts of the path alone"
        yield ("url",), f"{url!r} is not a pattern of URLs; {wanted}"
    if not rule.methods:
        yield ("methods",), f"wanted at least one, as in {RULE_FORMS['methods']}"
