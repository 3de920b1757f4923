"""How ``doctor`` and ``config check --deep`` check what the configuration names."""

import pytest

from credproxy.core.config.parse import load
from credproxy.doctor.named import check
from tests.contract import jwt
from tests.doctor.machines import FakeMachine, told


HOST = '[[host]]\nmatch = "a.b"\n'
HEADER = HOST + 'provider = "header"\nsecret = { source = '
TOKEN = '[actions]\nlisten = "127.0.0.1:1"\nlisten_token = { source = '
FOLDER = 0o040755


def machine() -> FakeMachine:
    """Files of every sort."""
    made = (
        FakeMachine().put("/good", 0o600).put("/open", 0o644).put("/locked", 0o000).put("/void", 0o600, content=b" \n")
    )
    return made.place("/folder", FOLDER)


def look(text: str, variables: dict[str, bool] | None = None, **bundles: str) -> list[tuple[str, str, str]]:
    """The findings."""
    paths = {f"/{name}": problem for name, problem in bundles.items()}
    return told(check(machine(), load(text, "f"), variables=variables or {}, bundles=paths))


@pytest.mark.parametrize(
    ("text", "severity", "words"),
    [
        (f'{HEADER}"file", path = "/none" }}\n', "error", "the secret of 'a.b', '/none', cannot be read: it is not there"),
        (f'{HEADER}"file", path = "/locked" }}\n', "error", "the secret of 'a.b', '/locked', cannot be read"),
        (f'{HEADER}"file", path = "/folder" }}\n', "error", "the secret of 'a.b', '/folder', is not a file"),
        (f'{HEADER}"file", path = "/void" }}\n', "error", "the secret of 'a.b', '/void', holds nothing but white space"),
        (f'{HEADER}"file", path = "/open" }}\n', "warning", "others may read the secret of 'a.b': '/open' has mode 0644"),
        (f'{TOKEN}"file", path = "/none" }}\n', "error", "the secret of 'actions.listen', '/none'"),
        (f'{HEADER}"env", name = "UNSET" }}\n', "warning", "the variable 'UNSET' for 'a.b' is not set here; the daemon's"),
        (f'{HEADER}"env", name = "EMPTY" }}\n', "warning", "the variable 'EMPTY' for 'a.b' is empty here; the daemon's"),
        (f'{TOKEN}"env", name = "UNSET" }}\n', "warning", "the variable 'UNSET' for 'actions.listen'"),
        (f'{HOST}provider = "oci"\nca_bundle = "/none"\n', "error", "the ca_bundle of 'a.b', '/none', is not there"),
        (f'{HOST}provider = "oci"\nca_bundle = "/good"\n', "error", "the ca_bundle of 'a.b', '/good', holds no certificate"),
        ('docker_config = "/none"\n', "warning", "docker_config names '/none', which is not there"),
        ('netrc = "/locked"\n', "error", "netrc names '/locked', which cannot be read"),
        (f'{HOST}provider = "basic"\ncredentials = {{ source = "netrc", path = "/none" }}\n', "warning", "the rule for 'a.b' names '/none'"),
        (f'{HOST}provider = "oci"\ncredentials = {{ source = "docker-config", path = "/none" }}\n', "warning", "the rule for 'a.b' names '/none'"),
        ('helper_path = "/folder:/none"\n', "warning", "helper_path names '/none', which is not a directory"),
    ],
)  # a table  # fmt: skip
def test_what_does_not_work_is_reported_with_a_command(text: str, severity: str, words: str) -> None:
    """One finding, of the right weight, that names the rule and the place."""
    ((found, message, remedy),) = look(text, {"EMPTY": False}, good="holds no certificate in PEM form")
    assert found == severity
    assert message.startswith(words)
    assert remedy


def test_what_is_missing_here_is_an_error_where_that_was_asked_for() -> None:
    """``config check --deep`` fails for it, and names the key; the doctor warns, as the daemon may have it."""
    text = (
        f'netrc = "/none"\n{HEADER}"env", name = "UNSET" }}\n{HOST.replace("a.b", "c.d")}provider = "basic"\n'
        'credentials = { source = "netrc", path = "/none" }\n[actions]\npolicy_file = "/none"\n'
    )
    found = told(
        check(
            machine(),
            load(text, "f"),
            variables={},
            bundles={},
            place=lambda path: f"{'.'.join(map(str, path))}| ",
            strict=True,
        )
    )
    assert [(severity, message.partition("|")[0]) for severity, message, _ in found] == [
        ("error", "host.0.secret"),
        ("error", "host.1.credentials"),
        ("error", "netrc"),
        ("error", "actions.policy_file"),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"canary\nsecond", "holds more than one line, or control characters"),
        (b"canary\x00", "holds more than one line, or control characters"),
        (b"canary\xff", "is not UTF-8 text"),
    ],
)
def test_a_secret_that_the_daemon_would_not_use_is_reported_and_not_shown(content: bytes, problem: str) -> None:
    """By the same rules as the daemon's."""
    found = told(
        check(
            FakeMachine().put("/s", 0o600, content=content),
            load(f'{HEADER}"file", path = "/s" }}\n', "f"),
            variables={},
            bundles={},
        )
    )
    assert [message for _, message, _ in found] == [f"the secret of 'a.b', '/s', {problem}"]
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("content", "told_of"),
    [(b"-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n", False), (b"canary", True)],
    ids=["key", "text"],
)
def test_the_key_of_an_app_is_looked_at_as_a_key(content: bytes, *, told_of: bool) -> None:
    """It has many lines."""
    text = f'{HEADER}"github-app", app = "1", key_file = "/k" }}\n'
    found = told(check(FakeMachine().put("/k", 0o600, content=content), load(text, "f"), variables={}, bundles={}))
    problem = "the secret of 'a.b', '/k', is not a private key in PEM form"
    assert [message for _, message, _ in found] == [problem] * told_of
    assert "canary" not in repr(found)


def test_what_works_is_not_mentioned() -> None:
    """The user's own files, variables that are set, what is found automatically."""
    text = (
        f'helper_path = "/folder"\nnetrc = "/good"\ndocker_config = "none"\n{HEADER}"file", path = "/good" }}\n'
        f'{HEADER.replace("a.b", "c.d")}"env", name = "SET" }}\n'
        f'{HOST.replace("a.b", "e.f")}provider = "oci"\nca_bundle = "/good"\n'
        f'{HEADER.replace("a.b", "g.h")}"command", argv = ["/good"] }}\n'
    )
    assert look(text, {"SET": True}, good="") == []


def test_a_token_that_has_expired_by_its_own_words_is_told_with_its_end() -> None:
    """The daemon sends none of it; with a byte order mark in front, too. What ends later, or says nothing, is fine."""
    held = (
        machine()
        .put("/over", 0o600, content=f"{jwt(1000.0)}\n".encode())
        .put("/later", 0o600, content=jwt(2001).encode())
    )
    held.put("/marked", 0o600, content=f"\ufeff{jwt(1000.0)}".encode())

    def said(path: str, text: str = HEADER) -> list[tuple[str, str, str]]:
        return told(
            check(held, load(f'{text}"file", path = "{path}" }}\n', "f"), variables={}, bundles={}, wall=2000.0)
        )

    remedy = "${EDITOR:-vi} %s  # store another one, if this machine's clock is right: date -u"
    for path in ("/over", "/marked"):
        words = f"the secret of 'a.b', '{path}', holds a token that expired at 1970-01-01 00:16:40 UTC by its own words"
        assert said(path) == [("error", words, remedy % path)]
    assert said("/later") == said("/good") == []
    assert said("/over", TOKEN) == [], "the token of the port is only compared"


@pytest.mark.parametrize("strict", [True, False])
def test_a_token_in_a_variable_is_judged_as_well(strict: bool) -> None:  # noqa: FBT001  parametrized
    """The daemon's environment may have another one."""
    settings = load(f'{HEADER}"env", name = "SET" }}\n', "f")
    over = {"SET": "holds a token that expired"}
    found = told(check(machine(), settings, variables={"SET": True}, bundles={}, over=over, strict=strict))
    assert [(severity, message) for severity, message, _ in found] == [
        ("error" if strict else "warning", "the variable 'SET' for 'a.b' holds a token that expired")
    ]
