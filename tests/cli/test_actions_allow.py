"""``credproxy actions allow`` puts its rule into force, adds nothing twice, and questions probable mistakes."""

import os
import shlex
from pathlib import Path

import pytest

from credproxy.cli.client import call_in_turn
from credproxy.cli.command_error import CommandError
from tests.cli.daemon import serving, too_early
from tests.cli.test_commands import configure, home, run
from tests.hints import filled


__all__ = ["home"]  # the fixture

RELOADED: dict[str, object] = {"generation": 2, "rules": 0}
DENY = '[[actions.rule]]\naction = "deny"\nregistry = "{}"\nrepository = "{}"\noperations = ["*"]\n'
ALLOW = '[[actions.rule]]\naction = "allow"\nregistry = "{}"\nrepository = "{}"\noperations = {}\n'
READ = '["blob:read", "manifest:read"]'


def place_of(home: Path) -> Path:
    """The user's configuration."""
    return home / "c" / "credproxy" / "config.toml"


def test_the_rule_is_put_in_force(home: Path) -> None:
    """The daemon is told to read it; nothing is left for the user to do."""
    with serving(home, (200, {**RELOADED, "files": [str(place_of(home))]})) as daemon:
        done = run("actions", "allow", "ghcr.io/my-org/**")
    assert done.exit_code == 0, done.stderr
    assert daemon.asked == ["POST /v1/reload"]
    assert done.stdout.splitlines()[-1] == "it is in force"
    assert "my-org/**" in place_of(home).read_text()


def test_without_a_daemon_the_rule_waits_for_it(home: Path) -> None:
    """That is fine, and the output says so."""
    done = run("actions", "allow", "ghcr.io/my-org/**")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "no daemon is running; it reads the rule when it starts"
    del home


def test_no_reload_leaves_the_daemon_as_it_is(home: Path) -> None:
    """And the output says how to put the rule into force."""
    with serving(home) as daemon:
        done = run("actions", "allow", "--no-reload", "ghcr.io/my-org/**")
    assert done.exit_code == 0, done.stderr
    assert daemon.asked == []
    assert done.stdout.splitlines()[-1] == "put it in force: credproxy reload"


def test_a_daemon_that_does_not_take_the_rule_is_an_error(home: Path) -> None:
    """Only the file was changed: the error says both, with the daemon's own hint."""
    refusal = {"code": "peer_refused", "message": "this is for the administrator", "hint": "run it with sudo"}
    with serving(home, (403, {"error": refusal})):
        done = run("actions", "allow", "ghcr.io/my-org/**")
    assert done.exit_code == 1
    assert done.stderr == (
        "credproxy: the rule is written, but the daemon does not use it: this is for the administrator (peer_refused)\n"
        "hint: run it with sudo\n"
    )


def test_a_daemon_with_another_configuration_is_an_error(home: Path) -> None:
    """``serve --config`` reads only one file, which is not the changed one."""
    with serving(home, (200, {**RELOADED, "files": ["/srv/other.toml"]})):
        done = run("actions", "allow", "ghcr.io/my-org/**")
    assert done.exit_code == 1
    assert "the rule is written, but the daemon reads /srv/other.toml" in done.stderr


@pytest.mark.parametrize(
    ("held", "pattern"),
    [
        (ALLOW.format("ghcr.io", "my-org/**", READ), "ghcr.io/my-org/**"),
        (ALLOW.format("ghcr.io", "my-org/**", READ), "GHCR.io:443/my-org/app"),
        (ALLOW.format("ghcr.io", "**", '["*"]'), "ghcr.io/my-org/*/x-?"),
        (ALLOW.format("*.io", "my-*/**", READ), "ghcr.io/my-org/**"),
        (ALLOW.format("*.io", "**", READ), "*.gcr.io/a"),
        (ALLOW.format("index.docker.io", "library/ubuntu", READ), "docker.io/ubuntu"),
        (ALLOW.format("a.b", "x", '["blob:read"]') + ALLOW.format("a.b", "*", '["manifest:read"]'), "a.b/x"),
    ],
)
def test_what_is_allowed_already_is_not_added_again(home: Path, held: str, pattern: str) -> None:
    """By the same rule or by a wider one; the daemon still reads the file, because it may not have done so yet."""
    path = configure(home, held)
    with serving(home, (200, {**RELOADED, "files": [str(path)]})) as daemon:
        done = run("actions", "allow", pattern)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("actions.rule[0]")
    assert f"already allows {pattern}; nothing was added\n" in done.stdout
    assert path.read_text() == held
    assert daemon.asked == ["POST /v1/reload"]


@pytest.mark.parametrize(
    ("held", "args"),
    [
        (ALLOW.format("ghcr.io", "my-org/*", READ), ("ghcr.io/my-org/**",)),
        (ALLOW.format("ghcr.io", "my-org/app", READ), ("ghcr.io/my-org/*",)),
        (ALLOW.format("ghcr.io", "my-org/**", READ), ("--write", "ghcr.io/my-org/**")),
        (ALLOW.format("ghcr.io", "my-org/**", '["blob:read"]'), ("ghcr.io/my-org/**",)),
        (ALLOW.format("ghcr.io", "my-org/**", READ), ("ghcr.io:8443/my-org/**",)),
        (ALLOW.format("*.example.com", "**", READ), ("example.com/a",)),
        (ALLOW.format("a.example.com", "**", READ), ("*.example.com/a",)),
    ],
)
def test_what_is_not_wholly_allowed_is_added(home: Path, held: str, args: tuple[str, ...]) -> None:
    """A rule that covers a part of it is not enough."""
    path = configure(home, held)
    done = run("actions", "allow", *args)
    assert done.exit_code == 0, done.stderr
    assert path.read_text().count("[[actions.rule]]") == 2
    assert done.stderr == ""


def test_a_rule_that_takes_no_effect_is_warned_of(home: Path) -> None:
    """An earlier rule denies all of it, and the first that matches decides."""
    configure(home, DENY.format("ghcr.io", "my-org/**"))
    done = run("actions", "allow", "ghcr.io/my-org/app")
    assert done.exit_code == 0
    assert done.stderr == (
        "warning: actions.rule[0] denies it, and the first rule that matches decides: "
        "the new one has no effect there; put it before that one\n"
    )
    assert (
        f"{place_of(home)}: the rule is written, and actions.rule[0] still denies ghcr.io/my-org/app\n" in done.stdout
    )
    assert "may read" not in done.stdout


def test_a_rule_for_much_is_warned_of_as_a_check_does(home: Path) -> None:
    """A whole host, and plain http; the scheme that the note leaves out is the one that was typed."""
    del home
    done = run("actions", "allow", "http://files.test/**")
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        "warning: the new rule allows everything at 'files.test'",
        "warning: the new rule allows plain http at 'files.test': others on the way may change what is fetched",
        "note: for the repositories of a registry leave http:// out",
    ]


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [("my-org/**", "my-org/**"), ("library/ubuntu", "library/ubuntu"), ("Org/app", "Org/app"), ("a_b/c", "a_b/c")],
)
def test_a_pattern_without_a_registry_is_questioned(home: Path, pattern: str, meant: str) -> None:
    """There is no user to answer, so it is refused, with both patterns that were probably intended."""
    done = run("actions", "allow", pattern)
    assert done.exit_code == 1
    first, hint = done.stderr.splitlines()
    registry = pattern.partition("/")[0]
    if registry in {"my-org", "library"}:
        assert first == (
            f"credproxy: nothing was changed: is '{registry}' a registry? "
            f"did you mean 'docker.io/{meant}' or 'ghcr.io/{meant}'"
        )
    assert f"credproxy actions allow 'docker.io/{meant}'" in hint
    assert not place_of(home).exists()


def test_the_hints_for_a_pattern_without_a_registry_work(home: Path) -> None:
    """Both remedies: the registry in front, or ``--yes``."""
    assert run("actions", "allow", "docker.io/my-org/**").exit_code == 0
    assert run("actions", "allow", "--yes", "my-org/**").exit_code == 0
    assert 'registry = "my-org"' in place_of(home).read_text()


def test_a_host_of_a_rule_is_a_registry(home: Path) -> None:
    """A user who configured ``registry`` as a host is not asked whether it is one."""
    configure(home, '[[host]]\nmatch = "registry"\nprovider = "oci"\n')
    assert run("actions", "allow", "registry/app").exit_code == 0
    assert run("actions", "allow", "localhost/app").exit_code == 0
    assert run("actions", "allow", "reg:5000/app").exit_code == 0


@pytest.mark.parametrize(
    ("pattern", "message", "command"),
    [
        ("https://registry-1.docker.io/a/b", "is at a registry: leave https:// out", "registry-1.docker.io/a/b"),
        ("https://ghcr.io/v2/a", "is at a registry: leave https:// out", "ghcr.io/a"),
        ("https://ghcr.io/v2/team/app/manifests/1.4", "leave https:// out", "ghcr.io/team/app"),
        ("https://ghcr.io/v2/team/app/blobs/sha256:00?x=y", "leave https:// out", "ghcr.io/team/app"),
        ("https://ghcr.io/v2/team/**", "leave https:// out", "'ghcr.io/team/**'"),
        ("https://reg.test/v2/", "leave https:// out", "'reg.test/**'"),
        ("ghcr.io/a/b:1.4", "ends with ':1.4', and rules are for whole repositories", "'ghcr.io/a/b'"),
        ("ghcr.io/a@sha256:00", "ends with '@sha256:00'", "'ghcr.io/a'"),
        ("ghcr.io", "'ghcr.io' names no repository", "'ghcr.io/**'"),
        ("https:/files.test/a/**", "has no '//' after 'https:'", "'https://files.test/a/**'"),
        ("http:files.test/a", "has no '//' after 'http:'", "http://files.test/a"),
        ("reg:5000/", "'reg:5000/' names no repository", "'ghcr.io/my-org/**'"),
    ],
)
def test_what_people_paste_is_reported_with_the_command_that_works(
    home: Path, pattern: str, message: str, command: str
) -> None:
    """A docker reference or a URL is not a pattern; the hint can be run as it is."""
    done = run("actions", "allow", pattern)
    assert done.exit_code == 1
    assert message in done.stderr
    hint = done.stderr.splitlines()[1]
    assert hint == f"hint: credproxy actions allow {command}"
    assert run("actions", "allow", command.strip("'")).exit_code == 0
    del home


def test_a_rule_for_urls_is_added_as_the_refusal_says(home: Path) -> None:
    """``credproxy actions allow URL``; twice adds nothing, and the output says how to write a registry instead."""
    url = "https://files.test/releases/**"
    done = run("actions", "allow", url)
    assert done.exit_code == 0, done.stderr
    assert 'url = "https://files.test/releases/**"' in place_of(home).read_text()
    again = run("actions", "allow", "https://files.test/releases/v1/*")
    assert "actions.rule[0] already allows https://files.test/releases/v1/*" in again.stdout
    tested = run("actions", "test", "https://files.test/releases/v1/a.tar")
    assert "actions.rule[0] allows GET" in tested.stdout
    assert "GET /v1/fetch" in tested.stdout
    assert "leave https:// out" in run("actions", "allow", "https://ghcr.io/a/b").stderr
    writing = run("actions", "allow", "--write", url)
    assert writing.exit_code == 1
    filled(writing.stderr.splitlines()[1].removeprefix("hint: "), "leave --write out")
    assert run("actions", "allow", url).exit_code == 0
    odd = run("actions", "allow", "https://*.test/x")
    assert odd.exit_code == 1
    assert "is not a pattern of URLs" in odd.stderr
    hint = odd.stderr.splitlines()[1].removeprefix("hint: ")
    filled(hint, "credproxy actions allow 'https://bucket.s3.eu-west-1.amazonaws.com/prefix/**'")
    assert run(*shlex.split(hint)[1:]).exit_code == 0, "an example for a URL is one of a URL"


@pytest.mark.parametrize(("verb", "answer"), [("reload", RELOADED), ("flush", {"flushed": 3})])
def test_a_command_waits_for_its_turn(home: Path, verb: str, answer: dict[str, object]) -> None:
    """The daemon does it once a second; a command that comes too early waits by itself."""
    with serving(home, too_early(verb), (200, answer)) as daemon:
        done = run(verb)
    assert done.exit_code == 0, done.stderr
    assert daemon.asked == [f"POST /v1/{verb}"] * 2


def test_a_command_waits_until_it_is_its_turn(home: Path) -> None:
    """Others reload as well: a command that is too early again waits again, for ten seconds in total."""
    pauses: list[float] = []
    with serving(home, *[too_early("reload")] * 3, (200, RELOADED)) as daemon:
        assert call_in_turn("/v1/reload", pause=pauses.append) == RELOADED
    assert (pauses, len(daemon.asked)) == ([0.75] * 3, 4)


def test_a_command_does_not_wait_for_its_turn_without_end(home: Path) -> None:
    """Then it prints the daemon's error."""
    pauses: list[float] = []
    with (
        serving(home, *[too_early("reload")] * 20),
        pytest.raises(CommandError, match="reload is allowed once a second"),
    ):
        call_in_turn("/v1/reload", pause=pauses.append)
    assert 9 < sum(pauses) <= 10


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("ghcr.io/My/App", "'My/App' matches no repository", "ghcr.io/my/app"),
        ("ghcr.io//a", "'/a' matches no repository", "'ghcr.io/my-org/**'"),
        ("ghcr.io/My Org/**", "'My Org/**' matches no repository", "'ghcr.io/my-org/**'"),
        ("*/**", "'*' is not a registry", "'ghcr.io/my-org/**'"),
    ],
)
def test_a_pattern_that_can_be_no_rule_is_reported_as_what_was_typed(
    home: Path, pattern: str, message: str, hint: str
) -> None:
    """The mistake is not in a file, so none is named, and the hint is a command that adds a rule."""
    done = run("actions", "allow", pattern)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0].startswith(f"credproxy: nothing was changed: {message}; wanted")
    assert done.stderr.splitlines()[1] == f"hint: credproxy actions allow {hint}"
    assert not place_of(home).exists()
    assert run("actions", "allow", hint.strip("'")).exit_code == 0


@pytest.mark.parametrize("spoiled", ["file", "directory"])
def test_what_others_may_have_written_does_not_become_the_users_by_a_new_rule(home: Path, spoiled: str) -> None:
    """The written file belongs to the user, and would be trusted with everything that others had put into it."""
    place = configure(home, ALLOW.format("evil.test", "x", READ))
    (place if spoiled == "file" else place.parent).chmod(0o777)
    before = place.read_bytes()
    done = run("actions", "allow", "ghcr.io/my-org/**")
    assert done.exit_code == 1
    assert "nothing was changed" in done.stderr
    assert "is not trusted: it could be replaced by others" in done.stderr
    assert place.read_bytes() == before


def test_directories_made_for_a_rule_are_private_whatever_the_umask(home: Path) -> None:
    """Otherwise the daemon would rightly not trust the file in them."""
    place_of(home).parent.parent.rmdir()
    before = os.umask(0)
    try:
        assert run("actions", "allow", "ghcr.io/my-org/**").exit_code == 0
    finally:
        os.umask(before)
    place = place_of(home)
    assert [one.stat().st_mode & 0o777 for one in (place, place.parent, place.parent.parent)] == [0o600, 0o700, 0o700]
