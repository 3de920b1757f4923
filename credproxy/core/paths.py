"""Where things are: sockets, configuration, state. Pure: the environment and the file system arrive as arguments.

Source: clients.md rule 11, design.md section 5; the helper executable follows the same rules in C.
"""

from collections.abc import Callable, Mapping


def helper_socket(environ: Mapping[str, str], uid: int, is_directory: Callable[[str], bool]) -> str:
    """Give the helper socket's path, also without an environment to speak of.

    ``CREDPROXY_SOCKET``, else below ``XDG_RUNTIME_DIR``, else below ``/run/user/<uid>`` where that is, else below
    ``$HOME/.local/state``, as in containers.
    """
    found = environ.get("CREDPROXY_SOCKET")
    return found or _below(environ, uid, is_directory, "credproxy/helper.sock", "credproxy/run/helper.sock")


def actions_socket(environ: Mapping[str, str], uid: int, is_directory: Callable[[str], bool]) -> str:
    """Give the actions socket's path: ``CREDPROXY_ACTIONS_SOCKET``, or where the helper socket would be looked for.

    In a directory of its own, because sandboxes are given that directory, and must not get the helper socket with it.
    """
    found = environ.get("CREDPROXY_ACTIONS_SOCKET")
    place = "credproxy-actions/actions.sock"
    return found or _below(environ, uid, is_directory, place, place)


def config_files(environ: Mapping[str, str], *, system: bool = False) -> tuple[str, ...]:
    """Give the configuration files, the most important first: the user's, then the machine's, which ``system`` has alone."""
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME') or ''}/.config"
    machine = "/etc/credproxy/config.toml"
    return (machine,) if system else (f"{home}/credproxy/config.toml", machine)


def log_file(environ: Mapping[str, str]) -> str:
    """Give the file to which the helper sends the log of a daemon that it starts."""
    state = environ.get("XDG_STATE_HOME", "")
    home = state if state.startswith("/") else f"{environ.get('HOME') or '/'}/.local/state"
    return f"{home}/credproxy/daemon.log"


def _below(
    environ: Mapping[str, str], uid: int, is_directory: Callable[[str], bool], in_runtime: str, in_state: str
) -> str:
    for runtime in (environ.get("XDG_RUNTIME_DIR") or "", f"/run/user/{uid}"):
        if runtime and is_directory(runtime):
            return f"{runtime}/{in_runtime}"
    return f"{environ.get('HOME') or '/'}/.local/state/{in_state}"
