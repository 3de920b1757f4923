"""``doctor`` on the configuration."""

import pytest

from credproxy.core.config.parse import ConfigError, load
from credproxy.core.config.settings import Settings
from credproxy.doctor.configured import Facts, check
from tests.doctor.machines import ME, FakeMachine, bad, told


CONFIG = "/h/.config/credproxy/config.toml"


def look(text: str, machine: FakeMachine | None = None) -> list[tuple[str, str, str]]:
    """The findings for a configuration."""
    found = (machine or FakeMachine()).put(CONFIG, 0o600)
    try:
        facts = Facts((CONFIG,), (CONFIG,), load(text, CONFIG))
    except ConfigError as error:
        facts = Facts((CONFIG,), (CONFIG,), Settings(), error.mistakes)
    return told(check(found, facts))


EDIT = f"${{EDITOR:-vi}} {CONFIG}; credproxy config check"


def test_every_mistake_is_an_error_with_its_line() -> None:
    """The same as in ``config check``."""
    assert look("empty_ttl = 0\nflight_timeout = 0\n") == [
        ("error", f"{CONFIG}:1: empty_ttl: wanted seconds from 1 to 3600", EDIT),
        ("error", f"{CONFIG}:2: flight_timeout: wanted seconds from 1 to 300", EDIT),
    ]


def test_without_a_file_everything_is_fine() -> None:
    """It works without one."""
    assert told(check(FakeMachine(), Facts((CONFIG,), (), Settings()))) == [
        ("ok", f"no file at '{CONFIG}': the built-in defaults are in force", "")
    ]


def test_a_file_that_cannot_be_read_is_an_error() -> None:
    """The daemon would report its mistake to all callers."""
    facts = Facts((CONFIG,), (), Settings(), unreadable=f"'{CONFIG}' cannot be read: PermissionError")
    assert told(check(FakeMachine(), facts))[0][::2] == ("error", "credproxy config path")


def test_the_way_out_is_that_of_the_commands_that_read_the_file() -> None:
    """One remedy for one mistake, whichever command finds it."""
    facts = Facts((CONFIG,), (), Settings(), unreadable="it cannot be read", way_out=f"chmod u+r {CONFIG}")
    assert told(check(FakeMachine(), facts))[0] == ("error", "it cannot be read", f"chmod u+r {CONFIG}")


def test_a_configuration_that_others_can_replace_is_an_error() -> None:
    """T29: It names programs, so anybody who writes it runs them; the daemon does not trust it."""
    facts = Facts((CONFIG,), (CONFIG,), Settings())
    ((severity, message, remedy),) = bad(check(FakeMachine().put(CONFIG, 0o666), facts))
    assert (severity, remedy) == ("error", f"chmod go-w {CONFIG}")
    assert "is not trusted" in message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("the policy file", '[actions]\npolicy_file = "/named"\n'),
        ("the ca_bundle of 'a.b',", '[[host]]\nmatch = "a.b"\nprovider = "oci"\nca_bundle = "/named"\n'),
        (
            "the secret of 'a.b',",
            '[[host]]\nmatch = "a.b"\nprovider = "header"\nsecret = {source = "file", path = "/named"}\n',
        ),
    ],
)
@pytest.mark.parametrize(("mode", "severity"), [(0o620, "warning"), (0o602, "error")])
def test_a_file_that_the_configuration_names_is_judged_as_the_daemon_does(
    name: str, text: str, mode: int, severity: str
) -> None:
    """Write access for others is an error, for a group a warning."""
    found = [
        one
        for one in bad(check(FakeMachine().put("/named", mode), Facts((CONFIG,), (), load(text, "f"))))
        if name in one[1]
    ]
    assert [(one[0], one[2]) for one in found] == [(severity, "chmod go-w /named")]


HOST = '[[host]]\nmatch = "{}"\nprovider = "{}"\n'


@pytest.mark.parametrize(
    ("text", "severity", "words"),
    [
        (
            '[actions]\nlisten = "127.0.0.1:5151"\nlisten_token = {source = "file", path = "/open"}\n',
            "warning",
            "'/open' has mode 0644",
        ),
        (HOST.format("a.b:5000", "basic") + "insecure = true\n", "warning", "'a.b:5000' travel in plain http"),
        (HOST.format("a.b", "oci") + "tls_verify = false\n", "warning", "anybody can pose as 'a.b'"),
        (HOST.format("a.b", "oci") + 'ca_bundle = "/none.pem"\n', "error", "'/none.pem', is not there"),
        (
            HOST.format("a.b", "oci") + 'credentials = {source = "file", path = "/none"}\n',
            "error",
            "'/none', cannot be read",
        ),
        (
            HOST.format("a.b", "header") + 'secret = {source = "file", path = "/open"}\n',
            "warning",
            "'/open' has mode 0644",
        ),
    ],
    ids=["listen_token", "insecure", "tls_verify", "ca_bundle", "no secret", "open secret"],
)
def test_settings_that_should_be_meant(text: str, severity: str, words: str) -> None:
    """Each has a remedy."""
    (finding,) = [found for found in look(text, FakeMachine().put("/open", 0o644)) if found[0] not in {"ok", "note"}]
    assert finding[0] == severity
    assert words in finding[1]
    assert finding[2]


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "localhost"])
def test_plain_http_to_this_machine_is_fine(host: str) -> None:
    """It does not leave the machine."""
    assert [found[0] for found in look(HOST.format(host, "basic") + "insecure = true\n")] == ["ok"]


def test_root_is_noted() -> None:
    """It was a deliberate decision."""
    assert look("allow_root = true\n")[1][0] == "note"


def test_logins_that_others_may_read_or_that_are_unreadable() -> None:
    """Docker's own files as well: the daemon reads them."""
    machine = FakeMachine().put("/h/.netrc", 0o644).put("/h/.docker/config.json", 0o600)
    broken = ("the netrc file '/n' cannot be parsed at line 3", "vi /n")
    logins = ("/h/.netrc", "/h/.docker/config.json")
    assert bad(check(machine, Facts((CONFIG,), (), Settings(), logins=logins, broken=[broken]))) == [
        ("error", *broken),
        ("warning", "others may read your logins in '/h/.netrc'", "chmod 600 /h/.netrc"),
    ]


@pytest.mark.parametrize(("mode", "uid"), [(0o602, ME), (0o600, ME + 1)])
def test_logins_that_others_may_write_are_reported(mode: int, uid: int) -> None:
    """Docker and curl use such files, and so does the daemon; anybody who writes them chooses your identity for a registry."""
    machine = FakeMachine().put("/h/.netrc", mode, uid=uid)
    found = bad(check(machine, Facts((CONFIG,), (), Settings(), logins=("/h/.netrc",))))
    assert found[0][0] == "warning"
    assert found[0][1].startswith("others may choose your logins: '/h/.netrc' could be replaced by ")
