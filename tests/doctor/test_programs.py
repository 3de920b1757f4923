"""``doctor`` on programs: those that see secrets, and the one that Bazel starts."""

import stat

import pytest

from credproxy.core.config.settings import Settings
from credproxy.core.formats.docker_config import Index, parse_index
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.own_copy import OwnCopy
from credproxy.doctor.programs import Helper, check_commands, check_docker, check_docker_name, check_helper
from tests.doctor.machines import FakeMachine, bad, told


COPY = OwnCopy("/opt/credproxy/bin/python", source="/src/credproxy")
HELPER = "/opt/credproxy/bin/credproxy-helper"
EXEC = Settings(host=(ExecHost(match="*.corp.example", command=("/opt/corp/helper",)),))


def test_a_program_that_only_its_user_can_replace_is_fine() -> None:
    """T29: The file, and every directory above it."""
    machine = FakeMachine().put("/opt/corp/helper", 0o755)
    assert [severity for severity, _, _ in told(check_commands(machine, EXEC))] == ["ok"]


@pytest.mark.parametrize(
    ("machine", "message", "remedy"),
    [
        (FakeMachine(), "is not there", "ls -l /opt/corp/helper"),
        (FakeMachine().put("/opt/corp/helper", 0o644), "cannot be run", "chmod u+x /opt/corp/helper"),
        (FakeMachine().put("/opt/corp/helper", 0o775), "could be replaced by its group", "chmod go-w /opt/corp/helper"),
        (
            FakeMachine().put("/opt/corp/helper", 0o755, uid=1001),
            "could be replaced by uid 1001",
            "chown root /opt/corp/helper",
        ),
        (
            FakeMachine().put("/opt/corp/helper", 0o755).place("/opt/corp", stat.S_IFDIR | 0o777),
            "could be replaced by others: everybody may write '/opt/corp'",
            "chmod go-w /opt/corp",
        ),
    ],
    ids=["missing", "not executable", "writable", "foreign", "writable directory"],
)
def test_a_program_that_the_daemon_would_not_start(machine: FakeMachine, message: str, remedy: str) -> None:
    """T29: The same rule as at spawn, and the command that fixes it."""
    ((severity, said, mended),) = bad(check_commands(machine, EXEC))
    assert severity == "error"
    assert "of '*.corp.example', '/opt/corp/helper'" in said
    assert message in said
    assert mended == remedy


def test_a_sticky_directory_is_fine() -> None:
    """T29: Others can add files there, but not replace ours."""
    machine = FakeMachine().put("/opt/corp/helper", 0o755).place("/opt/corp", stat.S_IFDIR | 0o1777, 0)
    assert bad(check_commands(machine, EXEC)) == []


def test_programs_of_sources_are_looked_at_as_well() -> None:
    """T29: They print secrets."""
    rule = HeaderHost(match="a.b", secret=CommandSource(argv=("/usr/bin/pass", "show")))
    assert "'/usr/bin/pass'" in bad(check_commands(FakeMachine(), Settings(host=(rule,))))[0][1]


DOCKER = {
    "/h/.docker/config.json": parse_index(
        b'{"auths":{"ghcr.io":{}},"credHelpers":{"gcr.io":"gcloud","eu.gcr.io":"gcloud","quay.io":"credproxy"},"credsStore":"pass"}',
        "",
    )
}


def test_programs_that_docker_names_are_looked_for() -> None:
    """Each once, with what it is for; our own name is not a program to start."""
    machine = FakeMachine(programs={"docker-credential-gcloud": "/usr/bin/gc"}).put("/usr/bin/gc", 0o755, uid=0)
    findings = told(check_docker(machine, DOCKER, path=None))
    assert [(severity, message) for severity, message, _ in findings] == [
        ("ok", "the program of 'eu.gcr.io', 'gcr.io', '/usr/bin/gc', can be run, and only you or root can replace it"),
        ("ok", "'/h/.docker/config.json' names credproxy itself for 'quay.io', which the daemon skips"),
        ("error", "'/h/.docker/config.json' names 'docker-credential-pass' for every registry, which is not on PATH"),
    ]


def test_a_name_that_no_program_has_is_not_to_be_installed() -> None:
    """The daemon would not start it; the entry has to be corrected."""
    files = {"/h/.docker/config.json": parse_index(b'{"credHelpers": {"reg.test": "../x"}}', "f")}
    ((severity, message, remedy),) = told(check_docker(FakeMachine(), files, path=None))
    assert severity == "error"
    assert message == (
        "the credential program name '../x' in the docker configuration '/h/.docker/config.json' cannot be used"
    )
    assert remedy.startswith("write the NAME of docker-credential-NAME")


def test_docker_must_find_us_where_it_names_us() -> None:
    """The remedy is a link to the program that came with us."""
    helper = Helper(FakeMachine().look(HELPER), twin="/opt/credproxy/bin/docker-credential-credproxy")
    ((severity, _, remedy),) = bad(check_docker_name(FakeMachine(), DOCKER, helper=helper))
    assert (severity, remedy) == ("error", "ln -s /opt/credproxy/bin/docker-credential-credproxy ~/.local/bin/")
    there = FakeMachine(programs={"docker-credential-credproxy": "/usr/bin/d"})
    assert bad(check_docker_name(there, DOCKER, helper=helper)) == []
    assert bad(check_docker_name(FakeMachine(), {"x": Index()}, helper=helper)) == []


def helper(
    mode: int = 0o755, content: bytes = b"\x7fELF", *, version: str = "1.0", capabilities: bool = False
) -> list[tuple[str, str, str]]:
    """The findings for a helper."""
    machine = FakeMachine().put(HELPER, mode, content=content)
    found = Helper(machine.look(HELPER), version=version, capabilities=capabilities)
    return told(check_helper(machine, found, version="1.0", copy=COPY))


def test_a_native_helper_is_fine() -> None:
    """0755, and nothing special about it."""
    assert helper() == [("ok", f"'{HELPER}' is the native helper", "")]


@pytest.mark.parametrize(
    ("findings", "severity", "words", "remedy"),
    [
        (helper(0o4755), "error", "has privileges of its own", f"chmod 0755 {HELPER}"),
        (helper(capabilities=True), "error", "has privileges of its own", f"setcap -r {HELPER}"),
        (helper(0o711), "error", "wanted 0755", f"chmod 0755 {HELPER}"),
        (helper(0o775), "warning", "could be replaced by its group", f"chmod go-w {HELPER}"),
        (helper(version="0.9"), "warning", "is version 0.9, this program is 1.0", COPY.again()),
        (
            helper(content=b"#!/usr/bin/python3 -IS"),
            "note",
            "is the Python stand-in",
            f"sudo apt-get install gcc && {COPY.again()}",
        ),
    ],
    ids=["setuid", "capabilities", "execute-only", "writable", "old", "script"],
)
def test_a_helper_that_the_daemon_would_refuse_or_that_is_slow(
    findings: list[tuple[str, str, str]], severity: str, words: str, remedy: str
) -> None:
    """A peer that is not dumpable cannot be attested."""
    assert (findings[0][0], findings[0][2]) == (severity, remedy)
    assert words in findings[0][1]


def test_no_helper_at_all() -> None:
    """Bazel has nothing to start."""
    assert bad(check_helper(FakeMachine(), Helper(None), version="1.0", copy=COPY)) == [
        ("error", "credproxy-helper is not installed beside credproxy nor on PATH", COPY.again())
    ]


def test_a_script_needs_its_interpreter() -> None:
    """Otherwise the system says that the script does not exist, which is misleading."""
    program = "/opt/corp/helper"
    machine = FakeMachine().put(program, 0o755, content=b"#! /opt/python -I\nprint()\n")
    ((severity, said, _),) = bad(check_commands(machine, EXEC))
    assert severity == "error"
    assert said.endswith("is a script for '/opt/python', which cannot be run")
    assert bad(check_commands(machine.put("/opt/python", 0o755), EXEC)) == []


def test_files_of_a_root_that_is_not_shown_are_trusted() -> None:
    """In a user namespace root's files have the overflow uid, and the daemon still starts them."""
    program = "/opt/corp/helper"
    machine = FakeMachine().put(program, 0o755, uid=65534)
    assert "uid 65534" in bad(check_commands(machine, EXEC))[0][1]
    machine.roots = frozenset({0, 65534})
    assert bad(check_commands(machine, EXEC)) == []
