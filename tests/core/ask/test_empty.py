"""A value that looks like a credential but holds none is reported as such."""

import base64

import pytest

from credproxy.core.ask.credential import (
    IdentityToken,
    PlainSecret,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
    secret_of,
)
from credproxy.core.ask.empty import blank, empty_answer, empty_header, empty_login
from credproxy.core.ask.helper_answer import HelperAnswerError, parse_helper_answer
from credproxy.core.ask.stored import from_text
from credproxy.core.errors import Code, Failed


SPACES = ["", " ", "\t \n", "\u00a0", "\u2003\u3000", "\u200b", "\ufeff", "\0", "\x1f"]


def b64(pair: str) -> str:
    """Give base64."""
    return base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize("text", SPACES)
def test_white_space_of_any_alphabet_is_blank(text: str) -> None:
    """An editor's BOM and a web page's non-breaking space are invisible."""
    assert blank(text)
    assert not blank(f"{text}x{text}")


def test_bytes_of_another_encoding_are_something() -> None:
    """A netrc file may hold them, and Basic carries them."""
    assert not blank(b"\xe4\xf6".decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (UserPassword("", Secret("")), "has an empty user name and an empty password"),
        (UserPassword(" ", Secret("\u00a0")), "has an empty user name and an empty password"),
        (UserPassword("u", Secret("  ")), "has a password that consists of white space"),
        (UserPassword("oauth2accesstoken", Secret("")), "has an empty password"),
        (UserPassword("AWS", Secret("")), "has an empty password"),
        (IdentityToken(Secret(" ")), "holds an empty token"),
        (RegistryToken(Secret("..")), "holds an empty token"),
        (PlainSecret(Secret("\u3000")), "is empty"),
        (PlainSecret(Secret('""')), "is empty"),
    ],
)
def test_each_kind_of_login_says_what_is_empty(stored: Stored, problem: str) -> None:
    """As the rest of a sentence that begins with the name of its place."""
    assert empty_login(stored) == problem


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(UserPassword("an-api-key", Secret("")), id="some services take a key as the user name"),
        pytest.param(UserPassword("", Secret("pat")), id="and Azure DevOps a token as the password of nobody"),
        UserPassword("u", Secret("p p")),
        IdentityToken(Secret("t")),
        RegistryToken(Secret("a.b.c")),
        PlainSecret(Secret(" x ")),
    ],
)
def test_a_value_with_content_is_not_empty(stored: Stored) -> None:
    """However odd."""
    assert empty_login(stored) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("Bearer ", "holds 'Bearer' and nothing after it"),
        ("bearer", "holds 'bearer' and nothing after it"),
        ("Basic ", "holds 'Basic' and nothing after it"),
        ("token  ", "holds 'token' and nothing after it"),
        ('Bearer ""', "holds 'Bearer' and nothing after it"),
        ("Bearer ..", "holds 'Bearer' and nothing after it"),
        ("Basic Og==", "has an empty user name and an empty password, in base64"),
        ("Basic Og", "has an empty user name and an empty password, in base64"),
        ("basic  Og== ", "has an empty user name and an empty password, in base64"),
        (f"Basic {b64(' : ')}", "has an empty user name and an empty password, in base64"),
        (f"Basic {b64('oauth2accesstoken:')}", "has an empty password, in base64"),
        (f"Basic {b64('u:   ')}", "has a password that consists of white space, in base64"),
        ("Bearer x", None),
        ("Negotiate YII", None),
        ("an-api-key", None),
        ("Basic !", None),
        (f"Basic {b64('key:')}", None),
        (f"Basic {b64(':pat')}", None),
    ],
)
def test_an_authorization_header_says_what_is_empty(value: str, problem: str | None) -> None:
    """An unset variable leaves only the word before it."""
    assert empty_header("Authorization", [value]) == (
        None if problem is None else f"the header 'Authorization' {problem}"
    )


def test_only_in_authorization_do_words_stand_in_front_of_something() -> None:
    """``X-Auth-Type: Bearer`` is a value like any other."""
    assert empty_header("X-Auth-Type", ["Bearer"]) is None
    assert empty_header("x-api-key", [" "]) == "the header 'x-api-key' is empty"


def test_of_the_headers_of_an_answer_those_for_credentials_must_hold_one() -> None:
    """And of all other headers, at least one; no header at all means that there is no credential."""
    empty, full = (Secret(""),), (Secret("x"),)
    assert empty_answer([]) is None
    assert empty_answer([("x-api-key", empty), ("x-project", full)]) == "the header 'x-api-key' is empty"
    assert empty_answer([("Authorization", full), ("x-project", empty)]) is None
    assert empty_answer([("x-project", empty)]) == "the header 'x-project' is empty"


@pytest.mark.parametrize(
    "headers",
    [
        '{"Authorization":["Bearer "]}',
        '{"Authorization":[""]}',
        '{"authorization":["Basic Og=="]}',
        '{"Authorization":["token "]}',
        '{"x-api-key":[""]}',
        '{"x-token-bin":[" "]}',
        '{"Authorization":["Bearer "],"x-other":["v"]}',
    ],
)
def test_another_helpers_empty_answer_is_an_error_that_names_the_header(headers: str) -> None:
    """``echo "Bearer $TOKEN"`` with TOKEN unset."""
    with pytest.raises(HelperAnswerError, match="holds no credential: the header"):
        parse_helper_answer(f'{{"headers":{headers}}}'.encode())


@pytest.mark.parametrize("answer", ["{}", '{"headers":{}}', '{"headers":null}', '{"headers":{"Authorization":[]}}'])
def test_another_helpers_clean_nothing_stays_one(answer: str) -> None:
    """It has no credential, and says so."""
    assert parse_helper_answer(answer.encode()).headers == ()


@pytest.mark.parametrize("username", [None, "u", "<token>"])
@pytest.mark.parametrize("text", [text for text in SPACES if text])
def test_a_text_of_spaces_is_not_a_secret(text: str, username: str | None) -> None:
    """A variable or a file without anything visible; the message says so, and how to store a secret."""
    with pytest.raises(Failed) as caught:
        from_text(text, username, where="the file '/s'", hint="write it")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert caught.value.failure.message.startswith("the file '/s' ")
    assert caught.value.failure.hint == "write it"


NOTHINGS = ["null", "undefined", "None", "nil", "<nil>", "(null)", "<no value>", "[object Object]", '"null"']


@pytest.mark.parametrize("word", NOTHINGS)
def test_the_word_for_a_value_that_is_missing_is_not_a_token(word: str) -> None:
    """``jq -r .token`` prints ``null`` for a missing field, and a script continues with it."""
    for problem in (
        empty_login(PlainSecret(Secret(word))),
        empty_login(IdentityToken(Secret(word))),
        empty_login(UserPassword("oauth2accesstoken", Secret(word))),
        empty_header("Authorization", [f"Bearer {word}"]),
        empty_header("Authorization", [f"Basic {b64(f'oauth2accesstoken:{word}')}"]),
        empty_header("x-api-key", [word]),
    ):
        assert problem is not None
        assert "which programs print for a value that is missing" in problem
    with pytest.raises(Failed):
        from_text(f"{word}\n", None, where="the file '/s'", hint="write it")


@pytest.mark.parametrize("text", ["nullable", "none", "null.x", "Nonesuch"])
def test_a_token_that_only_resembles_such_a_word_is_one(text: str) -> None:
    """Nothing is guessed; a chosen password may be anything."""
    assert empty_login(PlainSecret(Secret(text))) is None
    assert empty_header("Authorization", [f"Bearer {text}"]) is None
    assert empty_login(UserPassword("somebody", Secret("null"))) is None


@pytest.mark.parametrize("username", [None, "u", "<token>", "\ud800"])
def test_half_a_surrogate_pair_is_not_a_secret_but_a_byte_of_another_encoding_is(username: str | None) -> None:
    """JSON may hold the one, and nothing can carry it; a variable may hold the other, and it is sent as it is."""
    with pytest.raises(Failed):
        from_text("\ud800x", username, where="the secret 's'")
    if username != "\ud800":
        assert "\udce9x" in secret_of(from_text("\udce9x", username, where="the secret 's'")).reveal()


@pytest.mark.parametrize("text", ["canary", "\ufeffcanary", "\ufeffcanary\r\n", "canary\n"])
def test_what_an_editor_puts_around_a_secret_is_not_part_of_it(text: str) -> None:
    """Windows' editor and PowerShell write a byte order mark, which no server expects in a header."""
    assert from_text(text, None, where="x") == PlainSecret(Secret("canary"))
    assert from_text(text, "u", where="x") == UserPassword("u", Secret("canary"))


def test_a_byte_order_mark_alone_is_an_empty_secret() -> None:
    """A file with nothing else in it is as empty as one without it."""
    with pytest.raises(Failed, match="is empty"):
        from_text("\ufeff\n", None, where="x")
