"""Each provider has its page in docs/reference/providers, and each source its section in sources.md.

By tag: every option on its own page, an example that loads, and how a user logs in.
"""

import re
from pathlib import Path

import msgspec
import pytest

from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.parse import load
from credproxy.core.kinds import KINDS, HostRule
from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.sources.base import SourceBase
from tests.kind_samples import SOURCES


REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
TAGS = sorted(kind.tag() for kind in KINDS)
SOURCE_OF = {str(kind.__struct_config__.tag): kind for kind in SOURCES}


def page(tag: str) -> str:
    """The page of one provider; a missing one is a mistake of a new kind."""
    return (REFERENCE / "providers" / f"{tag}.md").read_text()


def section(tag: str) -> str:
    """The section of one source, on the page of all sources."""
    _, found, text = (REFERENCE / "sources.md").read_text().partition(f'\n## `source = "{tag}"`\n')
    assert found, f'docs/reference/sources.md has no heading `source = "{tag}"`'
    return text.partition("\n## ")[0]


def examples(text: str) -> list[HostRule]:
    """The host rules of all examples, read as the daemon reads them."""
    loaded = (load(example, "example") for example in re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    return [rule for settings in loaded for rule in settings.host]


def rows(text: str) -> set[str]:
    """The keys that tables explain: the first column, of which one row may have several."""
    first = re.findall(r"^\| (`[^|]*?) \|", text, re.MULTILINE)
    return {key for cell in first for key in re.findall(r"`(\w+)`", cell)}


def nested(kind: type[HostBase | SourceBase]) -> set[str]:
    """The keys of tables within an option, such as ``bare_host = { scopes }``; sources have sections of their own."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    found: set[str] = set()
    for option in info.fields:
        for one in option.type.types if isinstance(option.type, msgspec.inspect.UnionType) else (option.type,):
            if isinstance(one, msgspec.inspect.StructType) and not issubclass(one.cls, SourceBase):
                found |= {field.encode_name for field in one.fields}
    return found


OF_EVERY_KIND = frozenset({"match", "client_cert", "client_key"})
"""Options that mean the same everywhere."""


def test_the_options_of_every_kind_have_their_rows_before_the_table_of_providers() -> None:
    """On one page for all."""
    text = (REFERENCE / "configuration.md").read_text().partition("\n## Host rules")[2].partition("\n## ")[0]
    assert rows(text) >= OF_EVERY_KIND
    assert all(set(kind.__struct_encode_fields__) >= OF_EVERY_KIND for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.tag() for kind in KINDS])
def test_every_option_of_a_provider_has_a_row_in_its_page(kind: type[HostBase]) -> None:
    """Readers do not find an option on another provider's page."""
    options = set(kind.__struct_encode_fields__) - OF_EVERY_KIND
    assert options <= rows(page(kind.tag()))
    assert {key for key in nested(kind) if f"`{key}`" not in page(kind.tag())} == set()


@pytest.mark.parametrize("kind", KINDS, ids=[kind.tag() for kind in KINDS])
def test_the_page_of_a_provider_has_an_example_that_loads_and_says_how_to_log_in(kind: type[HostBase]) -> None:
    """The example fits the text of ``setup``: users copy both as they are."""
    ours = [rule for rule in examples(page(kind.tag())) if isinstance(rule, kind)]
    assert ours
    told = {rule.setup(parse_uri(f"https://{rule.match.removeprefix('*.')}/")) for rule in ours}
    assert {text for text in told if text in page(kind.tag())}, told


def test_every_page_is_that_of_a_provider_and_is_linked_to() -> None:
    """A page without links is not read."""
    assert sorted(path.stem for path in (REFERENCE / "providers").glob("*.md")) == TAGS
    table = (REFERENCE / "configuration.md").read_text().partition("\n## Host rules")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| \[`(\w+)`\]\(providers/\1\.md\)", table, re.MULTILINE)) == TAGS


@pytest.mark.parametrize("tag", SOURCE_OF)
def test_every_option_of_a_source_has_a_row_in_its_section(tag: str) -> None:
    """And an example that loads."""
    options = set(SOURCE_OF[tag].__struct_encode_fields__)
    assert options <= rows(section(tag))
    named = {type(source) for rule in examples(section(tag)) for _, source in rule.secrets()}
    assert SOURCE_OF[tag] in named


def test_every_section_is_that_of_a_source_and_is_linked_to() -> None:
    """From the table at the top of the page."""
    text = (REFERENCE / "sources.md").read_text()
    assert sorted(re.findall(r'^## `source = "(.+)"`', text, re.MULTILINE)) == sorted(SOURCE_OF)
    assert sorted(re.findall(r"^\| \[`(.+?)`\]\(#source--\1\)", text, re.MULTILINE)) == sorted(SOURCE_OF)
