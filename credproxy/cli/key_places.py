"""Where in the files of a configuration a key of the merged settings is."""

import tomllib
from collections.abc import Iterator

from credproxy.cli.read_config import home
from credproxy.core.config.parse import Mistake, load, shown
from credproxy.core.formats.toml_lines import Path, locate
from credproxy.core.policy.routing import match_key
from credproxy.doctor.finding import Where


def key_places(files: list[tuple[str, str]]) -> Where:
    """Give the prefix of a message: ``FILE:LINE: KEY: ``, or "" if no file has the key."""
    parts = dict(_parts(files))

    def place(path: Path) -> str:
        size = 2 if path[0] == "host" else 1
        where = parts.get(path[:size])
        if where is None:
            return ""
        name, text, begin = where
        there = (*begin, *path[size:])
        return str(Mistake(name, locate(text, there), shown(there), ""))

    return place


def _parts(files: list[tuple[str, str]]) -> Iterator[tuple[Path, tuple[str, str, Path]]]:
    """For each part of the settings: the file that it comes from, its text, and where in the text the part is.

    Follows how files are merged (``core.config.parse.load_files``): of two rules for one host the first file's stays.
    """
    index, seen, keys = 0, set[object](), set[str]()
    for name, text in files:
        for key in tomllib.loads(text).keys() - keys:
            keys.add(key)
            yield (key,), (name, text, (key,))
        mine = [match_key(rule.match) for rule in load(text, name, home=home()).host]
        for at, host in enumerate(mine):
            if host not in seen:
                yield ("host", index), (name, text, ("host", at))
                index += 1
        seen.update(mine)
