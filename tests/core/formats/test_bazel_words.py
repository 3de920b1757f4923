"""Words of a ``.bazelrc`` line, as Bazel's own tokenizer cuts them."""

import pytest
from hypothesis import given, strategies as st

from credproxy.core.formats.bazel_words import quoted, split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("build --a=b  --c\t--d", ("build", "--a=b", "--c", "--d")),
        ('build "--a=b c"', ("build", "--a=b c")),
        ("build --a='b c'd", ("build", "--a=b cd")),
        (r"build --a=b\ c", ("build", "--a=b c")),
        (r"build '--a=b\'c'", ("build", "--a=b'c")),  # a shell would end the quotation there
        (r'build "a\\b"', ("build", r"a\b")),
        ("build --a#b --c", ("build", "--a")),  # a shell would go on
        ("build '--a#b'", ("build", "--a#b")),
        ("# build", ()),
        ("build '' --a", ("build", "--a")),
        ("build --a=${HERE}/x", ("build", "--a=/here/x")),
        ("build --a=${NOT_SET}/x", ("build", "--a=${NOT_SET}/x")),
        ("build a\\", ("build", "a")),
    ],
)
def test_a_line_is_cut_as_bazel_cuts_it(line: str, words: tuple[str, ...]) -> None:
    """Each rule of src/main/cpp/util/strings.cc and rc_file.cc."""
    assert split_words(line, {"HERE": "/here"}) == (words, True)


@pytest.mark.parametrize("line", ["build 'a", 'build "a\\"', "build a'b"])
def test_a_quotation_that_is_not_closed_is_reported(line: str) -> None:
    """Bazel does not complain, and extends it to the end of the line."""
    assert not split_words(line, {}).closed


def test_what_needs_no_quotes_gets_none() -> None:
    """Usual lines look as usual."""
    flag = "--credential_helper=*.corp.example=/home/you/.local/bin/credproxy-helper"
    assert quoted(flag) == flag


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1))
def test_a_quoted_word_comes_back(word: str) -> None:
    """Whatever a path holds: blanks, quotes, backslashes, hashes, and what looks like a variable."""
    assert split_words(f"build {quoted(word)} --x", {"": "no", "A": "no"}) == (("build", word, "--x"), True)


@pytest.mark.parametrize("word", ["${HOME}/x", "a ${HOME}", "$${HOME}", "\\${HOME}"])
def test_what_looks_like_a_variable_stays_what_it_is(word: str) -> None:
    """A directory may have such a name."""
    assert split_words(quoted(word), {"HOME": "/home/you"}).words == (word,)


@pytest.mark.parametrize("word", ["a\nb", "a\rb"])
def test_a_line_break_cannot_be_written(word: str) -> None:
    """Bazel reads line by line."""
    with pytest.raises(ValueError, match=r"a[\r\n]b"):
        quoted(word)
