"""Where things are, whatever the environment lacks."""

import pytest

from credproxy.core.errors import Failed
from credproxy.core.paths import actions_socket, config_files, config_home, helper_socket, netrc_file, settle


def nowhere(path: str) -> bool:
    """No runtime directory is there."""
    del path
    return False


@pytest.mark.parametrize(
    ("environ", "passwd", "home"),
    [
        ({"HOME": "/home/me"}, "/home/other", "/home/me"),
        ({}, "/home/me", "/home/me"),
        ({"HOME": ""}, "/home/me", "/home/me"),
        ({"HOME": "home/me"}, "/home/me", "/home/me"),
        ({"HOME": "~"}, "/home/me", "/home/me"),
        ({"HOME": "."}, None, None),
        ({}, None, None),
        ({}, "", None),
        ({}, "relative", None),
    ],
)
def test_home_is_the_variable_if_absolute_else_the_user_databases(
    environ: dict[str, str], passwd: str | None, home: str | None
) -> None:
    """And nothing for a user without an entry: never the root of the file system."""
    assert settle(environ, passwd).get("HOME") == home


def test_relative_xdg_directories_are_left_out_and_all_else_is_kept() -> None:
    """As the specification demands; lists of directories are left as they are."""
    kept = {"HOME": "/h", "PATH": "bin", "XDG_CONFIG_HOME": "/c", "XDG_SESSION_ID": "3", "XDG_DATA_DIRS": "a:b"}
    relative = {"XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "./state", "XDG_CACHE_HOME": "", "XDG_DATA_HOME": "~"}
    assert settle(kept | relative, None) == kept


def test_without_a_runtime_directory_sockets_are_below_home() -> None:
    """Each in a directory of its own."""
    environ = {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/gone"}
    assert helper_socket(environ, 1000, is_directory=nowhere) == "/home/me/.local/state/credproxy/run/helper.sock"
    assert actions_socket(environ, 1000, is_directory=nowhere) == "/home/me/.local/state/credproxy-actions/actions.sock"


def test_a_relative_runtime_directory_is_ignored() -> None:
    """Even if the working directory has one of that name."""
    environ = {"HOME": "/home/me", "XDG_RUNTIME_DIR": "run"}
    assert (
        helper_socket(environ, 7, is_directory=lambda path: path == "run")
        == "/home/me/.local/state/credproxy/run/helper.sock"
    )


@pytest.mark.parametrize("find", [helper_socket, actions_socket])
def test_without_any_place_it_is_an_error_that_says_what_to_set(find: object) -> None:
    """No helper would find a socket below the root of the file system."""
    assert callable(find)
    with pytest.raises(Failed) as caught:
        find({}, 4711, is_directory=nowhere)
    assert (
        caught.value.failure.message
        == "no place for the socket: HOME is not set, and /etc/passwd has no entry for uid 4711"
    )
    variable = "CREDPROXY_SOCKET" if find is helper_socket else "CREDPROXY_ACTIONS_SOCKET"
    assert caught.value.failure.hint == f"set HOME, XDG_RUNTIME_DIR or {variable}"


@pytest.mark.parametrize("path", ["helper.sock", "./helper.sock", "@abstract", "/"])
@pytest.mark.parametrize(
    ("name", "find"), [("CREDPROXY_SOCKET", helper_socket), ("CREDPROXY_ACTIONS_SOCKET", actions_socket)]
)
def test_a_socket_that_is_not_an_absolute_path_is_an_error(name: str, find: object, path: str) -> None:
    """The daemon's working directory is not its caller's."""
    assert callable(find)
    with pytest.raises(Failed) as caught:
        find({name: path, "HOME": "/h"}, 1, is_directory=nowhere)
    assert caught.value.failure.message == f"{name} is not an absolute path: {path!r}"


def test_without_a_home_only_the_machines_configuration_is_read() -> None:
    """And not one in the root of the file system."""
    assert config_files({}) == ("/etc/credproxy/config.toml",)
    assert config_files({"HOME": "/h"}) == ("/h/.config/credproxy/config.toml", "/etc/credproxy/config.toml")
    assert config_files({"HOME": "/h", "XDG_CONFIG_HOME": "/x"})[0] == "/x/credproxy/config.toml"
    assert config_files({"HOME": "/h"}, system=True) == ("/etc/credproxy/config.toml",)
    assert config_home({}) is None


@pytest.mark.parametrize(
    ("wanted", "environ", "found"),
    [
        ("auto", {"HOME": "/home/u"}, "/home/u/.netrc"),
        ("auto", {"HOME": "/home/u", "NETRC": "/n"}, "/n"),
        ("auto", {"HOME": "/home/u", "NETRC": ""}, "/home/u/.netrc"),
        ("auto", {}, None),
        ("none", {"HOME": "/home/u", "NETRC": "/n"}, None),
        ("/etc/netrc", {"NETRC": "/n"}, "/etc/netrc"),
    ],
)
def test_the_daemon_and_the_commands_use_the_same_netrc_file(
    wanted: str, environ: dict[str, str], found: str | None
) -> None:
    """What ``doctor`` reads is what the daemon reads."""
    assert netrc_file(environ, wanted) == found
