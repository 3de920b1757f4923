"""``credproxy bazelrc --actions``: the lines that route lazy layers through the daemon."""

import base64
import itertools
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from credproxy.cli.logins import hosts, hosts as all_hosts
from credproxy.core.config.settings import Settings
from credproxy.core.formats.bazel_words import split_words
from credproxy.core.formats.docker_config import Index
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.kinds.uses import Used, Usual
from tests.cli.test_commands import configure, home, run
from tests.hints import filled


__all__ = ["home"]  # the fixture


def rule(registry: str, action: str = "allow") -> str:
    """A rule for a registry."""
    return f'[[actions.rule]]\naction = "{action}"\nregistry = "{registry}"\nrepository = "**"\noperations = ["blob:read"]\n'


def flags() -> list[str]:
    """The flags as Bazel splits them: shell words, without comments."""
    done = run("bazelrc", "--actions")
    assert done.exit_code == 0, done.stderr
    return [flag for line in done.stdout.splitlines() for flag in shlex.split(line, comments=True)[1:]]


def entries() -> dict[str, object]:
    """The dummy entries for Google's registries."""
    (value,) = [flag for flag in flags() if flag.startswith("--action_env=")]
    name, _, text = value.removeprefix("--action_env=").partition("=")
    assert name == "IMG_DOCKER_CONFIG_INLINE"
    found = json.loads(text)
    assert list(found) == ["auths"]
    assert isinstance(found["auths"], dict)
    return found["auths"]


class Tool(NoneHost, frozen=True):
    """A kind whose login another program keeps."""

    def own_uses(self) -> Iterator[Used]:
        """A variable or a file, neither of which has to exist."""
        yield ("match",), Usual(("CREDPROXY_TEST_TOOL",), "CREDPROXY_TEST_FOLDER", "tool", "hosts.yml")


class Known(Settings, frozen=True):
    """Settings with built-in hosts of this test."""

    def rules(self, builtin: Sequence[HostRule] = ()) -> tuple[HostRule, ...]:
        """The usual rules, and these."""
        present, absent = EnvSource("CREDPROXY_TEST_TOKEN"), FileSource("/nonexistent/token")
        known: list[HostRule] = [
            HeaderHost("here.test", present),
            HeaderHost("away.test", absent),
            Tool("tool.test"),
            NoneHost("cdn.test"),
        ]
        return super().rules([*builtin, *known])


def test_a_built_in_host_has_a_line_where_its_login_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line costs a call for every download, so it is only for users with something to send."""
    settings = Known(host=(NoneHost("mine.test"), OciHost("ghcr.io")))
    monkeypatch.delenv("CREDPROXY_TEST_TOKEN", raising=False)
    assert hosts(settings, {}) == {"ghcr.io"}
    monkeypatch.setenv("CREDPROXY_TEST_TOKEN", "x")
    assert hosts(settings, {}) == {"ghcr.io", "here.test"}


def test_a_login_that_another_program_keeps_counts_where_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a variable or in its file."""
    settings = Known()

    def hosts(settings: Settings, docker: dict[str, Index]) -> set[str]:
        return all_hosts(settings, docker, decide=lambda rules, _: rules)

    assert "tool.test" not in hosts(settings, {})
    for name, value, folder in (
        ("XDG_CONFIG_HOME", home / "a", home / "a/tool"),
        ("CREDPROXY_TEST_FOLDER", home / "b", home / "b"),
    ):
        monkeypatch.setenv(name, str(value))
        assert "tool.test" not in hosts(settings, {})
        folder.mkdir(parents=True)
        (folder / "hosts.yml").touch()
        assert "tool.test" in hosts(settings, {})
        (folder / "hosts.yml").unlink()
    monkeypatch.setenv("CREDPROXY_TEST_TOOL", "x")
    assert "tool.test" in hosts(settings, {})


def test_a_credential_helper_of_git_counts_where_the_user_has_one(home: Path) -> None:
    """Its logins are unknown until it is asked."""
    assert "github.com" not in hosts(Settings(), {})
    (home / "h" / ".gitconfig").write_text("[user]\n\tname = me\n")
    assert "github.com" not in hosts(Settings(), {})
    (home / "h" / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    assert {"github.com", "gitlab.com"} <= hosts(Settings(), {})


def test_a_file_without_a_login_and_a_library_that_is_missing_give_no_line(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line would switch Bazel's netrc off for hosts that get nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = home / "h" / ".aws"
    folder.mkdir()
    (folder / "config").write_text("[default]\nregion = eu-west-1\n")
    assert "*.amazonaws.com" not in hosts(Settings(), {})
    (folder / "credentials").write_text("[default]\naws_access_key_id = AKIAX\naws_secret_access_key = canary\n")
    assert "*.amazonaws.com" in hosts(Settings(), {})
    monkeypatch.setitem(sys.modules, "botocore", None)
    assert "*.amazonaws.com" not in hosts(Settings(), {})


def test_the_flags(home: Path) -> None:
    """The gateway's socket, and two directories: one is hidden, the other one shown (F1)."""
    configure(home, rule("ghcr.io"))
    assert flags() == [
        f"--@rules_img//img/settings:registry_pull_gateway=unix:{home}/r/credproxy-actions/actions.sock",
        f"--sandbox_block_path={home}/r/credproxy",
        f"--sandbox_add_mount_pair={home}/r/credproxy-actions",
    ]


def test_the_socket_may_be_the_same_on_all_machines(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is part of the action key, so the daemon's own setting counts."""
    configure(home, rule("ghcr.io"))
    monkeypatch.setenv("CREDPROXY_ACTIONS_SOCKET", "/run/credproxy-actions/actions.sock")
    assert flags()[0].endswith("=unix:/run/credproxy-actions/actions.sock")
    assert flags()[2] == "--sandbox_add_mount_pair=/run/credproxy-actions"


def test_every_line_says_what_it_is_for(home: Path) -> None:
    """A comment stands before each flag; remote execution is a choice, so it is a comment as a whole."""
    configure(home, rule("gcr.io"))
    lines = run("bazelrc", "--actions").stdout.splitlines()
    for before, line in itertools.pairwise(lines):
        assert line.startswith("# ") or before.startswith("# ")
    assert lines[-1] == "# build --modify_execution_info=DownloadBlob=+no-remote-exec"
    assert all(len(line) < 140 for line in lines if line.startswith("# "))


def test_google_hosts_get_an_entry_that_is_not_a_secret(home: Path) -> None:
    """3.3 to 5.3 s for each blob are saved: from rules, host rules and docker's logins, sorted, each once."""
    docker = home / "h" / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text('{"auths": {"us.gcr.io": {"auth": "dTpw"}, "ghcr.io": {"auth": "dTpw"}}}')
    configure(
        home,
        rule("europe-docker.pkg.dev")
        + rule("gcr.io")
        + rule("eu.gcr.io", "deny")
        + '[[host]]\nmatch = "marketplace.gcr.io/google"\nprovider = "oci"\n'
        + '[[host]]\nmatch = "notgcr.io"\nprovider = "oci"\n[[host]]\nmatch = "gcr.io.evil.test"\nprovider = "oci"\n',
    )
    found = entries()
    assert list(found) == ["europe-docker.pkg.dev", "gcr.io", "marketplace.gcr.io", "us.gcr.io"]
    for entry in found.values():
        assert isinstance(entry, dict)
        assert base64.b64decode(entry["auth"]) == b"none:none"


def test_a_wildcard_cannot_have_an_entry(home: Path) -> None:
    """So it is named, and the user has to add its hosts."""
    configure(home, rule("*.pkg.dev"))
    done = run("bazelrc", "--actions")
    assert "--action_env" not in done.stdout
    assert '# *.pkg.dev cannot stand in "auths": each of its hosts needs an entry.' in done.stdout.splitlines()


def test_a_policy_files_registries_count(home: Path) -> None:
    """They have no port, and neither has what is printed."""
    path = home / "policy.yaml"
    path.write_text(
        "version: 1\nrules:\n- {action: allow, registry: gcr.io, repository: '**', operations: [blob:read]}\n"
    )
    configure(home, f'[actions]\npolicy_file = "{path}"\n')
    assert list(entries()) == ["gcr.io"]


def test_without_a_rule_it_says_so(home: Path) -> None:
    """The lines are still right."""
    done = run("bazelrc", "--actions")
    assert done.exit_code == 0
    assert "registry_pull_gateway" in done.stdout
    assert done.stderr == "# no rule allows build actions anything yet: credproxy actions allow 'ghcr.io/my-org/**'\n"
    del home


def store(home: Path, script: str, configuration: str = '{"credsStore": "test"}') -> None:
    """A credential program on the daemon's path, and docker's configuration that names it."""
    program = home / "bin" / "docker-credential-test"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    program.chmod(0o755)
    docker = home / "h" / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(configuration)
    configure(home, f'helper_path = "{program.parent}:/usr/bin:/bin"\n')


def test_what_a_store_lists_gets_a_line(home: Path) -> None:
    """If all logins are in the store, no file names a registry."""
    store(home, """echo '{"https://reg.test":"u","https://index.docker.io/v1/":"u"}'""")
    done = run("bazelrc")
    assert done.exit_code == 0, done.stderr
    names = [line.split("=")[1] for line in done.stdout.splitlines()]
    assert names == ["index.docker.io", "reg.test", "registry-1.docker.io"]


@pytest.mark.parametrize("script", ["exit 1", "echo '{}'", "echo nonsense", "kill $$", 'echo "{"'])
def test_a_store_that_lists_nothing_is_reported_with_the_rule_that_gives_a_line(home: Path, script: str) -> None:
    """An empty list proves nothing: the daemon asks it about each registry. Following the hint gives a line."""
    store(home, script)
    done = run("bazelrc")
    assert done.exit_code == 1
    assert "docker-credential-test lists none" in done.stderr
    filled(
        done.stderr.splitlines()[-1].removeprefix("hint: "),
        'for a line, name its registries in the configuration: [[host]] match = "HOST" provider = "oci"',
    )
    rule = done.stderr.rpartition("[[host]] ")[2].strip().replace('" ', '"\n').replace("HOST", "reg.test")
    config = home / "c" / "credproxy" / "config.toml"
    config.write_text(f"{config.read_text()}[[host]]\n{rule}\n")
    done = run("bazelrc")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("common --credential_helper=reg.test=")
    assert "# docker-credential-test lists no registry" in done.stderr


def test_a_file_that_cannot_be_read_is_named_in_a_comment(home: Path) -> None:
    """The lines of the other hosts are still printed."""
    docker = home / "h" / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text('{"auths": {"reg.test": {}}')
    configure(home, '[[host]]\nmatch = "other.test"\nprovider = "oci"\n')
    done = run("bazelrc")
    assert done.exit_code == 0
    assert done.stdout.startswith("common --credential_helper=other.test=")
    assert f"# not looked at: the docker configuration '{docker}/config.json' is not the JSON" in done.stderr


def test_a_host_that_gets_nothing_has_no_line(home: Path) -> None:
    """A line would only keep Bazel from netrc and auth= for it; also if docker has a login for that host."""
    docker = home / "h" / ".docker"
    docker.mkdir()
    hosts = ["out.test", "out.test:5000", "a.below.test", "in.test", "half.test"]
    entries = {host: {"auth": "YTpi"} for host in hosts}
    (docker / "config.json").write_text(json.dumps({"auths": entries}))
    none = '[[host]]\nmatch = "{}"\nprovider = "none"\n'
    rules = "".join(map(none.format, ["out.test", "*.below.test", "half.test/private"]))
    configure(home, f'{rules}[[host]]\nmatch = "other.test"\nprovider = "oci"\n')
    done = run("bazelrc")
    assert [line.split("=")[1] for line in done.stdout.splitlines()] == ["half.test", "in.test", "other.test"]
    configure(home, none.format("out.test"))
    (docker / "config.json").unlink()
    done = run("bazelrc")
    assert done.exit_code == 1
    assert "no host is configured" in done.stderr


def test_a_path_with_a_blank_stays_one_word(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with a backslash, a quote, a hash and what looks like a variable: every line is read back as intended."""
    odd = tmp_path / """it's \\ "#1" ${HOME}"""
    for folder in ("run", "bin"):
        (odd / folder).mkdir(mode=0o700, parents=True)
    program = odd / "bin" / "credproxy-helper"
    program.touch(0o755)
    started = odd / "bin" / "credproxy"
    started.symlink_to(Path(sys.executable).parent / "credproxy")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(odd / "run"))
    configure(home, '[[host]]\nmatch = "reg.test"\nprovider = "oci"\n')

    def words(*options: str) -> list[tuple[str, ...]]:
        done = subprocess.run([started, "bazelrc", *options], capture_output=True, text=True, check=True)
        return [split_words(line, {"HOME": "wrong"}).words for line in done.stdout.splitlines()]

    assert words() == [("common", f"--credential_helper=reg.test={program}")]
    actions = words("--actions")
    assert ("build", f"--sandbox_block_path={odd}/run/credproxy") in actions
    gateway = f"unix:{odd}/run/credproxy-actions/actions.sock"
    assert ("build", f"--@rules_img//img/settings:registry_pull_gateway={gateway}") in actions
    (odd / "run" / "credproxy").mkdir()
    assert ("build", f"--sandbox_block_path={odd}/run/credproxy") in words("--sandbox")


def test_two_kinds_of_lines_at_once_are_a_mistake(home: Path) -> None:
    """They belong in different files."""
    done = run("bazelrc", "--actions", "--sandbox")
    assert done.exit_code == 2
    assert "leave one of them out" in done.stderr
    del home


def test_an_empty_entry_without_a_store_gets_no_line(home: Path) -> None:
    """The daemon would answer ``{}``, and a line keeps Bazel from netrc; a store may have a login for it."""
    docker = home / "h" / ".docker"
    docker.mkdir()
    entries = (
        '"auths": {"empty.test": {}, "null.test": null, "blank.test": {"auth": ""}, "full.test": {"auth": "dTpw"}}'
    )
    (docker / "config.json").write_text(f"{{{entries}}}")
    named = [line.split("=")[1] for line in run("bazelrc").stdout.splitlines()]
    assert named == ["full.test"]
    (docker / "config.json").write_text(f'{{{entries}, "credsStore": "nothere"}}')
    named = [line.split("=")[1] for line in run("bazelrc").stdout.splitlines()]
    assert named == ["blank.test", "empty.test", "full.test", "null.test"]
