"""From TOML to Settings: strict, and every mistake with its line.

Types say most of it (``core/settings.py``); what a type cannot say is checked here. Files are read by the caller.
"""

import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import get_args

import msgspec

from credproxy.core.config_checks import check
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.settings import (
    ActionRule,
    ActionsSettings,
    BareHost,
    CacheSettings,
    HostRule,
    LogSettings,
    Settings,
    SourceSettings,
)
from credproxy.core.toml_lines import Path, locate


_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]")
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


_TABLES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "actions": (ActionsSettings,),
    "rule": (ActionRule,),
    "cache": (CacheSettings,),
    "log": (LogSettings,),
    "bare_host": (BareHost,),
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a file.

    Attributes:
        where: the file.
        line: 1-based; 0 where the file as a whole is meant.
        path: such as ``host[1].match``; "" for the document.
        problem: what is wrong and what was wanted.
    """

    where: str
    line: int
    path: str
    problem: str

    def __str__(self) -> str:
        key = f"{self.path}: " if self.path else ""
        return f"{self.where}:{self.line}: {key}{self.problem}"


class ConfigError(Exception):
    """A file cannot be used; holds every mistake that was found."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)

    def failed(self) -> Failed:
        """The same as a failure of the closed list: the first mistake, and how many more there are."""
        more = f" (and {len(self.mistakes) - 1} more)" if len(self.mistakes) > 1 else ""
        return failed(Code.CONFIG_INVALID, f"{self.mistakes[0]}{more}", "credproxy config check")


def load(text: str, where: str) -> Settings:
    """Read one file.

    Raises:
        ConfigError: with every mistake that the checks found; a mistake of shape hides those behind it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        raise ConfigError([Mistake(where, line, "", _lower(_TOML_PLACE.sub("", str(error))))]) from None
    try:
        settings = msgspec.convert(document, Settings, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError([_shape(str(error), document, text, where)]) from None
    mistakes = [Mistake(where, locate(text, path), shown(path), problem) for path, problem in check(settings)]
    if mistakes:
        raise ConfigError(mistakes)
    return settings


def load_files(files: Sequence[tuple[str, str]]) -> Settings:
    """Read files, the most important first, into one.

    A key of an earlier file wins over the same key of a later one; host rules are put together, and of two with the
    same ``match`` the earlier file's stays.

    Args:
        files: name and text of those that exist.

    Raises:
        ConfigError: the mistakes of all files.
    """
    loaded: list[Settings] = []
    mistakes: list[Mistake] = []
    for where, text in files:
        try:
            loaded.append(load(text, where))
        except ConfigError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    result = Settings()
    for settings in reversed(loaded):
        result = _over(settings, result)
    return result


def schema() -> dict[str, object]:
    """Give the JSON schema of a configuration file, for editors."""
    return msgspec.json.schema(Settings)


def _over(upper: Settings, lower: Settings) -> Settings:
    named = {rule.match for rule in upper.host}
    hosts = (*upper.host, *(rule for rule in lower.host if rule.match not in named))
    default = Settings()
    changed = {
        field: getattr(upper, field)
        for field in Settings.__struct_fields__
        if field != "host" and getattr(upper, field) != getattr(default, field)
    }
    return msgspec.structs.replace(lower, host=hosts, **changed)


def read_complaint(message: str) -> tuple[Path, str, str | None]:
    """Split msgspec's message: where, what, and the key that is unknown there, if that is the problem.

    Its form is ``Object contains unknown field `x` - at `$.host[1]` ``.
    """
    problem, _, place = message.partition(" - at ")
    path = tuple(name or (int(index) if index.isdigit() else 0) for name, index in _STEP.findall(place.strip("`")))
    unknown = re.search(r"unknown field `([^`]+)`", problem)
    return path, _lower(problem.replace("`", "'")), unknown[1] if unknown else None


def unknown_key(name: str, known: Collection[str]) -> str:
    """Say that there is no such key, and which was probably meant."""
    close = get_close_matches(name, known, 1)
    if close:
        return f"there is no such key; did you mean {close[0]!r}?"
    return f"there is no such key{'; known here: ' if known else ''}{', '.join(sorted(known))}"


def shown(path: Path) -> str:
    """Write a path as people do, such as ``host[1].match``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _shape(message: str, document: object, text: str, where: str) -> Mistake:
    path, problem, unknown = read_complaint(message)
    if unknown is not None:
        problem = unknown_key(unknown, _known_keys(path, document))
        path = (*path, unknown)
    invalid = re.search(r"^invalid value '([^']*)'", problem)
    tags = _tags(path)
    if invalid is not None and tags:
        problem = f"{invalid[1]!r} is none of {', '.join(tags)}"
    return Mistake(where, locate(text, path), shown(path), problem)


def _known_keys(path: Path, document: object) -> list[str]:
    """The keys that may stand at a place: found by what kind of rule or source stands there."""
    here: object = document
    for step in path:
        if isinstance(here, dict) and isinstance(step, str):
            here = here.get(step)
        elif isinstance(here, list) and isinstance(step, int):
            here = here[step]
    return sorted(_fields_of(path, here))


def _fields_of(path: Path, table: object) -> set[str]:
    kinds: tuple[type[msgspec.Struct], ...] = (Settings,)
    tag = ""
    if isinstance(table, dict) and path:
        for name, union in (("provider", HostRule), ("source", SourceSettings)):
            if name in table:
                tag = name
                kinds = tuple(kind for kind in get_args(union) if kind.__struct_config__.tag == table[name])
        if not tag:
            name = next((step for step in reversed(path) if isinstance(step, str)), "")
            kinds = _TABLES.get(name, ())
    return {field for kind in kinds for field in kind.__struct_encode_fields__} | ({tag} if tag else set())


def _tags(path: Path) -> list[str]:
    union = {"provider": HostRule, "source": SourceSettings}.get(str(path[-1]) if path else "")
    return [] if union is None else [repr(kind.__struct_config__.tag) for kind in get_args(union)]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
