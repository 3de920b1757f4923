"""``credproxy explain`` without a daemon: the same decisions from the same files, without changing or starting anything."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from credproxy.cli.tables import show_explanation
from tests.cli.daemon import serving
from tests.cli.test_commands import configure, home, run


__all__ = ["home"]  # the fixture

URI = "https://reg.test/v2/a/manifests/x"


def told(*args: str) -> dict[str, object]:
    """The explanation as JSON."""
    done = run("explain", "--json", *args)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_without_a_daemon_it_explains_by_itself(home: Path) -> None:
    """It says that none runs, what one would answer, and why."""
    found = told(URI)
    assert found["daemon"] == "none is running; this is what one would answer"
    assert found["answer"] == "{}"
    assert f"the netrc file '{home}/h/.netrc' is not there" in str(found["reasons"])
    assert "generation" not in found


def test_it_reads_what_the_daemon_would_read(home: Path) -> None:
    """The configuration and the logins; no secret of them is shown."""
    configure(home, '[[host]]\nmatch = "reg.test"\nprovider = "basic"\n')
    (home / "h" / ".netrc").write_text("machine reg.test login u password canary\n")
    done = run("explain", URI)
    assert done.exit_code == 0, done.stderr
    assert "canary" not in done.output
    assert told(URI)["answer"] == "credential"


def test_no_program_is_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may ask the user to unlock it, so it is not started, and the output says so."""
    docker, program = home / "h" / ".docker", home / "docker-credential-x"
    docker.mkdir()
    (docker / "config.json").write_text('{"credsStore": "x"}')
    program.write_text(f"#!/bin/sh\ntouch {home}/started\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    problem = told(URI)["problem"]
    assert isinstance(problem, dict)
    assert problem["message"] == "'docker-credential-x' may have a login, and without a daemon it is not asked"
    assert not (home / "started").exists()


def test_nothing_is_made(home: Path) -> None:
    """Neither a socket nor a lock nor a log: the command changes nothing."""
    before = sorted(home.rglob("*"))
    told(URI)
    assert sorted(home.rglob("*")) == before


def test_what_is_wrong_is_an_error_with_a_hint(home: Path) -> None:
    """A text that is not a URI, and a configuration that cannot be used."""
    done = run("explain", "ftp://a.b/")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 2)
    configure(home, "x = 1\n")
    done = run("explain", URI)
    assert done.exit_code == 1
    assert done.stderr.endswith("hint: credproxy config check\n")


def test_an_untrusted_configuration_is_not_explained(home: Path) -> None:
    """Anybody who may write it would decide where logins go; the command that fixes it is named."""
    path = configure(home, "")
    path.chmod(0o666)
    done = run("explain", URI)
    assert done.exit_code == 1
    assert "is not trusted" in done.stderr
    assert f"chmod go-w {path}" in done.stderr


def test_a_running_daemon_is_asked(home: Path) -> None:
    """Its answer is printed, each reason on its own line however long it is, and no text is taken for markup."""
    answer: dict[str, object] = {
        "target": URI,
        "answer": "{}",
        "reasons": ["one" + " word" * 40, "two"],
        "detail": {"scopes": "repository:a:pull"},
    }
    with serving(home, (200, answer), (200, answer)) as daemon:
        assert told(URI) == answer
        lines = [line.split(maxsplit=1) for line in run("explain", URI).stdout.splitlines()]
    assert daemon.asked == ["POST /v1/explain"] * 2
    assert ["because", "one" + " word" * 40] in lines
    assert ["because", "two"] in lines
    assert ["detail.scopes", "repository:a:pull"] in lines


def test_the_client_certificate_of_a_rule_is_told(home: Path) -> None:
    """By its path, whether there is a login or not."""
    configure(home, '[[host]]\nmatch = "reg.test"\nprovider = "oci"\nclient_cert = "/c.pem"\n')
    assert told(URI)["certificate"] == "/c.pem"
    assert "certificate" not in told("https://other.test/v2/a/manifests/x")


def test_a_certificate_that_is_not_there_or_has_expired_is_told(home: Path) -> None:
    """The host would be asked without it, or refuse it."""
    path = home / "c.pem"
    configure(home, f'[[host]]\nmatch = "reg.test"\nprovider = "oci"\nclient_cert = "{path}"\n')

    def row() -> str:
        return next(line for line in run("explain", URI).stdout.splitlines() if line.startswith("certificate"))

    assert row().endswith(f"{path}, which is not there")
    for end, said in (
        (datetime(2020, 1, 2, tzinfo=UTC), f"{path}, which has expired, on 2020-01-02"),
        (None, str(path)),
    ):
        path.write_bytes(trustme.CA().issue_cert("me@corp.test", not_after=end).cert_chain_pems[0].bytes())
        assert row().endswith(said)
    path.write_text("unreadable")
    assert row().endswith(str(path))  # the commands that read it say what is wrong


def test_what_only_git_can_tell_is_not_promised(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a helper of git's may know a login, it is not asked here; one for another host is none."""
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GIT_CONFIG_GLOBAL"):
        monkeypatch.delenv(name, raising=False)
    uri, file = "https://github.com/o/r/archive/x.tar.gz", home / "h" / ".gitconfig"
    for section, answer, said in (
        ('credential "https://github.com"', "unknown", "git's credential helpers have to be asked"),
        ('credential "https://source.corp.test"', "{}", "git has no credential helper for 'github.com'"),
    ):
        file.write_text(f"[{section}]\n\thelper = store\n")
        found = told(uri)
        assert found["answer"] == answer, found.get("problem")
        assert said in str(found["reasons"])


@pytest.mark.parametrize("columns", ["60", "80"])
def test_no_name_is_cut_on_a_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The longest names are those of an answer in memory."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    show_explanation({"answer": "credential", "entry": {"detail": {"credential": "docker-config:reg.test"}}})
    said = capsys.readouterr().out
    assert "entry.detail.credential" in said
    assert "docker-config:reg.test" in said
