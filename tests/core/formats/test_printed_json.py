"""The secret, its user and its end in what a program prints as JSON."""

import json

import pytest

from credproxy.core.errors import Code, Failed
from credproxy.core.formats.printed_json import PrintedFields, parse_printed_json
from tests.fakes import T0


def read(document: object, **fields: str) -> tuple[str, str | None, float | None]:
    """Of a document that a program could print."""
    wanted = PrintedFields(**{"value": "token", **fields})
    return parse_printed_json(json.dumps(document).encode(), wanted, where="it", hint="run it")


@pytest.mark.parametrize(
    ("document", "fields", "wanted"),
    [
        ({"token": "s"}, {}, ("s", None, None)),
        (
            {"status": {"token": "s", "user": "u"}},
            {"value": "status.token", "username": "status.user"},
            ("s", "u", None),
        ),
        ([{"token": "a"}, {"token": "b"}], {"value": "1.token"}, ("b", None, None)),
        ({"1": {"token": "a"}}, {"value": "1.token"}, ("a", None, None)),
    ],
)
def test_a_value_is_found_by_the_names_on_the_way_to_it(
    document: object, fields: dict[str, str], wanted: tuple[str, str | None, float | None]
) -> None:
    """A number counts in a list, and is a name in an object."""
    assert read(document, **fields) == wanted


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        ("2026-01-01T00:00:00Z", T0),
        ("2026-01-01T01:00:00.123456789+01:00", T0 + 0.123456),
        (T0, T0),
        pytest.param(int(T0), T0, id="a whole number"),
        (str(int(T0)), T0),
        (f"{T0:.3f}", T0),
        (None, None),
    ],
)
def test_an_end_is_rfc_3339_or_seconds(end: object, wanted: float | None) -> None:
    """As kubectl, gcloud and az print it; ``null`` says that there is none."""
    assert read({"token": "s", "end": end}, expires="end") == ("s", None, wanted)


@pytest.mark.parametrize(
    "end",
    [
        "2026-01-01T00:00:00",
        "tomorrow",
        "",
        True,
        [],
        {},
        -1,
        T0 * 1000,
        str(int(T0 * 1000)),
        "1e9",
    ],
    ids=str,
)
def test_an_end_that_could_be_read_in_two_ways_is_refused(end: object) -> None:
    """A time without a zone is one of somebody else's clock, and milliseconds are a thousand times too late."""
    with pytest.raises(Failed, match="has in 'end' something else than a time") as caught:
        read({"token": "s", "end": end}, expires="end")
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "it has no 'token'"),
        ({"token": None}, "it has in 'token' something else than a text"),
        ({"token": 7}, "it has in 'token' something else than a text"),
        ("canary", "it has no 'token'"),
        ([], "it has no 'token'"),
    ],
)
def test_a_value_that_is_not_there_is_named(document: object, said: str) -> None:
    """And nothing of what is there is quoted."""
    with pytest.raises(Failed) as caught:
        read(document)
    assert caught.value.failure.message == said


@pytest.mark.parametrize("output", [b"", b"canary", b'{"token": "canary"', b'{"token": "\xff"}', b"[" * 100_000])
def test_what_is_not_json_is_told_unquoted(output: bytes) -> None:
    """Its reader's own message would quote it."""
    with pytest.raises(Failed, match="is not one value of JSON") as caught:
        parse_printed_json(output, PrintedFields(value="token"), where="it", hint="")
    assert "canary" not in repr(caught.value.__context__) or caught.value.__suppress_context__


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a\nb"])
def test_names_that_lead_nowhere_are_a_mistake(path: str) -> None:
    """Each with its key."""
    assert [key for key, _ in PrintedFields(value=path, expires=path).problems()] == [("value",), ("expires",)]


def test_a_place_in_a_list_of_thousands_of_digits_is_not_there() -> None:
    """The interpreter makes no number of it."""
    with pytest.raises(Failed):
        read([{"token": "canary"}], value=f"{'9' * 5000}.token")
