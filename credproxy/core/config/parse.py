"""From TOML to Settings: strict, and every mistake with its line.

Types express most of it (``core/config/settings.py``, compared by ``core/formats/shapes.py``); what a type cannot express is checked in
``core/config/config_checks.py``. Files are read by the caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from credproxy.core.config.config_checks import RULE_FORMS, check
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.formats.shapes import Shape, fit
from credproxy.core.formats.toml_lines import Path, locate
from credproxy.core.formats.toml_text import parse_toml
from credproxy.core.policy.routing import match_key
from credproxy.core.redact import cut, cut_words, mask_text


_SOURCE = '{ source = "env", name = "NAME" }'

_SHAPE = Shape(
    Settings,
    forms={
        **RULE_FORMS,
        "host": '[[host]] with a "match" and a "provider"',
        "rule": "[[actions.rule]]",
        "builtin": 'true, false or ["docker-config", "netrc"]',
        "cache": "a table [cache]",
        "log": "a table [log]",
        "helper_path": '"/one/folder:/another"',
        "docker_config": '"auto", "none" or "/path/to/config.json"',
        "netrc": '"auto", "none" or "/path/to/netrc"',
        "match": '"HOST", such as "ghcr.io" or "*.corp.example"',
        "credentials": _SOURCE,
        "secret": _SOURCE,
        "client_secret": _SOURCE,
        "refresh_token": _SOURCE,
        "assertion": _SOURCE,
        "subject_token": _SOURCE,
        "token": _SOURCE,
        "secret_id": _SOURCE,
        "jwt": _SOURCE,
        "listen_token": _SOURCE,
        "command": '["/path/to/program", "argument"]',
        "argv": '["/path/to/program", "argument"]',
        "pass_env": '["NAME"]',
        "env": '{ NAME = "value" }',
        "actions": "a table [actions]",
        "oci.actions": '{ "team/**" = ["pull", "push"] }',
        "realm_hosts": '["auth.example.com"]',
        "allow_private": '["10.0.0.0/8"]',
        "bare_host": '"basic", "none" or { scopes = ["repository:app:pull"] }',
        "scopes": '["repository:app:pull"]',
        "google.scopes": '["https://www.googleapis.com/auth/devstorage.read_only"]',
        "bare_host_scopes": '["repository:app:pull"]',
        "name": '"NAME"',
        "header.name": '"X-Api-Key"',
        "systemd-credential.name": '"cache-key"',
        "path": '"/path/to/file"',
        "vault.path": '"secret/data/ci/registry"',
        "login.host": '"files.corp.example"',
        "github-app.host": '"acme.ghe.com"',
        "repositories": '["app"]',
        "permissions": '{ contents = "read" }',
        "ways": '["workload", "cli"]',
        "fields": '{ value = "token" }',
        "headers": '{ Authorization = "Bearer {token}" }',
        "basic": '["username", "password"]',
        "auth": '{ method = "kubernetes", role = "ci" }',
        "oauth2.scope": '["read"]',
        "oauth2.audience": '["https://api.example.com"]',
        "resource": '["https://api.example.com/"]',
    },
)
"""How the values of keys are written, for messages: newcomers copy them."""

_KEY = 300
_WORD = 200
_PROBLEM = 2000
"""Characters of a path of keys, of one word and of all words of a mistake: a value may be a whole file, pasted in the wrong place."""

_MERGED = ("cache", "log")
"""Tables whose keys are merged from several files; merging rules for build actions would change their meaning."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a file.

    Attributes:
        where: the file.
        line: 1-based; 0 for the file as a whole.
        path: such as ``host[1].match``; "" for the document.
        problem: what is wrong and what was wanted.
    """

    where: str
    line: int
    path: str
    problem: str

    def __str__(self) -> str:
        key = f"{cut(self.path, _KEY)}: " if self.path else ""
        return f"{self.where}:{self.line}: {key}{cut_words(mask_text(self.problem), _WORD, most=_PROBLEM)}"


class ConfigError(Exception):
    """A file cannot be used; holds every mistake that was found."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)

    def failed(self) -> Failed:
        """The same as a Failure: the first mistake, and how many more there are."""
        more = f" (and {len(self.mistakes) - 1} more)" if len(self.mistakes) > 1 else ""
        return failed(Code.CONFIG_INVALID, f"{self.mistakes[0]}{more}", hint="credproxy config check")


def decode(content: bytes, where: str) -> str:
    """Give the text of a file. Raises ConfigError with the line that is not UTF-8, as TOML has to be."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Mistake(where, line, "", "not in UTF-8; save the file as UTF-8 text")]) from None


def load(text: str, where: str, *, home: str = "") -> Settings:
    """Read one file.

    Args:
        text: the file's.
        where: its name, for messages.
        home: the directory that ``~/`` stands for in paths; "" if there is none.

    Raises:
        ConfigError: with every mistake; only text that cannot be read as TOML hides what follows it.
    """
    return _settings(_read(text, where, home))


def load_files(files: Sequence[tuple[str, str]], home: str = "") -> Settings:
    """Read files, the most important first, into one.

    A key of an earlier file wins over the same key of a later one; host rules are combined, and of two with the
    same ``match`` the earlier file's wins.

    Args:
        files: name and text of those that exist.
        home: as for ``load``.

    Raises:
        ConfigError: the mistakes of all files.
    """
    merged: dict[str, object] = {}
    mistakes: list[Mistake] = []
    for where, text in files:
        try:
            merged = _over(merged, _read(text, where, home))
        except ConfigError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return _settings(merged)


def schema() -> dict[str, object]:
    """Give the JSON schema of a configuration file, for editors."""
    return msgspec.json.schema(Settings)


def shown(path: Path) -> str:
    """Write a path as people do, such as ``host[1].match``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _read(text: str, where: str, home: str) -> dict[str, object]:
    """The document of one file without mistakes."""
    parsed = parse_toml(text)
    mistakes = [Mistake(where, line, "", problem) for line, problem in parsed.mistakes]
    fitted = fit(parsed.document, _SHAPE, home=home, unread=parsed.unread)
    found = [*fitted.mistakes]
    if fitted.value is not None:
        found += fitted.meant(check(_settings(fitted.value), fitted.place))
    mistakes += [Mistake(where, locate(text, path), shown(path), problem) for path, problem in found]
    if mistakes:
        raise ConfigError(sorted(mistakes, key=lambda mistake: mistake.line))
    return fitted.value or {}


def _settings(document: Mapping[str, object]) -> Settings:
    return msgspec.convert(document, Settings, strict=True)


def _over(upper: Mapping[str, object], lower: Mapping[str, object]) -> dict[str, object]:
    """Lay one document over another one."""
    merged = {**lower, **upper}
    for name in _MERGED:
        above, below = upper.get(name), lower.get(name)
        if isinstance(above, dict) and isinstance(below, dict):
            merged[name] = {**below, **above}
    above, below = upper.get("host"), lower.get("host")
    if isinstance(above, list) and isinstance(below, list):
        named = {match_key(rule["match"]) for rule in above}
        merged["host"] = [*above, *(rule for rule in below if match_key(rule["match"]) not in named)]
    return merged
