"""What programs print as they fail, and what is kept of it."""

from itertools import product

import pytest
from hypothesis import given, strategies as st

from credproxy.core.redact import cut, cut_words, mask, mask_command, mask_complaint


SECRET = "hunter2"

NAMES = ("password", "passwd", "pwd", "secret", "authorization", "api-key", "api_key", "api key", "apikey", "token")

FORMS = (
    "{name} {secret}",
    "{name}={secret}",
    "{name}: {secret}",
    "{name}:{secret}",
    "{name} = '{secret}'",
    "{name} is {secret}",
    '{name} was: "{secret}"',
    "{name} for bob: {secret}",
    "{name}\n{secret}",
    "{name}\t{secret}",
    "{name} -> {secret}",
    "{name}! {secret}",
    "{name}\x1b[0m: {secret}",
    "--{name} {secret} --user bob",
    "--{name}={secret}",
    "MY_{name}={secret}",
    "{name}_FILE={secret}",
    "x&{name}={secret}&y=1",
    '{{"{name}": "{secret}"}}',
    '{{"{name}" : "a\\"b {secret}"}}',
    '{{\\"{name}\\":\\"a b {secret}\\"}}',
    "{name}: 'two words {secret}'",
    "{name} = [a, {secret}]",
    "<{name}>{secret}</{name}>",
    "{name}: Basic {secret}",
    "{name} Bearer {secret}",
    "{name} {name} {secret}",
    "{name}: x{name}: {secret}",
)


@pytest.mark.parametrize("form", FORMS)
def test_the_word_behind_what_announces_a_secret_is_masked(form: str) -> None:
    """S7: whatever stands between, in any case; what comes before it and after it is left."""
    for name, case in product(NAMES, (str.lower, str.upper, str.title)):
        shown = mask_complaint(f"login failed: {form.format(name=case(name), secret=SECRET)}\ntry again later")
        assert SECRET not in shown
        assert "***" in shown
        assert shown.startswith("login failed: ")
        assert shown.endswith("again later")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("password hunter2", "password ***"),
        ("wrong password", "wrong password"),
        ("error: unauthorized: incorrect username or password", "error: unauthorized: incorrect username or password"),
        ("credentials not found in native keychain", "credentials not found in native keychain"),
        ("denied: requested access to the resource is denied", "denied: requested access to the resource is denied"),
        ("token expired", "token ***"),
        ("open /home/u/.password-store/x.gpg: no such file", "open /home/u/.password-store/x.gpg: no such file"),
        (
            'curl -H \'Authorization: Digest username="a", response="b"\' https://x/',
            "curl -H 'Authorization: ***' https://x/",
        ),
        ('Authorization: Digest username="a", response="b"\nnext', "Authorization: ***; next"),
        ("passphrase: correct horse battery staple", "passphrase: ***"),
        ("dial https://bob:hunter2@proxy.corp:3128/x: refused", "dial https://***@proxy.corp:3128/x: refused"),
        ("two\n\n  lines\n", "two; lines"),
    ],
)
def test_what_is_kept_of_a_complaint(said: str, shown: str) -> None:
    """S7: it still helps whoever reads it; one word too many rather than one too few."""
    assert mask_complaint(said) == shown


def test_a_login_in_a_url_is_masked_wherever_it_is_logged() -> None:
    """S13: also where no program said it."""
    assert mask("proxy http://bob:hunter2@proxy:3128 refused") == "proxy http://***@proxy:3128 refused"
    assert mask("at https://ghcr.io/v2/@x") == "at https://ghcr.io/v2/@x"


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


@given(st.text(max_size=300))
def test_masking_takes_any_text(text: str) -> None:
    """And what it gives is one printable line, whatever it was given."""
    shown = mask_complaint(text)
    assert not [c for c in shown if ord(c) < 32]
    assert len(mask_command((text, text))) == 2


@pytest.mark.parametrize(
    "piece", ["password ", "password is ", "x: ", '\\"', "a-", "pwd=", "'", "Authorization: ", "://@"]
)
def test_no_text_takes_long_to_mask(piece: str) -> None:
    """A program that fails may print anything: 4 KiB of it is looked at, a hundred times within this test's ten seconds."""
    text = f"password {piece * (4096 // len(piece))}"
    for _ in range(100):
        assert mask_complaint(text)


def test_a_cut_text_says_that_it_is_cut() -> None:
    """S2: and is never longer than was wanted."""
    assert cut("x" * 200, 200) == "x" * 200
    assert cut("x" * 201, 200) == "x" * 197 + "..."


def test_a_sentence_keeps_its_words_and_its_long_ones_are_cut() -> None:
    """S2: a reason may quote a URI of 8,000 characters, and what it says of it comes behind."""
    shown = cut_words(f"the path '{'x' * 8000}' is not allowed", 200, 2000)
    assert shown.endswith("... is not allowed")
    assert len(shown) < 240
    assert len(cut_words("word " * 2000, 200, 2000)) == 2000
