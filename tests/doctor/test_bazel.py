"""``doctor`` on Bazel's lines: which helper answers for which host, and which lines break a build (CL-37 to CL-40)."""

import pytest

from credproxy.core.config.parse import load
from credproxy.core.config.settings import Settings
from credproxy.doctor.bazel import Facts, check
from credproxy.doctor.bazelrc_reader import collect
from credproxy.doctor.finding import Severity
from tests.doctor.machines import FakeMachine, bad, told


RC = "/w/.bazelrc"
OURS = "/opt/bin/credproxy-helper"
SETTINGS = load(
    '[[host]]\nmatch = "reg.example"\nprovider = "oci"\n[[host]]\nmatch = "out.example"\nprovider = "none"\n', ""
)
MACHINE = (
    FakeMachine(programs={"credproxy-helper": OURS})
    .put(OURS, 0o755)
    .put("/opt/other", 0o755)
    .put("/w/tools/credproxy-helper", 0o755)
)
ADD = "credproxy bazelrc >> ~/.bazelrc"


def look(
    text: str, *hosts: str, settings: Settings = SETTINGS, workspace: str | None = "/w"
) -> list[tuple[str, str, str]]:
    """The findings for a workspace's ``.bazelrc``."""
    lines = collect((RC,), {RC: text}.get, workspace=workspace)
    return told(check(MACHINE, Facts(lines, hosts, settings, workspace)))


def test_a_line_for_a_host_with_credentials_is_fine() -> None:
    """An exact host, an absolute path, for every command."""
    assert look(f"common --credential_helper=reg.example={OURS}\n", "reg.example") == [
        ("ok", f"{RC}:1: 'reg.example' goes to credproxy", "")
    ]


@pytest.mark.parametrize(
    ("line", "severity", "words"),
    [
        (f"common --credential_helper=localhost:5000={OURS}", "error", "Bazel refuses 'localhost:5000'"),
        (f"common --credential_helper=localhost={OURS}", "error", "Bazel refuses 'localhost'"),
        (f"common --credential_helper=my_registry.example={OURS}", "error", "Bazel refuses 'my_registry.example'"),
        (
            "common --credential_helper=reg.example=/opt/none/credproxy-helper",
            "error",
            "is not there, or cannot be run",
        ),
        ("common --credential_helper=reg.example=tools/credproxy-helper", "error", "is neither absolute nor below"),
        ("common --credential_helper=reg.example=/opt/../credproxy-helper", "error", "has '..' in it"),
        ("common --credential_helper=reg.example=nowhere", "error", "is not on PATH"),
        (f"common --credential_helper={OURS}", "warning", "for all hosts at once"),
        (f"common --credential_helper=*.amazonaws.com={OURS}", "warning", "hosts of presigned URLs"),
        (f"common --credential_helper=*.s3.amazonaws.com={OURS}", "warning", "hosts of presigned URLs"),
        (f"common --credential_helper=*.com={OURS}", "warning", "hosts of presigned URLs"),
        (f"common --credential_helper=else.example={OURS}", "note", "nothing is configured for 'else.example'"),
        (f"common --credential_helper=out.example={OURS}", "note", "nothing is configured for 'out.example'"),
        ("common --credential_helper_timeout=5s", "warning", "after 5s Bazel kills the helper"),
        ("common --credential_helper_timeout=8999ms", "warning", "after 8999ms"),
        ("import /none", "error", "imports '/none', which is not there"),
        ("common --x='", "warning", "a quotation is not closed"),
    ],
)
def test_a_line_that_breaks_or_shadows(line: str, severity: str, words: str) -> None:
    """The file and the line, and a way to fix it."""
    (finding,) = look(f"{line}\n")
    assert finding[0] == severity
    assert finding[1].startswith(f"{RC}:1: ")
    assert words in finding[1]
    assert finding[2]


@pytest.mark.parametrize(
    "line",
    [
        "common --credential_helper_timeout=9s",
        "common --credential_helper_timeout=0",
        "common --credential_helper_timeout=1m",
        "common --credential_helper=reg.example=%workspace%/tools/credproxy-helper",
        "common --credential_helper=reg.example=%install_base%/x",
        "common --credential_helper=reg.example=credproxy-helper",
        "common --credential_helper=/opt/other",
        "common --credential_helper=*.corp.example=/opt/bin/credproxy-helper",
    ],
)
def test_a_line_that_is_fine(line: str) -> None:
    """Other helpers are the user's choice, and bazelrc prints a wildcard for one's own hosts."""
    assert look(f"{line}\n") == []


def test_outside_of_a_workspace_its_paths_are_unknown() -> None:
    """A line of ~/.bazelrc may be right in every workspace."""
    assert look("common --credential_helper=reg.example=%workspace%/tools/x\n", workspace=None) == []


@pytest.mark.parametrize(
    ("text", "host", "severity", "words"),
    [
        ("", "reg.example", "note", "no line of a .bazelrc gives 'reg.example' to credproxy"),
        (
            "common --credential_helper=reg.example=/opt/other",
            "reg.example",
            "warning",
            "goes to '/opt/other', not to credproxy",
        ),
        (
            f"common --credential_helper=reg.example={OURS}\ncommon --credential_helper=reg.example=/opt/other",
            "reg.example",
            "warning",
            f"{RC}:2: 'reg.example' goes to '/opt/other'",
        ),
        (
            f"common --credential_helper=*.example=/opt/other\ncommon --credential_helper={OURS}",
            "reg.example",
            "warning",
            f"{RC}:1: 'reg.example' goes to '/opt/other'",
        ),
        (
            f"common --credential_helper=*.b.example={OURS}\ncommon --credential_helper=*.example=/opt/other",
            "a.b.example",
            "ok",
            "goes to credproxy",
        ),
        (f"build --credential_helper=reg.example={OURS}", "reg.example", "note", "for 'build' alone"),
        (f"build:ci --credential_helper=reg.example={OURS}", "reg.example", "note", "no line of a .bazelrc"),
        (f"common --credential_helper=*.corp.example={OURS}", "*.corp.example", "ok", "goes to credproxy"),
        (f"common --credential_helper=a.corp.example={OURS}", "*.corp.example", "note", "no line of a .bazelrc"),
        ("", "localhost", "note", "Bazel cannot name 'localhost'"),
    ],
)
def test_the_line_that_bazel_takes_for_a_host(text: str, host: str, severity: str, words: str) -> None:
    """The name, then the nearest wildcard, then the line for all; the last of equals wins (docs/design/clients.md#how-bazel-picks-a-helper)."""
    (finding,) = [found for found in look(text, host) if repr(host) in found[1] and "configured" not in found[1]]
    assert finding[0] == severity
    assert words in finding[1]


def test_hosts_without_a_line_are_one_finding() -> None:
    """One command adds them all."""
    assert look("", "a.example", "b.example") == [
        ("note", "no line of a .bazelrc gives 'a.example', 'b.example' to credproxy", ADD)
    ]


def test_our_helper_under_another_path_is_recognised() -> None:
    """Also a copy in the workspace's tools."""
    text = "common --credential_helper=reg.example=%workspace%/tools/credproxy-helper\n"
    lines = collect((RC,), {RC: text}.get, workspace="/w")
    assert bad(check(MACHINE, Facts(lines, ("reg.example",), SETTINGS, "/w"))) == []
    assert [found[0] for found in look(text, "reg.example")] == [Severity.OK.value]


def test_a_line_for_a_netrc_host_is_fine() -> None:
    """The daemon answers from the same file."""
    lines = collect((RC,), {RC: f"common --credential_helper=n.example={OURS}\n"}.get, workspace="/w")
    assert told(check(MACHINE, Facts(lines, (), SETTINGS, "/w", {"n.example"}))) == []


HELPER = f"common --credential_helper=*.example={OURS}\n"


@pytest.mark.parametrize(
    ("line", "severity", "words"),
    [
        ("build --remote_header=authorization=canary", "warning", "to 'cache.example', 'exec.example': a request"),
        ("build --remote_header=Authorization=canary", "warning", "a request then carries two"),
        ("test --remote_header 'AUTHORIZATION=Bearer canary'", "warning", "a request then carries two"),
        ('common "--remote_cache_header=authorization=Bearer canary"', "warning", "a request then carries two"),
        ("build:ci --remote_exec_header=authorization=canary", "warning", "to 'exec.example'"),
        ("build --bes_header=authorization=canary", "warning", "to 'bes.example'"),
    ],
)
def test_an_authorization_header_beside_a_helper_is_warned_of(line: str, severity: str, words: str) -> None:
    """Bazel adds the helper's header to it, and the server gets two; the value is not repeated."""
    servers = (
        "common --remote_cache=https://cache.example:8443/x --remote_executor=grpcs://exec.example\n"
        "common --bes_backend=grpcs://bes.example\n"
    )
    found = [finding for finding in look(f"{HELPER}{servers}{line}\n") if "sent beside" in finding[1]]
    assert [finding[0] for finding in found] == [severity]
    assert found[0][1].startswith(f"{RC}:4: --")
    assert words in found[0][1]
    assert "canary" not in str(found)
    assert found[0][2].startswith("${EDITOR:-vi} +4")


@pytest.mark.parametrize(
    "text",
    [
        "build --remote_cache=https://cache.other --remote_header=authorization=x\n",
        "build --remote_cache=https://cache.example --remote_header=x-api-key=x\n",
        "build --remote_cache=https://cache.example --bes_backend=grpcs://bes.other --bes_header=authorization=x\n",
    ],
)
def test_a_header_that_no_helper_doubles_is_fine(text: str) -> None:
    """Another header, or a server that no helper answers for."""
    assert [finding for finding in look(HELPER + text) if "sent beside" in finding[1]] == []


def test_a_header_for_a_server_that_no_file_names_is_noted() -> None:
    """The server may be on the command line."""
    (finding,) = [found for found in look(f"{HELPER}build --remote_header=authorization=x\n") if "beside" in found[1]]
    assert finding[0] == "note"


@pytest.mark.parametrize(
    "url", ["https://u:canary@cache.example/x", "https://canary@cache.example", "grpcs://u:canary@h.example"]
)
@pytest.mark.parametrize(
    "option",
    ["remote_cache", "remote_http_cache", "remote_executor", "bes_backend", "experimental_remote_downloader"],
)
def test_a_login_in_the_url_of_a_server_is_warned_of(option: str, url: str) -> None:
    """Bazel sends it itself and does not ask the helper; neither name nor password is repeated."""
    (finding,) = look(f"build --{option}={url}\n")
    assert finding[0] == "warning"
    assert "holds a login, so Bazel asks no helper for '" in finding[1]
    assert "canary" not in str(finding)


def test_a_helper_is_not_a_startup_option() -> None:
    """With such a line Bazel does not start at all."""
    (finding,) = look(f"startup --host_jvm_args=-Xmx1g --credential_helper=reg.example={OURS}\n")
    assert finding[0] == "error"
    assert finding[1] == f"{RC}:1: --credential_helper is not a startup option, and with it Bazel does not start"


def test_a_file_that_is_imported_and_a_variable_are_looked_into() -> None:
    """Teams keep their remote settings in a separate file."""
    files = {
        RC: "try-import %workspace%/remote.rc\ncommon --credential_helper=*.example=${TOOLS}/credproxy-helper\n",
        "/w/remote.rc": 'build --remote_cache="https://cache.example"\nbuild "--remote_header=authorization=Bearer x"\n',
    }
    lines = collect((RC,), files.get, workspace="/w", environ={"TOOLS": "/opt/bin"})
    messages = [message for _, message, _ in told(check(MACHINE, Facts(lines, (), SETTINGS, "/w")))]
    assert any(message.startswith("/w/remote.rc:2: --remote_header=authorization=... is sent") for message in messages)
    assert not any("cannot be run" in message for message in messages)
