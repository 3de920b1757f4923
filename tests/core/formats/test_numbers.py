"""Numbers that no program means, in the documents of others."""

import pytest

from credproxy.core.formats.documents import DocumentError, read_json
from credproxy.core.formats.go_json import broken_line
from credproxy.core.formats.numbers import TOO_LARGE, fits, line_of_digits


def test_a_json_document_with_thousands_of_digits_is_refused_with_its_line() -> None:
    """``json`` raises a ValueError that is not a JSONDecodeError."""
    with pytest.raises(DocumentError) as caught:
        read_json('{\n"a": 1,\n"b": ' + "9" * 5000 + "}")
    assert (caught.value.line, caught.value.problem) == (3, TOO_LARGE)


def test_where_a_file_is_broken_is_found_behind_such_a_number() -> None:
    """Looking for the line must not fail where the decoder did not."""
    assert broken_line(b'{"a": ' + b"9" * 5000, ValueError("Input data was truncated")) == "it ends too early"


def test_only_whole_numbers_beyond_64_bits_do_not_fit() -> None:
    """A float has its own range, and a bool is a number to Python alone."""
    assert [fits(value) for value in (2**63, -(2**63) - 1, 2**63 - 1, -(2**63), 1e308, True, "9" * 5000)] == [
        False,
        False,
        True,
        True,
        True,
        True,
        True,
    ]
    assert line_of_digits("a\nb") == 1
