"""What is logged about a hand-out: a found token leads to it, and it gives away no token."""

from hashlib import sha256

import pytest

from credproxy.core.ask.audit import Record, login, record
from credproxy.core.ask.credential import Handout, Secret
from credproxy.core.ask.uri import parse_uri


TOKEN = "canary-token-4711"
TARGET = parse_uri("https://ghcr.io/v2/org/app/blobs/sha256:00?X-Amz-Signature=canary-signature")


def handout(*headers: tuple[str, str], **detail: str) -> Handout:
    """An answer with these headers."""
    return Handout(tuple((name, (Secret(value),)) for name, value in headers), 1_767_225_600, detail=detail)


def test_a_token_is_identified_by_the_beginning_of_its_digest() -> None:
    """R28: ``printf %s TOKEN | sha256sum | cut -c-8`` finds the line; the query is not in it."""
    given = handout(("Authorization", f"Bearer {TOKEN}"), scopes="repository:org/app:pull", credential="env:X")
    assert record(TARGET, given) == Record(
        "https://ghcr.io/v2/org/app/blobs/sha256:00",
        "repository:org/app:pull",
        "env:X",
        sha256(TOKEN.encode()).hexdigest()[:8],
        1_767_225_600,
    )


@pytest.mark.parametrize(
    "header", [("Authorization", "Basic dXNlcjpwYXNz"), ("x-api-key", TOKEN), ("X-Auth", f"Bearer {TOKEN}")]
)
def test_what_people_choose_has_no_digest(header: tuple[str, str]) -> None:
    """R28: Eight digits are enough to try a dictionary of passwords against."""
    written = record(TARGET, handout(header))
    assert written is not None
    assert written.token == ""


def test_nothing_handed_out_is_nothing_to_write() -> None:
    """R28: most answers to Bazel are ``{}``."""
    assert record(TARGET, Handout((), 1)) is None


def test_a_login_is_written_without_its_parts() -> None:
    """R28: Not even the user's name."""
    assert login(TARGET) == Record("https://ghcr.io", credential="stored login")


def test_a_record_holds_no_secret() -> None:
    """R28: However it is printed."""
    assert "canary" not in repr(record(TARGET, handout(("Authorization", f"Bearer {TOKEN}"))))
