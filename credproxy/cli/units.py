"""The shipped service files: filled in for this machine, and marked, so that a user's changes are noticed."""

import hashlib
import re
from importlib import resources
from xml.sax.saxutils import escape


_MARK = "written by credproxy install, sha256"
_MARKED = re.compile(rf"^.*{_MARK} ([0-9a-f]{{64}}).*\n", re.MULTILINE)
_PLAIN = re.compile(r"[-A-Za-z0-9/_.+@]+")
_STAND_INS = re.compile(r"(?<=^ExecStart=)\S+/credproxy(?= )", re.MULTILINE)


def unit(name: str, *, program: str) -> str:
    """Give a systemd file of the package, with the program's absolute path in its ``ExecStart=``, and marked."""
    return _marked(_STAND_INS.sub(lambda _: quoted(program), _shipped(name)))


def actions_link(uid: int) -> str:
    """Give the tmpfiles.d snippet that links the one fixed path of the actions socket to that user's."""
    return _marked(_shipped("user/credproxy-actions.tmpfiles.conf").replace("@UID@", str(uid)))


def agent(*, program: str, home: str) -> str:
    """Give launchd's property list."""
    text = _shipped("launchd/credproxy.plist").replace("@PROGRAM@", escape(program)).replace("@HOME@", escape(home))
    declaration, rest = text.split("\n", 1)  # which must come first
    return f"{declaration}\n<!-- {_MARK} {_hash(text)} -->\n{rest}"


def untouched(text: str) -> bool:
    """Whether a file is as some version of ours wrote it."""
    found = _MARKED.search(text)
    return found is not None and found[1] == _hash(_MARKED.sub("", text, count=1))


def quoted(path: str) -> str:
    """Quote a path for systemd: a percent sign begins a specifier, a blank ends a word. Source: systemd.syntax(7)."""
    path = path.replace("%", "%%")
    return path if _PLAIN.fullmatch(path) else '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shipped(name: str) -> str:
    return resources.files("credproxy").joinpath("units", name).read_text(encoding="utf-8")


def _marked(text: str) -> str:
    return f"# {_MARK} {_hash(text)}\n{text}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
