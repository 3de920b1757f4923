"""Where a QR code is shown; what is in it is read by test_oauth_login.py in tests/real."""

import io
import os
import sys

import pytest

from credproxy.cli.qr_code import qr_code


class Terminal(io.StringIO):
    """One that shows text in an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the attribute of a text file
        """Of what is written."""
        return self._encoding

    def isatty(self) -> bool:
        """It is one."""
        return True


def shown(monkeypatch: pytest.MonkeyPatch, url: str = "https://id.test/d", **given: str) -> list[str]:
    """Its lines on a terminal."""
    out = Terminal(given.pop("encoding", "utf-8"))
    for name, value in ({"TERM": "xterm", "COLUMNS": "60", "LINES": "24"} | given).items():
        monkeypatch.setenv(name, value)
    return qr_code(url, columns=60, out=out).splitlines()


def test_it_is_drawn_dark_on_light_in_half_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever colours the terminal has."""
    lines = shown(monkeypatch)
    assert len(lines) == 13
    for line in lines:
        assert line.startswith("\x1b[97m\x1b[40m")
        assert line.endswith("\x1b[0m")
        assert len(line) == 25 + len("\x1b[97m\x1b[40m\x1b[0m")


@pytest.mark.parametrize(
    "given",
    [
        {"encoding": "ascii"},
        {"encoding": "latin-1"},
        {"TERM": "dumb"},
        {"COLUMNS": "24"},
        {"LINES": "13"},
        {"url": "https://id.test/" + "d" * 500},
        {"url": "https://id.test/" + "d" * 5000},
    ],
    ids=["ascii", "latin-1", "dumb", "narrow", "low", "long", "too long for any"],
)
def test_it_is_left_out_where_it_cannot_be_shown(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    """A code that is cut off or in pieces is none; the address stands above it."""
    assert shown(monkeypatch, **given) == []


def test_what_is_not_a_terminal_gets_none() -> None:
    """It may be a file."""
    assert not os.isatty(sys.stdout.fileno())
    assert qr_code("https://id.test/d", columns=60) == ""
