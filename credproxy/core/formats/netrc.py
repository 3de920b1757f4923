r"""What a netrc file says: one login for each machine, or what is wrong with its entry.

::

    # a comment: a line of its own, or what follows "#" where a keyword might stand
    machine reg.test login alice password "a \"quoted\" value"
    macdef name            everything up to the next blank line is skipped
    default login x ...    belongs to no host, and is skipped

The two readers that our users know are Bazel's and curl's. What both accept, we accept, with the same bytes. Where they
differ:

==============================  =========================  ==========================  ================================
what                            Bazel                      curl                        here
==============================  =========================  ==========================  ================================
a machine named twice           the last                   the first with a password   as curl
``"a b"``                       two words, with quotes     one value, ``\`` escapes     as curl
keywords and hosts in capitals  other words                the same                    as curl
a value that starts with ``#``  a value                    7.88: a comment; 8: a value  as Bazel, and curl 8
``#`` after an entry            the file is refused        7.88: a comment             a comment
a word that is not a keyword    the file is refused        skipped                     this machine's entry is refused
a byte above 0x7F               Latin-1, sent as UTF-8     sent as it is               as curl
a byte order mark               the file is refused        hides the first machine     skipped
``machine h``, without a login  an empty login is sent     nothing is sent             this machine's entry is refused
machines after ``default``      never reached              never reached               read: ``default`` has no meaning
a file that ends in a keyword   the file is refused        an empty value              this machine's entry is refused
==============================  =========================  ==========================  ================================

Source: Bazel src/main/java/com/google/devtools/build/lib/authandtls/NetrcParser.java; curl lib/netrc.c (7.84 and newer).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from credproxy.core.ask.credential import Secret, UserPassword
from credproxy.core.ask.empty import blank
from credproxy.core.ask.stored import unreadable, usable
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.errors import Failed, Failure


_BLANK = " \t\r\v\f"
"""What both Bazel's ``\\s`` and curl's ISSPACE take, apart from the end of a line."""

_BLANKS = re.compile(rf"[{_BLANK}]*")
_WORD = re.compile(rf'"((?:[^"\\]|\\.)*)"(?=[{_BLANK}]|$)|[^{_BLANK}]+')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PORT = re.compile(r".*:[0-9]+")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_VALUES = ("login", "password", "account")

_COMPLETE = "write it as: machine {host} login NAME password PASSWORD"
_CORRECT = r"correct that line: a value with a space in it goes in double quotes, with \" for a quote of its own"


@dataclass(frozen=True, slots=True)
class NetrcMistake:
    """What is wrong with a file, and in which line; it quotes nothing, as any word may be part of a password."""

    line: int
    problem: str

    def __str__(self) -> str:
        return f"line {self.line} {self.problem}"


@dataclass(slots=True)
class _NetrcMachine:
    """What follows one ``machine``; ``host`` is None for ``default`` and for a name that cannot be read."""

    host: str | None
    line: int
    values: dict[str, str] = field(default_factory=dict, repr=False)
    mistake: NetrcMistake | None = None

    @property
    def decides(self) -> bool:
        """True if a later entry for the same host is ignored."""
        return self.mistake is not None or {"login", "password"} <= self.values.keys()


@dataclass(frozen=True, slots=True)
class NetrcFile:
    """The content of a file.

    Attributes:
        logins: by host, those that can be used.
        broken: by host, why its entry cannot be used.
        mistakes: all of them, in the order of their lines; including those that belong to no machine.
    """

    logins: Mapping[str, UserPassword]
    broken: Mapping[str, Failure]
    mistakes: tuple[NetrcMistake, ...]

    @property
    def hosts(self) -> frozenset[str]:
        """The machines that are named, whether their login can be used or not."""
        return frozenset(self.logins) | frozenset(self.broken)


def parse_netrc(content: bytes, where: str) -> NetrcFile:
    """Read a file.

    Args:
        content: its bytes; a login that is not UTF-8 comes out with ``surrogateescape``, and so keeps its bytes.
        where: names the file in messages, such as ``the netrc file '/home/u/.netrc'``.

    Returns:
        Hosts in the form that ``Target.host`` has.

    Raises:
        Failed(credential_unreadable): nothing can be read from it, since it is UTF-16.
    """
    if content.startswith(_UTF16):
        raise unreadable(where, "is in UTF-16", hint="save it as UTF-8")
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    entries, mistakes = _NetrcReader(text).read()
    logins: dict[str, UserPassword] = {}
    broken: dict[str, Failure] = {}
    for host, entry in _chosen(entries):
        try:
            logins[host] = _login(host, entry, where)
        except Failed as error:
            broken[host] = error.failure
            if entry.mistake is None:
                mistakes.append(NetrcMistake(entry.line, f"names {host!r}, whose login cannot be used"))
    return NetrcFile(logins, broken, tuple(sorted(mistakes, key=lambda mistake: mistake.line)))


class _NetrcWords:
    """The words of a text, each read as a keyword or as a value: only before a keyword does ``#`` begin a comment."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._text = ""
        self._at = 0
        self.line = 0

    def keyword(self) -> str | None:
        """Give the next word in lower case, None at the end."""
        while self._more():
            if self._text[self._at] != "#":
                found = self._next()
                return (found[0] if found[1] is None else found[1]).lower()
            self._at = len(self._text)
        return None

    def value(self) -> str | None:
        """Give the next word, unquoted, None at the end. Raises ValueError if its quotes are not in order."""
        if not self._more():
            return None
        found = self._next()
        if found[1] is not None:
            return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), found[1])
        if found[0].startswith('"'):
            self._at = len(self._text)  # its end is unknown: what follows may be part of it
            raise ValueError
        return found[0]

    def skip_macro(self) -> None:
        """Continue after the next blank line."""
        self._at = len(self._text)
        while self.line < len(self._lines):
            self.line += 1
            if not self._lines[self.line - 1].strip(_BLANK):
                return

    def _next(self) -> re.Match[str]:
        found = _WORD.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return found

    def _more(self) -> bool:
        """Go to the next word, over lines that are blank or comments; False if there is none."""
        self._skip_blanks()
        while self._at == len(self._text):
            if self.line == len(self._lines):
                return False
            self._text, self._at = self._lines[self.line], 0
            self.line += 1
            self._skip_blanks()
            if self._text.startswith("#", self._at):
                self._at = len(self._text)
        return True

    def _skip_blanks(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        assert found is not None
        self._at = found.end()


class _NetrcReader:
    """Gathers entries, word by word."""

    def __init__(self, text: str) -> None:
        self._words = _NetrcWords(text)
        self._entries: list[_NetrcMachine] = []
        self._mistakes: list[NetrcMistake] = []
        self._current: _NetrcMachine | None = None

    def read(self) -> tuple[list[_NetrcMachine], list[NetrcMistake]]:
        """Give the entries; a mistake is also noted in the entry that it spoils."""
        while (keyword := self._words.keyword()) is not None:
            if keyword == "macdef":
                self._words.skip_macro()
            elif keyword in {"machine", "default"}:
                self._begin(keyword)
            elif keyword not in _VALUES:
                self._complain("has a word that is not a keyword")
            else:
                self._take(keyword)
        return self._entries, self._mistakes

    def _begin(self, keyword: str) -> None:
        # Set first: the login of an unreadable name must not go to the machine before it.
        self._current = _NetrcMachine(None, self._words.line)
        name = None if keyword == "default" else self._value(keyword)
        if name is None:
            return
        self._current.host = _host(name)
        self._entries.append(self._current)
        if _PORT.fullmatch(name) and name.count(":") == 1:
            self._mistakes.append(
                NetrcMistake(self._words.line, "names a machine with a port: it is never found, so leave the port out")
            )

    def _take(self, keyword: str) -> None:
        if self._current is None:
            self._complain(f"has {keyword!r} before any machine")
        value = self._value(keyword)
        if self._current is not None and value is not None:
            self._current.values[keyword] = value

    def _value(self, keyword: str) -> str | None:
        line = self._words.line
        try:
            value = self._words.value()
        except ValueError:
            self._complain("has a quote that is not closed, or a word right after a closing one")
            return None
        if value is None:
            self._complain(f"ends with {keyword!r} and no value for it", line)
        return value

    def _complain(self, problem: str, line: int | None = None) -> None:
        mistake = NetrcMistake(self._words.line if line is None else line, problem)
        self._mistakes.append(mistake)
        if self._current is not None and self._current.mistake is None:
            self._current.mistake = mistake


def _chosen(entries: list[_NetrcMachine]) -> Iterator[tuple[str, _NetrcMachine]]:
    """One entry for each host: the first that decides, else the first."""
    by_host: dict[str, list[_NetrcMachine]] = {}
    for entry in entries:
        if entry.host is not None:
            by_host.setdefault(entry.host, []).append(entry)
    for host, named in by_host.items():
        yield host, next((entry for entry in named if entry.decides), named[0])


def _login(host: str, entry: _NetrcMachine, where: str) -> UserPassword:
    if entry.mistake is not None:
        raise unreadable(f"the entry of {host!r} in {where}", f"cannot be read: {entry.mistake}", hint=_CORRECT)
    place = f"the entry of {host!r} in {where}, line {entry.line},"
    name, password = entry.values.get("login", ""), entry.values.get("password", "")
    hint = _COMPLETE.format(host=host)
    if blank(name):
        raise unreadable(place, "has no login", hint=hint)
    if ":" in name or _CONTROL.search(name + password):
        raise unreadable(place, "has a ':' in its login, or a control character, which Basic cannot carry", hint=hint)
    found = UserPassword(name, Secret(password))
    usable(found, place, hint=hint)
    return found


def _host(name: str) -> str:
    """The host in the form that ``Target.host`` has; a name that is not a host, such as ``host:port``, matches nothing."""
    bracketed = f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name  # curl: ::1, Bazel: [::1]
    return canonical_authority(bracketed, "") or name.lower()
