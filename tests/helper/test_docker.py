"""The docker credential helper protocol: the same program under another name, errors on standard output."""

import shutil
from pathlib import Path

import pytest

from tests.helper.conftest import VERSION
from tests.helper.harness import Helper, Place, call
from tests.helper.scripted import ScriptedDaemon, answer, raw


ANSWER = b'{"ServerURL":"ghcr.io","Username":"u","Secret":"s"}'
NOT_FOUND = b"credentials not found in native keychain"


@pytest.mark.parametrize("url", [b"ghcr.io", b"localhost:5000\n", b"https://index.docker.io/v1/"], ids=repr)
def test_get_sends_the_server_url_as_it_is(helper: Helper, place: Place, url: bytes) -> None:
    """A text body to its own path; the answer's JSON to standard output."""
    with ScriptedDaemon(place.socket, answer(200, ANSWER)) as daemon:
        result = call([helper.docker, "get"], url, env=place.env())
    assert (result.code, result.out, result.err, result.held) == (0, ANSWER, b"", ())
    (heard,) = daemon.heard
    assert (heard.line, heard.body) == ("POST /v1/docker/get HTTP/1.1", url)
    assert (heard.headers["content-type"], heard.headers["accept"]) == ("text/plain", "text/plain")


@pytest.mark.parametrize(
    ("status", "text"), [(404, NOT_FOUND), (502, b"the login is too old\nlog in again\n")], ids=["not found", "broken"]
)
def test_what_the_daemon_says_is_an_error_on_stdout(helper: Helper, place: Place, status: int, text: bytes) -> None:
    """Clients read errors there, and compare the text for "not found" with the protocol's own."""
    with ScriptedDaemon(place.socket, answer(status, text)):
        result = call([helper.docker, "get"], b"ghcr.io", env=place.env())
    assert (result.code, result.out.strip(), result.err) == (1, text.strip(), b"")


def test_our_own_errors_are_on_stdout_too(helper: Helper, place: Place) -> None:
    """Otherwise docker only shows an exit status."""
    with ScriptedDaemon(place.socket, raw(), raw()):
        result = call([helper.docker, "get"], b"ghcr.io", env=place.env())
    assert (result.code, result.err) == (1, b"")
    assert result.out.startswith(b"the daemon on '")


def test_empty_stdin_is_the_protocols_own_error(helper: Helper, place: Place) -> None:
    """Clients know this text."""
    result = call([helper.docker, "get"], b"", env=place.env())
    assert (result.code, result.out, result.err) == (1, b"no credentials server URL\n", b"")


@pytest.mark.parametrize("word", ["version", "--version", "-V"])
def test_its_version_is_reported_without_a_daemon(helper: Helper, place: Place, word: str) -> None:
    """No daemon is asked."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.docker, word], b"", env=place.env())
    told = f"docker-credential-credproxy (credproxy) {VERSION}\n"
    assert (result.code, result.out.decode(), result.err, daemon.connections) == (0, told, b"", 0)


@pytest.mark.parametrize("verb", ["store", "erase", "list"])
def test_what_changes_logins_is_handed_over_to_the_command_line(
    helper: Helper, place: Place, tmp_path: Path, verb: str
) -> None:
    """With standard input unchanged; no daemon is asked, because it does not store logins."""
    program = tmp_path / "credproxy"
    program.write_text('#!/bin/sh\necho "$@"; IFS= read -r said; printf %s "$said"; exit 7\n')
    program.chmod(0o755)
    copy = tmp_path / "docker-credential-credproxy"
    shutil.copy(helper.docker, copy)
    with ScriptedDaemon(place.socket) as daemon:
        result = call([copy, verb], b'{"Secret":"s"}', env=place.env())
    assert (result.code, result.out.decode(), result.err) == (7, f'docker-credential {verb}\n{{"Secret":"s"}}', b"")
    assert daemon.connections == 0


def test_an_installation_without_the_command_line_says_so(helper: Helper, place: Place, tmp_path: Path) -> None:
    """On standard output, like every error."""
    copy = tmp_path / "docker-credential-credproxy"
    shutil.copy(helper.docker, copy)
    result = call([copy, "store"], b"{}", env={**place.env(), "PATH": "/nonexistent"})
    assert (result.code, result.err) == (1, b"")
    assert result.out.startswith(b"there is no program `credproxy` to run\ninstall credproxy beside")


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_the_help_of_docker_s_protocol_is_printed(helper: Helper, place: Place, flag: str) -> None:
    """On standard output, exit 0, without a daemon."""
    result = call([helper.docker, flag], b"", env=place.env())
    assert (result.code, result.err) == (0, b"")
    assert result.out.startswith(b"usage: docker-credential-credproxy get|store|erase|list|version\n\n")
    assert max(map(len, result.out.splitlines()[1:])) <= 60, "it fits beside an editor"


@pytest.mark.parametrize("arguments", [(), ("",), ("Get",), ("get", "ghcr.io"), ("get", "--uri", "x")], ids=repr)
def test_anything_else_is_usage(helper: Helper, place: Place, arguments: tuple[str, ...]) -> None:
    """On standard output, exit 1."""
    result = call([helper.docker, *arguments], b"", env=place.env())
    assert (result.code, result.out, result.err) == (
        1,
        b"usage: docker-credential-credproxy get|store|erase|list|version\n",
        b"",
    )
