"""``doctor`` on what a sandboxed build action can see (F15)."""

import stat

from credproxy.core.config.parse import load
from credproxy.core.config.settings import Settings
from credproxy.core.formats.docker_config import parse_index
from credproxy.doctor.bazelrc_reader import collect
from credproxy.doctor.sandbox import Facts, check
from tests.doctor.machines import FakeMachine, told


DOCKER = "/h/.docker/config.json"
RULE = '[[actions.rule]]\naction = "allow"\nregistry = "ghcr.io"\nrepository = "a"\noperations = ["blob:read"]\n'


def look(
    machine: FakeMachine, rc: str = "", *, settings: Settings | None = None, docker: bytes = b"{}"
) -> tuple[str, str, str]:
    """The only finding."""
    lines = collect(("/h/.bazelrc",), {"/h/.bazelrc": rc}.get, workspace=None)
    facts = Facts("/h", "/h/.config", {DOCKER: parse_index(docker, "")}, "/run/credproxy", settings or Settings())
    (finding,) = told(check(machine, facts, lines=lines))
    return finding


def home() -> FakeMachine:
    """A home with logins in it."""
    machine = FakeMachine().put("/h/.netrc", 0o600).put("/h/.config/gh/hosts.yml", 0o600).put(DOCKER, 0o600)
    return machine.place("/h/.aws", stat.S_IFDIR | 0o700)


def test_logins_that_lie_open_are_named_with_the_command_that_hides_them() -> None:
    """F15: A note, as long as no build action is allowed anything."""
    severity, message, remedy = look(home(), docker=b'{"auths":{"ghcr.io":{"auth":"YTpi"}}}')
    assert severity == "note"
    for path in (DOCKER, "/h/.netrc", "/h/.aws", "/h/.config/gh/hosts.yml"):
        assert repr(path) in message
    assert remedy == "credproxy bazelrc --sandbox >> ~/.bazelrc"


def test_with_rules_for_build_actions_it_is_a_warning() -> None:
    """F15: A user who narrows tokens does not want to expose a login beside them."""
    assert look(home(), settings=load(RULE, ""))[0] == "warning"


def test_what_a_line_hides_is_not_named() -> None:
    """F15: Itself, or a directory above it; a neighbour with the same beginning hides nothing."""
    rc = "build --sandbox_block_path=/h/.netrc\nbuild --sandbox_block_path=/h/.config/\nbuild --sandbox_block_path=/h/.aw\n"
    assert look(home(), rc)[1] == "a sandboxed build action can see '/h/.aws'"
    assert (
        look(home(), f"{rc}build:ci --sandbox_block_path=/h/.aws\n")[1] == "a sandboxed build action can see '/h/.aws'"
    )
    assert look(home(), f"{rc}build --sandbox_block_path=/h/.aws\n")[0] == "ok"


def test_a_docker_file_without_secrets_is_not_named() -> None:
    """F15: With only programs there is no secret in it."""
    assert look(FakeMachine().put(DOCKER), docker=b'{"credHelpers":{"gcr.io":"gcloud"}}')[0] == "ok"
    assert look(FakeMachine().put(DOCKER), docker=b'{"auths":{"gcr.io":{}},"credsStore":"pass"}')[0] == "ok"


def test_secrets_in_files_of_ones_own_are_named() -> None:
    """F15: The configuration says where they are."""
    settings = load(
        '[[host]]\nmatch = "a.b"\nprovider = "basic"\ncredentials = {source = "file", path = "/s", username = "u"}\n',
        "",
    )
    assert look(FakeMachine().put("/s"), settings=settings)[1] == "a sandboxed build action can see '/s'"


def test_what_was_logged_in_to_is_named_with_what_lies_apart() -> None:
    """F15: Refresh tokens that rotate have a folder of their own."""
    machine = FakeMachine().put("/h/logins.json", 0o600).place("/h/logins.d", stat.S_IFDIR | 0o700)
    facts = Facts("/h", "/h/.config", {}, "/run/credproxy", Settings(), "/h/logins.json")
    (finding,) = told(check(machine, facts, lines=collect((), lambda _: None, workspace=None)))
    assert finding[1] == "a sandboxed build action can see '/h/logins.json', '/h/logins.d'"


def test_the_helper_sockets_directory_is_named() -> None:
    """T11: The gate refuses a sandbox; hidden, it is not even found."""
    machine = FakeMachine().place("/run/credproxy", stat.S_IFDIR | 0o700)
    assert look(machine)[1] == "a sandboxed build action can see '/run/credproxy'"
