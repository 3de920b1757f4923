"""docs/design has a text for every cited rule, and no text for an uncited rule."""

import ast
import functools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
DESIGN = ROOT / "docs" / "design"
VECTORS = ROOT / "tests" / "exchange" / "test_challenge.py"
ID = re.compile(
    r"(?<![\w%/\\-])((?:TX|CH|SC|DC|RQ|CL|P|T)-\d+a?|SEC-(?:\d+|[RH])|PY\d+|[AFTUHCPRSV]\d{1,2})(?!\w|\.\d)"
)
RANGE = re.compile(ID.pattern + r" to " + ID.pattern)
PAGE = re.compile(r"docs/design/(\w+)\.md((?:#[\w-]+(?:(?: and |, )(?=#))?)*)")
NOT_RULES = {
    "S3",  # Amazon's
    "V2",  # a path in upper case
    "T0",  # the beginning of a fake clock's time
    "C11",  # the language
}


def test_every_id_that_is_cited_has_a_rule() -> None:
    """A reader of a citation only has the repository."""
    missing = {rule: place for rule, place in cited().items() if rule not in rules()}
    assert not missing


def test_every_rule_is_cited() -> None:
    """A rule without a citation is not implemented, or was renamed."""
    assert sorted(set(rules()) - set(cited())) == []


def test_a_rule_stands_in_one_place() -> None:
    """Two texts for one id would not agree for long."""
    ids = re.findall(r'<a id="([\w-]+)"></a>', "".join(page.read_text() for page in DESIGN.glob("*.md")))
    assert len(ids) == len(set(ids))
    assert len(ids) > 250


def test_anchor_and_name_of_a_rule_agree() -> None:
    """Links use the anchor, searches the name."""
    for page in DESIGN.glob("*.md"):
        for anchor, name in re.findall(r'<a id="([\w-]+)"></a>\*\*([\w-]+)\*\*', page.read_text()):
            assert anchor == name.lower(), page


def test_every_page_and_heading_that_is_cited_is_there() -> None:
    """Also the second of two (``a.md#x and #y``)."""
    found = 0
    for path, text in texts():
        for page, anchors in PAGE.findall(text):
            assert (DESIGN / f"{page}.md").exists(), path
            for anchor in re.findall(r"#([\w-]+)", anchors):
                assert anchor in headings(page), f"{path}: {page}.md#{anchor}"
                found += 1
    assert found > 50


@pytest.mark.parametrize("name", ["design", "token-exchange", "reliability", "clients", "providers", "style"])
def test_nothing_cites_a_text_that_a_reader_does_not_have(name: str) -> None:
    """The original design documents are not in the repository."""
    own = re.compile(rf"(?<![\w/-]){name}\.md")
    assert not [path for path, text in texts() if own.search(text) and path.parent != DESIGN]


@pytest.mark.timeout(60)  # it parses the whole package
def test_no_message_has_an_id() -> None:
    """A message is for users: it says what is wrong, not which rule it comes from."""
    for path in sorted((ROOT / "credproxy").rglob("*.py")):
        for line, text in messages(path):
            assert not [rule for rule in ID.findall(text) if rule not in NOT_RULES], f"{path}:{line}: {text!r}"


def test_the_schema_has_no_id() -> None:
    """Editors show it to the author of a configuration."""
    schema = json.dumps(json.loads((ROOT / "docs" / "reference" / "config.schema.json").read_text()))
    assert not [rule for rule in ID.findall(schema) if rule not in NOT_RULES]
    assert ".md" not in schema


def test_no_name_of_a_test_has_an_id() -> None:
    """The name is a sentence; the rule's id is in the docstring, where a search finds it."""
    numbers = {rule.replace("-", "").lower() for rule in rules()}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for words in re.findall(r"def test_(\w+)", path.read_text()):
            assert not numbers.intersection(words.split("_")), f"{path}: {words}"


@functools.cache
def rules() -> frozenset[str]:
    """The ids that have a text: in docs/design, and the vectors in their own table."""
    texts = "".join(page.read_text() for page in DESIGN.glob("*.md"))
    return frozenset(re.findall(r'<a id="[\w-]+"></a>\*\*([\w-]+)\*\*', texts)) | frozenset(
        re.findall(r'^    "(V\d\d)": ', VECTORS.read_text(), re.MULTILINE)
    )


@functools.cache
def cited() -> dict[str, str]:
    """Each id that is cited, with one of the places; those between the ends of a range, too."""
    found: dict[str, str] = {}
    for path, text in texts():
        if path.is_relative_to(DESIGN):
            continue
        words = set(ID.findall(text)) | {rule for begin, end in RANGE.findall(text) for rule in between(begin, end)}
        found |= dict.fromkeys(words - NOT_RULES, str(path.relative_to(ROOT)))
    # A rule that cites another one counts; a rule that names itself does not.
    for page in DESIGN.glob("*.md"):
        for line in page.read_text().splitlines():
            own = re.match(r'- <a id="[\w-]+"></a>\*\*([\w-]+)\*\*', line)
            if own:
                others = set(ID.findall(line)) - NOT_RULES - {own[1]}
                found |= {rule: str(page.relative_to(ROOT)) for rule in others if rule not in found}
    return found


def between(begin: str, end: str) -> Iterator[str]:
    """``TX-7`` to ``TX-9``: all three, in the width they are written in."""
    first, last = (re.fullmatch(r"(.*?)(\d+)a?", rule) for rule in (begin, end))
    if first is None or last is None or first[1] != last[1]:
        return
    for number in range(int(first[2]), int(last[2]) + 1):
        yield f"{first[1]}{number:0{len(first[2])}}"


@functools.cache
def headings(page: str) -> frozenset[str]:
    """The anchors that a page's headings make, as GitHub does, and its rules'."""
    text = (DESIGN / f"{page}.md").read_text()
    made = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    return frozenset(made) | frozenset(re.findall(r'<a id="([\w-]+)">', text))


@functools.cache
def texts() -> tuple[tuple[Path, str], ...]:
    """Texts for readers: whole pages; comments, docstrings and names of cases of source files."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    paths = [ROOT / name for name in names if (ROOT / name).suffix in {".md", ".py", ".c"}]
    return tuple(
        (path, spoken(path) if path.suffix == ".py" else path.read_text())
        for path in paths
        if path != Path(__file__) and path.exists()
    )


def spoken(path: Path) -> str:
    """A module's docstrings, its comments (but for lint's codes), and the strings that name a test's case."""
    text = path.read_text()
    found = re.findall(r'"""(.*?)"""', text, re.DOTALL)
    found += [comment.partition("# noqa")[0] for comment in re.findall(r"(?:^|\s)(# .+)$", text, re.MULTILINE)]
    found += re.findall(r'\bid="([^"]+)"', text)
    if path.is_relative_to(ROOT / "tests"):
        found += re.findall(r'"((?:TX?-\d+|V\d\d|SEC-\w+)\b[^"]*)"', text)
    return "\n".join(found)


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Each string of a module that is not a docstring, with its line."""
    tree = ast.parse(path.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value
