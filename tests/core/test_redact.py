"""What is kept of foreign texts: log lines, settings, names."""

from credproxy.core.redact import cut, cut_words, mask, mask_command, mask_text
from tests.hints import hints


def test_a_login_in_a_url_is_masked_wherever_it_is_logged() -> None:
    """S13: also if it does not come from a program."""
    assert mask("proxy http://bob:hunter2@proxy:3128 refused") == "proxy http://***@proxy:3128 refused"
    assert mask("at https://ghcr.io/v2/@x") == "at https://ghcr.io/v2/@x"


def test_our_own_advice_is_not_masked() -> None:
    """It is logged and printed like any other text, and somebody has to follow it."""
    assert [hint.text for hint in hints() if mask_text(hint.text) != hint.text] == []
    for said in ("too many new token exchanges a second", "has no token endpoint", "http://USER:PASSWORD@HOST:PORT"):
        assert mask_text(said) == said


def test_words_like_those_of_our_advice_are_masked() -> None:
    """The list is closed: a secret that begins with one of its words is another word."""
    for secret in ("endpoint1", "Configured", "servers-key", "exchange_a", "correcthorse", "--aB3dEf9", "response/x"):
        assert mask(f"the token: {secret} was refused") == "the token *** was refused"
    assert mask("http://user:password@host/") == "http://***@host/"
    assert mask("http://USER:PASSWORD2@host/") == "http://***@host/"


def test_of_a_command_line_the_program_and_the_names_of_options_are_shown() -> None:
    """S13: any other word may be a secret, glued to an option or not."""
    words = (
        "/opt/x",
        "--token",
        "hunter2",
        "--password=hunter2",
        "-H",
        "Authorization: hunter2",
        "-phunter2",
        "hunter2",
    )
    assert mask_command(words) == ("/opt/x", "--token", "***", "--password=***", "-H", "***", "***", "***")


def test_a_cut_text_says_that_it_is_cut() -> None:
    """S2: and is never longer than was wanted."""
    assert cut("x" * 200, 200) == "x" * 200
    assert cut("x" * 201, 200) == "x" * 197 + "..."


def test_a_sentence_keeps_its_words_and_its_long_ones_are_cut() -> None:
    """S2: a reason may quote a URI of 8,000 characters before the explanation."""
    shown = cut_words(f"the path '{'x' * 8000}' is not allowed", 200, most=2000)
    assert shown.endswith("... is not allowed")
    assert len(shown) < 240
    assert len(cut_words("word " * 2000, 200, most=2000)) == 2000


def test_a_query_in_a_url_is_masked_and_a_pattern_for_any_query_is_not() -> None:
    """A hint with a pattern is a command to paste."""
    for text in ("https://a.test/x?sig=canary", "https://a.test/x?*canary", "https://a.test/x?*'canary'"):
        assert mask(text) == "https://a.test/x?***"
    for text in ("allow 'https://a.test/x?*'", 'url = "https://a.test/x?*"', "https://a.test/x?* end"):
        assert mask(text) == text
