"""Commands that need no daemon, and what commands say when there is none."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from credproxy.cli import main
from tests.cli.daemon import serving
from tests.hints import filled


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "CREDPROXY_SOCKET", "DOCKER_AUTH_CONFIG", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in (("HOME", "h"), ("XDG_CONFIG_HOME", "c"), ("XDG_RUNTIME_DIR", "r")):
        (tmp_path / folder).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / folder))
    return tmp_path


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, list(args))


def configure(home: Path, text: str) -> Path:
    """Write the user's configuration."""
    path = home / "c" / "credproxy" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_check_tells_every_mistake_with_its_place(home: Path) -> None:
    """``FILE:LINE: path: problem``, and status 1."""
    path = configure(home, "empty_ttl = 0\nflight_timeout = 0\n")
    done = run("config", "check")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"{path}:1: empty_ttl: wanted seconds from 1 to 3600",
        f"{path}:2: flight_timeout: wanted seconds from 1 to 300",
    ]


def test_check_of_a_good_file_and_of_none(home: Path) -> None:
    """Both are fine, and say so."""
    assert "the built-in defaults are in force" in run("config", "check").output
    path = configure(home, '[[host]]\nmatch = "a.b"\nprovider = "none"\n')
    assert run("config", "check").output == f"{path}: fine, 1 host rule\n"
    assert run("config", "check", str(path)).exit_code == 0


def test_check_tells_rules_for_build_actions_that_have_no_effect(home: Path) -> None:
    """A rule that denies too late denies nothing; they are counted, also where there are no others."""
    rule = '[[actions.rule]]\naction = "{}"\nregistry = "ghcr.io"\nrepository = "{}"\noperations = ["blob:read"]\n'
    path = configure(home, rule.format("allow", "x/**") + rule.format("deny", "x/secret"))
    for args in (("config", "check"), ("config", "check", "--deep"), ("actions", "check", str(path))):
        done = run(*args)
        assert done.exit_code == 0
        assert done.stderr == (
            f"warning: {path}:6: actions.rule[1]: has no effect: actions.rule[0] allows it, "
            "and the first that matches decides\n"
        )
        assert "2 rules" in done.stdout
    assert "fine, 0 host rules, 2 rules for build actions" in run("config", "check").stdout


def test_a_policy_file_that_is_not_there_has_the_line_that_names_it(home: Path) -> None:
    """With the next command."""
    path = configure(home, f'# rules\n[actions]\npolicy_file = "{home}/policy.yaml"\n')
    assert run("config", "check").stderr == (
        f"credproxy: {path}:3: actions.policy_file: the policy file: '{home}/policy.yaml' is not there\n"
        f"hint: ls -l {home}/policy.yaml\n"
    )


def test_check_of_a_file_that_is_not_there(home: Path) -> None:
    """Two lines: what is wrong, and the next command."""
    done = run("config", "check", str(home / "nope.toml"))
    assert (done.exit_code, done.stderr) == (
        1,
        f"credproxy: '{home}/nope.toml' is not there\nhint: credproxy config path\n",
    )


def test_show_has_every_key_and_the_builtin_realms(home: Path) -> None:
    """Defaults included (SEC-8)."""
    configure(home, "empty_ttl = 30\n")
    shown = json.loads(run("config", "show", "--json").output)
    assert shown["empty_ttl"] == 30
    assert shown["flight_timeout"] == 30
    assert "registry-1.docker.io -> auth.docker.io" in shown["builtin_realms"]
    assert "empty_ttl = 30.0" in run("config", "show").output


def test_show_of_a_broken_file_is_an_error(home: Path) -> None:
    """And names the command that tells more."""
    configure(home, "x = 1\n")
    done = run("config", "show")
    assert done.exit_code == 1
    assert done.stderr.endswith("hint: credproxy config check\n")


def test_path_says_what_is_there(home: Path) -> None:
    """The user's before the machine's."""
    assert run("config", "path").output.splitlines()[0] == f"{home}/c/credproxy/config.toml  (not there)"


def test_bazelrc_names_each_host_exactly(home: Path) -> None:
    """CL-37: exact hosts, wildcards as they are, nothing unscoped; what Bazel cannot name is said."""
    configure(
        home,
        '[[host]]\nmatch = "registry.example.com:5000"\nprovider = "oci"\n[[host]]\nmatch = "*.corp.example/x"\nprovider = "oci"\n'
        '[[host]]\nmatch = "localhost"\nprovider = "oci"\n',
    )
    docker = home / "h" / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text(
        '{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "ghcr.io": {"auth": "dTpw"}}}'
    )
    done = run("bazelrc")
    assert done.exit_code == 0, done.output
    lines = [line.partition("=")[2].partition("=")[0] for line in done.stdout.splitlines()]
    assert lines == ["*.corp.example", "ghcr.io", "index.docker.io", "registry-1.docker.io", "registry.example.com"]
    assert all(line.endswith("/credproxy-helper") for line in done.stdout.splitlines())
    assert "# localhost: Bazel cannot name such a host" in done.stderr


def test_bazelrc_without_hosts_says_what_to_do(home: Path) -> None:
    """Nothing unscoped is ever printed."""
    del home
    done = run("bazelrc")
    assert done.exit_code == 1
    assert "docker login HOST" in done.stderr


@pytest.mark.parametrize("args", [("status",), ("get", "https://a.b"), ("flush",), ("reload",)])
def test_without_a_daemon_the_error_names_the_socket_and_the_command(home: Path, args: tuple[str, ...]) -> None:
    """Two lines."""
    done = run(*args)
    assert done.exit_code == 1
    assert done.stderr == (
        f"credproxy: no daemon listens at {home}/r/credproxy/helper.sock\nhint: start it: credproxy serve\n"
    )


def test_usage_errors_have_status_2() -> None:
    """As usual for click."""
    assert run("nonsense").exit_code == 2
    assert run("get").exit_code == 2


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("statsu",), "No such command 'statsu'. Did you mean 'status'?"),
        (("Status",), "No such command 'Status'. Did you mean 'status'?"),
        (("xyzzy",), "No such command 'xyzzy'."),
        (("--statsu",), "No such option '--statsu'."),
    ],
)
def test_a_slip_in_a_command_is_told_as_one(typed: tuple[str, ...], said: str) -> None:
    """The commands are imported when they are named, so click does not know them."""
    done = run(*typed)
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, f"Error: {said}")


def _commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield before
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield from _commands(command, (*before, name)) if isinstance(command, click.Group) else ((*before, name),)


@pytest.mark.parametrize("columns", [60, 80])
def test_every_help_fits_and_breaks_no_word(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example that is broken at a dash cannot be copied."""
    monkeypatch.setenv("COLUMNS", str(columns))
    texts = {words: CliRunner().invoke(main, [*words, "--help"], terminal_width=columns) for words in _commands(main)}
    assert len(texts) > 20
    assert {words: done.exit_code for words, done in texts.items() if done.exit_code != 0} == {}
    lines = [(words, line) for words, done in texts.items() for line in done.output.splitlines()]
    assert [(words, line) for words, line in lines if len(line) > columns or line.endswith("-")] == []


def test_help_needs_no_aiohttp() -> None:
    """A newcomer's first command must be quick."""
    program = sys.executable
    code = "import sys; import credproxy.cli; sys.exit('aiohttp' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([program, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("args", [("config", "check"), ("actions", "check")])
def test_a_directory_in_the_place_of_a_file_is_reported_in_plain_words(home: Path, args: tuple[str, ...]) -> None:
    """With status 1, like any other unreadable file, and a hint that can be pasted into a shell: never to remove what is used."""
    (place := home / "a b.toml").mkdir()
    (place / "x").touch()
    hint = run(*args, str(place)).stderr.splitlines()[1].removeprefix("hint: ")
    filled(hint, "a file is wanted there; see what the directory holds: ls -la {}")
    (place / "x").unlink()
    done = run(*args, str(place))
    assert (done.exit_code, done.stderr) == (
        1,
        f"credproxy: the file '{place}' is a directory\nhint: a file is wanted there; if docker made it because there was none: rmdir '{place}'\n",
    )


@pytest.mark.parametrize("args", [("config", "check"), ("config", "show"), ("bazelrc",), ("explain", "https://a.b")])
def test_a_configuration_that_is_not_utf_8_is_reported_with_its_line(home: Path, args: tuple[str, ...]) -> None:
    """TOML is UTF-8; a file in another encoding may mean something else."""
    path = configure(home, "")
    path.write_bytes(b"empty_ttl = 30\n# f\xfcr\n")
    done = run(*args)
    assert done.exit_code == 1
    assert f"{path}:2: not in UTF-8; save the file as UTF-8 text\n" in done.stderr


def test_the_list_of_commands_has_whole_sentences() -> None:
    """A sentence that click cuts ends with three dots, on a terminal of 80 columns."""
    for group in ((), ("actions",), ("config",)):
        _, begun, commands = run(*group, "--help").output.partition("Commands:")
        assert begun
        assert "..." not in commands


def test_show_has_the_defaults_of_every_table(home: Path) -> None:
    """Also of tables that are missing or incomplete in the file."""
    configure(home, '[log]\nlevel = "debug"\n')
    shown = json.loads(run("config", "show", "--json").output)
    assert shown["log"] == {"level": "debug", "format": "auto", "audit": False}
    assert shown["cache"]["entries"] == 100000
    assert shown["actions"]["policy_file"] is None


def test_bazelrc_with_nothing_but_a_netrc_file_says_why_it_prints_no_line(home: Path) -> None:
    """A login was found, but Bazel reads that file itself. Following the hint still gives a line."""
    (home / "h" / ".netrc").write_text("machine a.example login u password p\n")
    done = run("bazelrc")
    assert done.exit_code == 1
    assert f"Bazel reads the netrc file '{home}/h/.netrc' itself" in done.stderr
    assert "no login was found" not in done.stderr
    rule = done.stderr.rpartition("[[host]] ")[2].strip().replace('" ', '"\n').replace("HOST", "a.example")
    configure(home, f"[[host]]\n{rule}\n")
    done = run("bazelrc")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("common --credential_helper=a.example=")


@pytest.mark.parametrize("url", ["http://me:canary-pass@reg.test/x", "me:canary-pass@reg.test"])
@pytest.mark.parametrize(
    "command",
    [
        "login -u u",
        "logout",
        "get --no-daemon",
        "get",
        "explain",
        "flush --host",
        "actions allow",
        "actions test",
        "actions check",
        "config check",
        "bazelrc",
        "status",
        "reload",
        "doctor",
        "nothing",
    ],
)
@pytest.mark.parametrize("more", [False, True], ids=["one", "too-many"])
def test_a_password_in_what_was_typed_is_not_printed(home: Path, command: str, *, url: str, more: bool) -> None:
    """Terminals are recorded, and their text is pasted into reports."""
    del home
    done = run(*command.split(), url, *([url, url] if more else []))
    assert done.output
    assert "canary-pass" not in done.output


@pytest.mark.parametrize(
    "words", [("explain", "https://x.test/\udcff"), ("get", "https://x.test/\udcff"), ("flush", "\udcff")]
)
def test_a_byte_that_is_no_text_is_called_so(home: Path, words: tuple[str, str]) -> None:
    """It cannot be in the JSON that the daemon is sent, whose complaint would be about JSON that nobody typed."""
    with serving(home) as daemon:
        done = run(*words)
    assert (done.exit_code, daemon.asked) == (1, [])
    assert " has a byte that is not ASCII\n" in done.stderr


def test_a_configuration_that_others_may_write_is_an_error_like_any_other(home: Path) -> None:
    """Who may, and the next command."""
    path = configure(home, "")
    path.chmod(0o666)
    done = run("config", "check")
    assert (done.exit_code, done.stderr) == (
        1,
        (
            f"credproxy: the configuration '{path}' is not trusted: it could be replaced by others: "
            f"everybody may write '{path}'\nhint: chmod go-w {path}\n"
        ),
    )
    path.chmod(0o660)
    done = run("config", "check")
    assert (done.exit_code, done.stderr) == (
        0,
        (
            f"warning: the configuration '{path}' could be replaced by its group, which may write '{path}'\n"
            f"hint: chmod go-w {path}\n"
        ),
    )
