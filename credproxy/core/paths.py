"""Where things are: home, sockets, configuration, state. Pure: environment and file system arrive as arguments.

Source: CL-11, docs/reference/configuration.md; XDG Base Directory Specification; the helper executable follows the same
rules in C.
"""

from collections.abc import Callable, Mapping
from typing import Final

from credproxy.core.errors import Code, failed


SOCKET_PATH_LIMIT: Final = 103
"""Bytes of a socket's path that every system supports (CL-36); the helper executable has the same limit."""


def settle(environ: Mapping[str, str], home: str | None) -> dict[str, str]:
    """Give the environment by which every part of a process finds the same places.

    ``HOME`` counts if it is an absolute path; otherwise the home directory in the user database replaces it.
    Without that there is none. ``XDG_*`` directories that are not absolute are left out, as their specification requires.

    Args:
        environ: of the process.
        home: what the user database names for the effective user; None for a user without an entry.
    """
    settled = {
        name: value
        for name, value in environ.items()
        if not (name.startswith("XDG_") and name.endswith(_DIRECTORIES) and not value.startswith("/"))
    }
    if not settled.get("HOME", "").startswith("/"):
        settled.pop("HOME", None)
        if home is not None and home.startswith("/"):
            settled["HOME"] = home
    return settled


_DIRECTORIES = ("_HOME", "_DIR")
"""The endings of the names of variables that hold one directory."""


def helper_socket(environ: Mapping[str, str], uid: int, *, is_directory: Callable[[str], bool]) -> str:
    """Give the helper socket's path, even with an almost empty environment.

    ``CREDPROXY_SOCKET``, else below ``XDG_RUNTIME_DIR``, else below ``/run/user/<uid>`` if that exists, else below
    ``$HOME/.local/state``, as in containers. ``environ`` comes from ``settle``.

    Raises:
        Failed(config_invalid): there is no such place, or ``CREDPROXY_SOCKET`` is not an absolute path.
    """
    found = _given(environ, "CREDPROXY_SOCKET")
    places = ("credproxy/helper.sock", "credproxy/run/helper.sock")
    return found or _below(environ, uid, is_directory, places, "CREDPROXY_SOCKET")


def actions_socket(environ: Mapping[str, str], uid: int, *, is_directory: Callable[[str], bool]) -> str:
    """Give the actions socket's path: ``CREDPROXY_ACTIONS_SOCKET``, or where the helper socket would be looked for.

    In a directory of its own, because sandboxes are given that directory, and must not get the helper socket with it.

    Raises:
        Failed(config_invalid): as ``helper_socket``.
    """
    found = _given(environ, "CREDPROXY_ACTIONS_SOCKET")
    place = "credproxy-actions/actions.sock"
    return found or _below(environ, uid, is_directory, (place, place), "CREDPROXY_ACTIONS_SOCKET")


def config_files(environ: Mapping[str, str], *, system: bool = False) -> tuple[str, ...]:
    """Give the configuration files, the most important first: the user's, then the machine's; with ``system`` only the machine's.

    A user without a home directory also has only the machine's.
    """
    config, machine = config_home(environ), "/etc/credproxy/config.toml"
    return (machine,) if system or config is None else (f"{config}/credproxy/config.toml", machine)


def config_home(environ: Mapping[str, str]) -> str | None:
    """Where the user's programs keep their configuration; None for a user without a home directory."""
    home = environ.get("HOME")
    return environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)


def cache_home(environ: Mapping[str, str]) -> str | None:
    """Where the user's programs keep what they can fetch again; None for a user without a home directory."""
    home = environ.get("HOME")
    return environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else None)


def certificate_folders(environ: Mapping[str, str], authority: str) -> tuple[str, ...]:
    """Give the folders in which docker and podman keep certificates for a registry, in podman's order; the first that is there counts.

    Source: containers-certs.d(5); docs.docker.com/engine/security/certificates.
    """
    config = config_home(environ)
    own = (f"{config}/containers/certs.d", f"{config}/docker/certs.d") if config else ()
    return tuple(f"{folder}/{authority}" for folder in (*own, "/etc/containers/certs.d", "/etc/docker/certs.d"))


def netrc_file(environ: Mapping[str, str], wanted: str) -> str | None:
    """Give the netrc file that a configuration's ``netrc`` means: a path, ``"none"``, or ``"auto"`` for ``NETRC`` or the home's.

    None for no file.
    """
    if wanted != "auto":
        return None if wanted == "none" else wanted
    home = environ.get("HOME")
    return environ.get("NETRC") or (f"{home}/.netrc" if home else None)


def _given(environ: Mapping[str, str], name: str) -> str | None:
    path = environ.get(name) or None
    if path is not None and (not path.startswith("/") or path == "/"):
        raise failed(
            Code.CONFIG_INVALID,
            f"{name} is not an absolute path: {path!r}",
            hint="set it to an absolute path, or unset it",
        )
    return path


def log_file(environ: Mapping[str, str]) -> str:
    """Give the file to which the helper sends the log of a daemon that it starts."""
    return f"{_state_home(environ) or '/.local/state'}/credproxy/daemon.log"


def login_file(environ: Mapping[str, str]) -> str | None:
    """Give the file of what ``credproxy login`` stores; None for a user without a home directory."""
    home = _state_home(environ)
    return f"{home}/credproxy/logins.json" if home else None


def _state_home(environ: Mapping[str, str]) -> str | None:
    """Where the user's programs keep what they are to find again; None for a user without a home directory."""
    state, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME")
    return state if state.startswith("/") else f"{home}/.local/state" if home else None


def _below(
    environ: Mapping[str, str], uid: int, is_directory: Callable[[str], bool], places: tuple[str, str], variable: str
) -> str:
    in_runtime, in_state = places
    for runtime in (environ.get("XDG_RUNTIME_DIR") or "", f"/run/user/{uid}"):
        if runtime.startswith("/") and is_directory(runtime):
            return f"{runtime}/{in_runtime}"
    home = environ.get("HOME") or ""
    if not home.startswith("/"):
        raise failed(
            Code.CONFIG_INVALID,
            f"no place for the socket: HOME is not set, and /etc/passwd has no entry for uid {uid}",
            hint=f"set HOME, XDG_RUNTIME_DIR or {variable}",
        )
    return f"{home}/.local/state/{in_state}"
