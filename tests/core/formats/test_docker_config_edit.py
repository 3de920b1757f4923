"""Adding and removing logins in docker's configuration: everything else stays."""

import base64
import json

import pytest

from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.errors import Failed
from credproxy.core.formats.docker_config import parse_index, read_entry
from credproxy.core.formats.docker_config_edit import docker_key, entry_of, with_entry, without_entry
from tests.hints import filled


LOGIN = UserPassword("u", Secret("p:ä"))


@pytest.mark.parametrize(
    ("content", "name", "kept"),
    [
        (b"", "reg.test", {}),
        (b"null", "reg.test", {}),
        (b"{}", "docker.io", {}),
        (b'\xef\xbb\xbf{"auths": null}', "reg.test:5000/team", {}),
        (
            b'{"auths": {"https://reg.test/": {"auth": "x"}, "reg.test": {}}, "a": [1, 2.50]}',
            "reg.test",
            {"a": [1, 2.5]},
        ),
        (b'{"Auths": {}, "credsStore": "x", "b": {"c": "\\u00e4"}}', "reg.test", {"credsStore": "x", "b": {"c": "ä"}}),
    ],
)
def test_a_login_takes_the_place_of_every_one_of_its_registry(
    content: bytes, name: str, kept: dict[str, object]
) -> None:
    """However the registry was spelled; unknown members stay, and logging out removes it again."""
    made = with_entry(content, name, entry=entry_of(LOGIN), where="x")
    found = {key: value for key, value in json.loads(made).items() if key.lower() != "auths"}
    assert found == kept
    assert list(parse_index(made, "x").auths) == [name]
    assert read_entry(made, docker_key(name), where="x") == LOGIN
    gone = without_entry(made, name, where="x")
    assert gone is not None
    assert not parse_index(gone, "x").auths
    assert without_entry(gone, name, where="x") is None


def test_other_logins_stay_as_they_are_written() -> None:
    """And the file is indented as docker does it."""
    other = '{"auth":"eDp5","email":"a@b","n":1.0}'
    made = with_entry(f'{{"auths":{{"other.test":{other}}}}}'.encode(), "reg.test", entry={}, where="x").decode()
    assert '\n\t\t"other.test": {\n\t\t\t"auth": "eDp5",' in made
    assert '"n": 1.0' in made
    assert without_entry(made.encode(), "unknown.test", where="x") is None


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (LOGIN, {"auth": base64.b64encode("u:p:ä".encode()).decode()}),
        (IdentityToken(Secret("t"), "u"), {"auth": base64.b64encode(b"u:").decode(), "identitytoken": "t"}),
        (PlainSecret(Secret("t")), {"registrytoken": "t"}),
    ],
)
def test_a_login_is_written_as_docker_writes_it(stored: Stored, wanted: dict[str, str]) -> None:
    """So that docker reads it."""
    assert entry_of(stored) == wanted


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"auths": []}', b'{"auths": {"a": }}'])
def test_a_file_that_cannot_be_read_is_not_written(content: bytes) -> None:
    """It may hold the user's only copy."""
    with pytest.raises(Failed) as caught:
        with_entry(content, "reg.test", entry={}, where="the docker configuration 'x'")
    assert caught.value.failure.message.startswith("the docker configuration 'x' is not the JSON of a docker")
    assert not filled(caught.value.failure.hint, "correct it with an editor, or move it away")
