"""``credproxy doctor`` on homes: what a newcomer sees on a clean one, and the findings on a broken one."""

import json
import os
from pathlib import Path

import pytest

from credproxy.cli.looking import ThisMachine
from credproxy.cli.probing import door
from credproxy.doctor.machine import replaceable
from tests.cli.test_commands import configure, home, run


__all__ = ["home"]  # the fixture


BAD = "is not base64 of UTF-8"


@pytest.fixture
def workspace(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Bazel workspace, and the command line in a directory of it."""
    place = home / "w"
    (place / "pkg").mkdir(parents=True)
    (place / "MODULE.bazel").touch()
    monkeypatch.chdir(place / "pkg")
    return place


def findings(*args: str) -> list[dict[str, str]]:
    """Run it; give what it found."""
    done = run("doctor", "--json", *args)
    found: list[dict[str, str]] = json.loads(done.output)["findings"]
    assert done.exit_code == int(any(finding["severity"] == "error" for finding in found))
    return found


def test_a_clean_home_has_no_errors(workspace: Path) -> None:
    """Nothing is configured, nothing runs, nothing is wrong: exit status 0."""
    assert not [finding for finding in findings() if finding["severity"] in {"error", "warning"}]
    done = run("doctor")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1].startswith("0 errors, 0 warnings, ")
    assert "-> credproxy serve" in done.output
    del workspace


def test_a_login_of_docker_s_that_the_daemon_cannot_use_is_an_error(home: Path, workspace: Path) -> None:
    """The helper fails with credential_unreadable, and troubleshooting sends a user here; the secret is not shown."""
    del workspace
    docker = home / "h" / ".docker"
    docker.mkdir()
    entries = '"ghcr.io": {"auth": "canary!"}, "reg.test": {"auth": "dTpw"}, "own.test": {"auth": "!"}'
    (docker / "config.json").write_text(f'{{"auths": {{{entries}}}, "credHelpers": {{"own.test": "pass"}}}}')
    said = [finding["message"] for finding in findings() if "auth" in finding["message"]]
    assert said == [f"the entry 'ghcr.io' of the docker configuration '{docker}/config.json' has an 'auth' that {BAD}"]


def test_a_broken_home_is_reported_with_the_errors_first(home: Path, workspace: Path) -> None:
    """Configuration, programs and lines at once; exit status 1, and each with what to do."""
    program = home / "corp-helper"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)
    configure(home, f'[[host]]\nmatch = "*.corp.example"\nprovider = "exec"\ncommand = ["{program}"]\n')
    (workspace / ".bazelrc").write_text("import %workspace%/rc\n")
    (workspace / "rc").write_text("build --credential_helper=localhost:5000=/bin/true\n")
    docker = home / "h" / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text('{"auths": {"ghcr.io": {"auth": "YTpi"}}, "credsStore": "nowhere"}')
    (home / "h" / ".netrc").write_text("machine a.b login u nonsense")
    found = findings()
    order = [finding["severity"] for finding in found]
    assert order == sorted(order, key=["error", "warning", "note", "ok"].index)
    errors = {finding["message"] for finding in found if finding["severity"] == "error"}
    for words in (
        f"'{program}', could be replaced by others",
        "names 'docker-credential-nowhere' for every registry",
        f"{workspace}/rc:1: Bazel refuses 'localhost:5000'",
        f"the entry of 'a.b' in the netrc file '{home}/h/.netrc' cannot be read: line 1 has",
    ):
        assert any(words in message for message in errors), words
    shown = run("doctor")
    assert shown.exit_code == 1
    assert shown.output.startswith("error")
    assert f"-> chmod go-w {program}" in shown.output


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (".netrc", "# ok\nmachne a.b login u password canary\n", "line 2 has a word that is not a keyword"),
        (".netrc", "machine a.b", "line 1, has no login"),
        (".netrc", None, "is a directory"),
        (".docker/config.json", '{"auths": {}, }', "is not the JSON of a docker configuration: line 1"),
        (".docker/config.json", '{"credHelpers": {"a.b": 5}}', "the entry 'a.b' in 'credHelpers'"),
        (".docker/config.json", None, "is a directory"),
    ],
)
def test_a_file_of_logins_that_cannot_be_used_is_an_error_with_its_place(
    home: Path, workspace: Path, name: str, content: str | None, said: str
) -> None:
    """Whatever else is wrong: otherwise a host would silently get no credential."""
    path = home / "h" / name
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    errors = [finding for finding in findings() if finding["severity"] == "error"]
    assert any(said in error["message"] and str(path) in error["message"] and error["remedy"] for error in errors), (
        errors
    )
    assert "canary" not in str(errors)
    del workspace


def test_a_broken_configuration_is_an_error_and_the_rest_is_looked_at(home: Path, workspace: Path) -> None:
    """With its line; the defaults are judged instead."""
    path = configure(home, "empty_ttl = 0\n")
    found = findings()
    assert f"{path}:1: empty_ttl: wanted seconds from 1 to 3600" in {finding["message"] for finding in found}
    assert {"daemon", "programs", "sandbox"} <= {finding["topic"] for finding in found}
    del workspace


def test_a_broken_policy_file_is_an_error_with_the_command_that_tells_all(home: Path, workspace: Path) -> None:
    """It is part of the configuration: with it broken the daemon answers nothing."""
    policy = home / "policy.yaml"
    policy.write_text("version: 1\nruls: []\n")
    configure(home, f'[actions]\npolicy_file = "{policy}"\n')
    (error,) = [finding for finding in findings() if finding["severity"] == "error"]
    assert error["message"].startswith(f"{policy}:2: ruls: there is no such key")
    assert error["remedy"] == f"${{EDITOR:-vi}} {policy}; credproxy actions check {policy}"
    del workspace


def test_the_command_that_hides_logins_hides_them(home: Path, workspace: Path) -> None:
    """F15: After running the command of the finding, the finding is gone."""
    (home / "h" / ".netrc").write_text("machine a.b login u password canary-pass")
    (home / "h" / ".netrc").chmod(0o600)

    def about() -> list[str]:
        return [finding["message"] for finding in findings() if finding["topic"] == "sandbox"]

    assert about() == [f"a sandboxed build action can see '{home}/h/.netrc'"]
    (home / "h" / ".bazelrc").write_text(run("bazelrc", "--sandbox").output)
    assert about() == ["a sandboxed build action can see no login of yours"]
    assert "canary" not in run("doctor", "-v").output
    del workspace


def test_verbose_shows_what_is_as_it_should_be(workspace: Path) -> None:
    """Otherwise it is only counted."""
    assert "is the native helper" not in " ".join(run("doctor").output.split())
    assert "is the native helper" in " ".join(run("doctor", "-v").output.split())
    del workspace


def test_the_machine_is_looked_at_without_raising(tmp_path: Path) -> None:
    """What does not exist, what is not a file, what waits for a writer, and links."""
    machine = ThisMachine()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert not machine.look(str(tmp_path / "none")).there
    assert machine.read(str(tmp_path / "fifo")) is None
    assert machine.read(str(tmp_path)) is None
    assert machine.read(str(tmp_path / "link")) == b"x"
    assert not machine.look(str(tmp_path / "circle")).there
    assert not machine.look("\0").there
    behind, *above = machine.lineage(str(tmp_path / "link"))
    assert (behind.path, above[-1].path) == (str(tmp_path / "file"), "/")
    linked = machine.lineage(str(tmp_path / "link"))
    assert str(tmp_path / "link") in [place.path for place in linked]


def test_a_link_in_a_directory_that_everybody_may_write_is_reported(tmp_path: Path) -> None:
    """Anybody who may replace the link chooses the file, however well that is protected."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "link").symlink_to(tmp_path / "file")
    (tmp_path / "open").chmod(0o777)
    found = replaceable(ThisMachine(), str(tmp_path / "open" / "link"))
    assert found is not None
    assert found.remedy == f"chmod go-w {tmp_path / 'open'}"


def test_what_else_is_in_the_directory_of_a_socket_is_seen(tmp_path: Path) -> None:
    """Its mode is not only ours to change then."""
    for name in ("helper.sock", "helper.lock", "autostart.lock"):
        (tmp_path / name).touch()
    assert not door(ThisMachine(), "helper", path=str(tmp_path / "helper.sock")).shared
    (tmp_path / "passwd").touch()
    assert door(ThisMachine(), "helper", path=str(tmp_path / "helper.sock")).shared
    assert not door(ThisMachine(), "helper", path=str(tmp_path / "none" / "helper.sock")).shared
