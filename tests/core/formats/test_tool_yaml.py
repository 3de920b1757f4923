"""YAML that other programs write for themselves."""

import pytest

from credproxy.core.errors import Code, Failed
from credproxy.core.formats.tool_yaml import read_tool_yaml


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"word"])
def test_what_is_not_a_mapping_says_nothing(content: bytes) -> None:
    """Programs begin with an empty file."""
    assert read_tool_yaml(content, "the file", hint="log in") == {}


def test_keys_are_texts_and_values_are_as_they_stand() -> None:
    """A host may look like a number; a tag is ignored."""
    found = read_tool_yaml(b"10: {token: !!null glpat-x}\n", "the file", hint="log in")
    assert found == {"10": {"token": "glpat-x"}}


@pytest.mark.parametrize(("content", "problem"), [(b"\xff", "is not UTF-8 text"), (b"a: b\na: c\n", "line 2")])
def test_what_cannot_be_read_is_reported_with_its_place(content: bytes, problem: str) -> None:
    """With the command that rewrites it; nothing of it is quoted."""
    with pytest.raises(Failed) as caught:
        read_tool_yaml(content, "the file", hint="log in")
    failure = caught.value.failure
    assert (failure.code, failure.hint) == (Code.CREDENTIAL_UNREADABLE, "log in")
    assert problem in failure.message
