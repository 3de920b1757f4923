"""JSON and YAML as plain values: strict, with lines, and bounded."""

import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from credproxy.core.formats.documents import NODES, DocumentError, read_json, read_yaml


def complaint(text: str, *, as_json: bool = False) -> tuple[int, str]:
    """The line and the problem of a text that cannot be read."""
    with pytest.raises(DocumentError) as caught:
        (read_json if as_json else read_yaml)(text)
    return caught.value.line, caught.value.problem


def test_values_and_lines() -> None:
    """Each value has the line where it begins, and a key in a table its own."""
    found = read_yaml("a: 1\nb:\n  - x\n  - c: 'y'\n    d: >\n      z\n")
    assert found.value == {"a": "1", "b": ["x", {"c": "y", "d": "z\n"}]}
    assert found.lines[("a",)] == 1
    assert found.lines[("b",)] == 2
    assert found.lines[("b", 0)] == 3
    assert found.lines[("b", 1)] == found.lines[("b", 1, "c")] == 4
    assert found.lines[("b", 1, "d")] == 5


@pytest.mark.parametrize(
    "word",
    ["no", "off", "yes", "true", "12:30:45", "2026-01-01", "1e3", "=", "10.0.0.1", "1.2.3", "5", "08", "0", "<<"],
)
def test_yaml_1_1_has_no_traps(word: str) -> None:
    """Values are read as written: no booleans, sexagesimal numbers or dates."""
    assert read_yaml(f"a: {word}\n{word}: b").value == {"a": word, word: "b"}


@pytest.mark.parametrize("word", ["1.10", "010", "-010", "0o10", "0x1F", "0b1", "1_000", "+1", "1.", "-1.5"])
def test_what_parsers_rewrite_is_quoted(word: str) -> None:
    """``1.10`` is the repository 1.1 to rules_img, which is never intended."""
    assert complaint(f"a: b\nc: {word}") == (2, f"{word} can be read in more than one way; put it in quotes")
    assert read_yaml(f"a: '{word}'").value == {"a": word}


@pytest.mark.parametrize("word", ["", "~", "null", "Null", "NULL"])
def test_null(word: str) -> None:
    """A plain null is None; in quotes it is a word."""
    assert read_yaml(f"a: {word}\n").value == {"a": None}
    assert read_yaml(f"a: '{word}'\n").value == {"a": word}


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "null"])
def test_an_empty_document(text: str) -> None:
    """It is None, as in every parser."""
    assert read_yaml(text).value is None


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param("a: 1\nb: {", 2, "expected the node content", id="unclosed"),
        pytest.param("a: 1\n\ta: 2", 2, "found character '\\t'", id="tab"),
        pytest.param("a: 1\nb: x: y", 2, "mapping values are not allowed here", id="colon"),
        pytest.param("a: 1\nb: 2\na: 3", 3, "the key 'a' is there twice", id="twice"),
        pytest.param("x:\n- a: 1\n  a: 2", 3, "the key 'a' is there twice", id="twice-below"),
        pytest.param("a: 1\n---\nb: 2", 2, "a second document begins", id="second"),
        pytest.param("a: 1\n...\n---\n", 3, "a second document begins", id="second-empty"),
        pytest.param("a: !!python/object/apply:os.system [id]", 1, "the tag 'tag:yaml.org,2002:python/", id="python"),
        pytest.param("a: !!str 1", 1, "the tag 'tag:yaml.org,2002:str'", id="tag"),
        pytest.param("a: ! x", 1, "the tag '!'", id="bare-tag"),
        pytest.param("? [a]\n: 1", 1, "a key has to be a word", id="list-as-key"),
        pytest.param("? {a: 1}\n: 1", 1, "a key has to be a word", id="table-as-key"),
        pytest.param("a: *b", 1, "there is no anchor 'b' above; a pattern with '*' is written in quotes", id="alias"),
        pytest.param("a: &b [*b]", 1, "there is no anchor 'b' above", id="recursive"),
        pytest.param("a: *", 1, "a pattern with '*' is written in quotes", id="star"),
        pytest.param("a: **", 1, "a pattern with '*' is written in quotes", id="two-stars"),
        pytest.param("a: *.docker.io", 1, "a pattern with '*' is written in quotes", id="suffix"),
        pytest.param("a: 1\nb: \x01", 2, "there is a character that is not allowed", id="control"),
        pytest.param("%YAML 2.0\n---\na: 1", 1, "found incompatible YAML document", id="version"),
    ],
)
def test_what_yaml_may_not_be(text: str, line: int, problem: str) -> None:
    """Each is refused at its line; nothing is constructed, dropped or guessed."""
    found = complaint(text)
    assert found[0] == line
    assert problem in found[1]


def test_aliases_are_followed() -> None:
    """Policies of rules_img may name a list once."""
    found = read_yaml("a: &read [x, y]\nb: *read\n")
    assert found.value == {"a": ["x", "y"], "b": ["x", "y"]}
    assert found.lines[("b",)] == 2


def test_aliases_are_counted() -> None:
    """Ten lines that stand for a thousand million values are refused before they are expanded."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )
    line, problem = complaint(bomb)
    assert line == 6
    assert problem == f"more than {NODES} values, those of aliases counted"


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 5000])
def test_depth_is_bounded(text: str) -> None:
    """And the parser is not asked for the rest."""
    assert complaint(text)[1] in {"nested too deeply", "a key has to be a word"}


def test_json_has_lines_as_well() -> None:
    """Also if it is indented with tabs, and if a string contains what YAML reads differently."""
    text = '{\n\t"a": 1,\n\t"b": [\n\t\t{"c": "\\/ \\u00e9 \\ud83d\\ude00 # : *"}\n\t]\n}\n'
    found = read_json(text)
    assert found.value == json.loads(text)
    assert (found.lines[("b",)], found.lines[("b", 0, "c")]) == (3, 4)


def test_json_that_yaml_cannot_read_has_no_lines() -> None:
    """The value counts; the line is optional."""
    assert read_json('{"a": "\x7f"}') == ({"a": "\x7f"}, {})


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param('{"a": 1,\n"b" 2}', 2, "expecting ':' delimiter", id="grammar"),
        pytest.param('{"a": 1}\n{"a": 1}', 2, "extra data", id="second"),
        pytest.param('{"a": 1}\nx', 2, "extra data", id="trailing"),
        pytest.param('{"a": 1,\n"a": 2}', 2, "the key 'a' is there twice", id="twice"),
        pytest.param('{\n\t"x": [\n\t{"a": 1,\n\t"a": 2}]}', 4, "the key 'a' is there twice", id="twice-below"),
        pytest.param('{"a": "\x7f",\n"a": 2}', 1, "the key 'a' is there twice", id="twice-beyond-yaml"),
        pytest.param("", 1, "expecting value", id="empty"),
        pytest.param("{'a': 1}", 1, "expecting property name", id="single-quotes"),
        pytest.param('{"a": 1,}', 1, "", id="trailing-comma"),
        pytest.param("[" * 200_000, 1, "nested too deeply", id="deep"),
    ],
)
def test_what_json_may_not_be(text: str, line: int, problem: str) -> None:
    """JSON is strict, also where YAML would accept more."""
    found = complaint(text, as_json=True)
    assert found[0] == line
    assert problem in found[1]


@given(st.text(st.sampled_from("ab:-[]{}&*!#'\"|> \n\t,?"), max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    """Fuzz: a text is parsed, or its problem is reported."""
    for read in (read_yaml, read_json):
        with contextlib.suppress(DocumentError):
            read(text)


def test_what_another_program_wrote_is_text_whatever_its_tag() -> None:
    """``glab`` writes ``!!null TOKEN`` over an empty value, and a user cannot be asked to quote what a program wrote."""
    text = "token: !!null glpat-x\nuser: 010\n"
    with pytest.raises(DocumentError):
        read_yaml(text)
    assert read_yaml(text, tags=True).value == {"token": "glpat-x", "user": "010"}


def test_a_byte_order_mark_before_json_means_nothing() -> None:
    """Some editors add one; YAML and TOML may have it as well."""
    assert read_json('\ufeff{"a": [1]}') == read_json('{"a": [1]}')
