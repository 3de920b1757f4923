"""``store``, ``erase`` and ``list`` of docker's credential helper protocol, byte by byte."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from credproxy.adapters.secret_service import LockedKeyringError, NoKeyringError
from credproxy.cli import main
from tests.cli.test_login import REFRESH, Keyring, configure, home, log_in, stored
from tests.hints import filled
from tests.worker.token_server import TokenServer


__all__ = ["home"]

LOGIN = b'{"ServerURL":"reg.test:5000","Username":"u","Secret":"canary-s"}\n'


def run(verb: str, said: bytes | str = b"", *, keyring: Keyring) -> Result:
    """As the helper calls it."""
    result = CliRunner().invoke(main, ["docker-credential", verb], input=said, obj=keyring)
    assert "canary" not in result.output
    return result


@pytest.mark.parametrize("problem", [None, NoKeyringError("there is none")])
def test_a_stored_login_is_listed_and_erased(home: Path, problem: Exception | None) -> None:
    """In the keyring, or in a file of our own, never in docker's, which docker writes."""
    keyring = Keyring(problem)
    assert (run("list", keyring=keyring).exit_code, run("list", keyring=keyring).stdout) == (0, "{}\n")
    result = run("store", LOGIN, keyring=keyring)
    assert (result.exit_code, result.stdout) == (0, "")
    assert stored(home)["reg.test:5000"]["kept"] == ("file" if problem else "keyring")
    assert run("store", LOGIN.replace(b"reg.test:5000", b"https://index.docker.io/v1/"), keyring=keyring).exit_code == 0
    assert json.loads(run("list", keyring=keyring).stdout) == {"reg.test:5000": "u", "https://index.docker.io/v1/": "u"}
    for _ in range(2):  # erasing nothing is not an error
        result = run("erase", "https://index.docker.io/v1/\n", keyring=keyring)
        assert (result.exit_code, result.stdout) == (0, "")
    assert list(stored(home)) == ["reg.test:5000"]
    assert len(keyring.secrets) == (problem is None)
    assert not (home / ".docker").exists()


@pytest.mark.parametrize(
    ("server", "key"), [("reg.test:5000", "reg.test:5000"), ("https://index.docker.io/v1/", "docker.io")]
)
def test_what_oras_and_helm_say_is_understood(home: Path, server: str, key: str) -> None:
    """As their library has it: JSON of Go, which escapes what HTML does, and no line end; a Docker Hub of three names is one.

    Source: oras-go v2.6.0, registry/remote/credentials/native_store.go and registry.go; helm v3.19.0, pkg/registry/client.go.
    """
    keyring = Keyring()
    said = b'{"ServerURL":"%b","Username":"u","Secret":"canary\\u0026\\u003c\\u003e\\u2028x"}' % server.encode()
    result = run("store", said, keyring=keyring)
    assert (result.exit_code, result.stdout) == (0, "")
    assert keyring.secrets == {(f"credproxy:{key}", "u"): "canary&<>\u2028x"}
    assert (run("erase", server.encode(), keyring=keyring).exit_code, keyring.secrets) == (0, {})
    assert stored(home) == {}


def test_a_host_where_a_person_logs_in_at_an_identity_provider_is_not_docker_s(home: Path) -> None:
    """A password would be taken for a refresh token."""
    keyring = Keyring()
    configure(home, REFRESH)
    result = run("store", LOGIN.replace(b"reg.test:5000", b"cache.test"), keyring=keyring)
    assert result.exit_code == 1
    (host,) = filled(result.stdout.splitlines()[1], "credproxy login {}")
    assert (host, keyring.secrets) == ("cache.test", {})


def test_login_store_says_where_but_docker_s_file_is_docker_s(home: Path) -> None:
    """``login_store = "docker"`` is for ``credproxy login``."""
    keyring = Keyring(NoKeyringError("there is none"))
    configure(home, 'login_store = "docker"\n')
    assert run("store", LOGIN, keyring=keyring).exit_code == 0
    assert stored(home)["reg.test:5000"]["kept"] == "file"


@pytest.mark.parametrize(
    ("verb", "said", "told"),
    [
        ("store", b"", "standard input is not the JSON of the docker helper protocol\n"),
        ("store", b"{}", "no credentials server URL\n"),
        ("store", b'{"ServerURL":"reg.test"}', "no credentials username\n"),
        ("store", b'{"ServerURL":"a b","Username":"u","Secret":"s"}', "'a b' is not a server URL\n"),
        (
            "store",
            b'{"ServerURL":"reg.test","Username":"a:b","Secret":"s"}',
            "the login for 'reg.test' has a user name",
        ),
        ("store", b"x" * 70_000, "more than 65536 bytes on standard input\n"),
        ("erase", b"\n", "no credentials server URL\n"),
    ],
)
def test_errors_are_on_standard_output(home: Path, verb: str, said: bytes, told: str) -> None:
    """With the protocol's own words if it has some."""
    del home
    keyring = Keyring()
    result = run(verb, said, keyring=keyring)
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.startswith(told)


def test_a_locked_keyring_is_told_to_docker(home: Path) -> None:
    """Docker shows it to the user; nothing is stored."""
    keyring = Keyring(LockedKeyringError())
    result = run("store", LOGIN, keyring=keyring)
    assert result.exit_code == 1
    assert result.stdout.startswith("the keyring is locked, and nothing was changed\nunlock it")
    assert keyring.secrets == {}
    assert not (home / ".local/state/credproxy/logins.json").exists()


@pytest.mark.parametrize("status", [200, 503])
def test_a_refresh_token_is_revoked_before_it_is_erased(home: Path, status: int) -> None:
    """As ``credproxy logout`` does; what fails there is a warning, and no error of ``docker logout``."""
    keyring = Keyring(NoKeyringError("there is none"))
    with TokenServer() as server:
        document: dict[str, object] = {
            "issuer": server.url,
            "token_endpoint": f"{server.url}/token",
            "revocation_endpoint": f"{server.url}/revoke",
        }
        server.replies |= {"/.well-known/oauth-authorization-server": (200, document), "/revoke": (status, {})}
        configure(home, REFRESH.replace('token_url = "https://id.test/t"', f'issuer = "{server.url}"'))
        done = log_in("cache.test", keyring=keyring, password="canary-refresh")
        assert (done.exit_code, list(stored(home))) == (0, ["cache.test"])
        result = run("erase", "cache.test", keyring=keyring)
        assert (result.exit_code, result.stdout) == (0, "")
        assert ("warning: the login was not revoked: token server '127.0.0.1:" in result.stderr) == (status != 200)
        assert next(form for _, path, form in server.asked if path == "/revoke")["token"] == ["canary-refresh"]
        assert stored(home) == {}
        asked = len(server.asked)
        assert run("erase", "cache.test", keyring=keyring).exit_code == 0
        assert len(server.asked) == asked  # there is nothing left to revoke


@pytest.mark.parametrize("secret", ["a\\u0000b", "a\\nb", "a\\u001bb", " ", ""])
def test_a_secret_that_could_not_be_sent_takes_nobody_s_place(home: Path, secret: str) -> None:
    """The login that was there would be lost, and the next question would find one that cannot be used."""
    keyring = Keyring()
    assert run("store", LOGIN, keyring=keyring).exit_code == 0
    before = dict(keyring.secrets)
    result = run("store", LOGIN.replace(b"canary-s", secret.encode()), keyring=keyring)
    assert (result.exit_code, keyring.secrets) == (1, before)
    assert "the login for 'reg.test:5000'" in result.stdout
    assert stored(home)["reg.test:5000"]["username"] == "u"
