"""The file of what ``credproxy login`` has stored."""

import pytest

from credproxy.core.formats.login_file import (
    EMPTY,
    LoginIndex,
    StoredLogin,
    attributes_of,
    login_key,
    parse_logins,
    sealed_name,
)


ENTRY = StoredLogin("file", "1", "u", "canary")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io.", "ghcr.io"),
        ("https://ghcr.io/", "ghcr.io"),
        ("reg.test:443", "reg.test"),
        ("http://reg.test:80", "reg.test"),
        ("reg.test:5000/team/a/", "reg.test:5000/team/a"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("reg.test//x", None),
        ("reg.test/../x", None),
        ("reg.test/a/.", None),
        ("reg.test/a?b", None),
        ("reg.test/a#b", None),
        ("reg.test/a b", None),
        ("reg.test/a\nb", None),
        ("reg.test/..a/b.c", "reg.test/..a/b.c"),
        ("grpc://reg.test", None),
        ("u@reg.test", None),
        ("", None),
        ("*.test", None),
    ],
)
def test_a_host_has_one_name(text: str, wanted: str | None) -> None:
    """However it is typed."""
    assert login_key(text) == wanted


def test_what_is_written_is_read_again() -> None:
    """And an empty file is one without a login."""
    made = EMPTY.with_login("a.test", ENTRY).with_login("b.test", StoredLogin("keyring", "2", "v"))
    assert parse_logins(made.encoded(), "x") == made
    assert made.without("a.test") == LoginIndex({"b.test": StoredLogin("keyring", "2", "v")})
    assert parse_logins(b"\n", "x") == EMPTY
    assert b'"secret"' not in made.without("a.test").encoded()


def test_no_secret_is_shown() -> None:
    """In a repr."""
    assert "canary" not in repr(EMPTY.with_login("a.test", ENTRY))


def test_the_keyring_finds_it_by_what_every_program_looks_for() -> None:
    """Service and user name."""
    assert attributes_of("a.test/x", "u") == {"service": "credproxy:a.test/x", "username": "u"}


def test_no_two_logins_are_bound_to_one_name() -> None:
    """A secret that was moved to another key would be sent to another host."""
    names = {sealed_name(key) for key in ("a.test:1", "a.test/1", "a.test_3a_1", "a.test.1", "a.test-1")}
    assert len(names) == 5
    assert all(name.replace("_", "").replace("-", "").replace(".", "").isalnum() for name in names)
