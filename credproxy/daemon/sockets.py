"""Which sockets are served: those that the service manager hands over, or else those that this process binds.

One of the two makes them, never both: a socket that a service manager does not hand over is not served (docs/design/faults.md#sockets-and-units).
"""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from credproxy.core.errors import Code, Failed, Failure, Unfit, failed, in_words
from credproxy.core.paths import actions_socket, helper_socket
from credproxy.core.unit_names import socket_unit
from credproxy.daemon.limits import BACKLOG
from credproxy.daemon.serve_options import ServeOptions
from credproxy.server.inherited import handed_over
from credproxy.server.listener import AlreadyRunning, Bound, Listener, bind, lock_path
from credproxy.server.sandboxed import sandboxed, serves_elsewhere


HELPER, ACTIONS = "helper", "actions"
"""The names of ``FileDescriptorName=`` in the units."""

log = structlog.get_logger("credproxy.daemon")


@dataclass(frozen=True, slots=True)
class Sockets:
    """What to listen on: at least one of the two. ``close`` may be called twice."""

    helper: Listener | None
    actions: Listener | None

    def close(self) -> None:
        """Close what was bound or handed over."""
        for listener in (self.helper, self.actions):
            if listener is not None:
                listener.close()


def open_sockets(options: ServeOptions) -> Sockets:
    """Take those that were handed over, or else bind them.

    Raises:
        Unfit(config_invalid): what was handed over is not what is expected.
        AlreadyRunning: another daemon serves the helper socket.
        Failed(config_invalid), OSError: it cannot be bound.
    """
    handed = handed_over(options.environ, names={ACTIONS} if options.gateway_only else {HELPER, ACTIONS})
    if handed:
        return _complete(options, handed)
    if options.system:
        hint = "a system service is started by its sockets: credproxy install --system"
        raise _unfit("no sockets were handed over", hint)
    if options.gateway_only:
        return Sockets(None, _bind(options, actions=True))
    helper = _bind(options, actions=False)
    try:
        return Sockets(helper, _bind_actions(options))
    except BaseException:
        helper.close()
        raise


def _complete(options: ServeOptions, handed: dict[str, Listener]) -> Sockets:
    helper, actions = handed.get(HELPER), handed.get(ACTIONS)
    if helper is None and not options.gateway_only:
        # A second daemon would be started for the helper socket, and hold the same secrets again.
        raise _unfit(
            "only the actions socket was handed over", f"systemctl --user enable --now {socket_unit('helper')}"
        )
    if actions is None and isinstance(helper, Bound):
        # A predecessor of this daemon made that one, and had no other to leave: no service manager makes any here.
        actions = _bind_actions(options)
    elif actions is None:
        hint = "systemctl --user enable --now credproxy-actions.socket"
        log.warning("no actions socket", socket=None, reason="it was not handed over", hint=hint)
    return Sockets(helper, actions)


def open_actions_late(options: ServeOptions) -> Bound | None:
    """Bind the actions socket that could not be bound at the start; None as long as that is so."""
    try:
        return _bind(options, actions=True, meek=True)
    except (AlreadyRunning, Failed, OSError):
        return None  # the log has the reason since the start


def _bind(options: ServeOptions, *, actions: bool, meek: bool = False) -> Bound:
    variable = "CREDPROXY_ACTIONS_SOCKET" if actions else "CREDPROXY_SOCKET"
    path = _path(options, actions=actions)
    usual = path == _usual(options, variable, actions=actions)
    if usual and sys.platform == "linux" and sandboxed() and _is_outsiders(options, path):
        # This daemon would be the sandbox's, and callers that look for the user's daemon there are outside.
        message = f"this is a sandbox, and {path!r} is the socket of the user's daemon"
        raise failed(
            Code.CONFIG_INVALID, message, hint=f"for a daemon of this sandbox, set {variable} to a path of its own"
        )
    return bind(path, backlog=BACKLOG, variable=variable, meek=meek)


def _is_outsiders(options: ServeOptions, path: str) -> bool:
    """Whether a default path belongs to a daemon outside this sandbox.

    A runtime directory is that of a login session, which began outside. A home directory may be the sandbox's own; it is
    not if a daemon outside has served there since the machine started.
    """
    home = options.environ.get("HOME")
    below_home = home is not None and path.startswith(f"{home}/.local/state/")
    return not below_home or serves_elsewhere(lock_path(Path(path)))


def _usual(options: ServeOptions, variable: str, *, actions: bool) -> str | None:
    """Where callers look by default; the helper tells a daemon that it starts where it has looked."""
    bare = replace(options, environ={name: value for name, value in options.environ.items() if name != variable})
    try:
        return _path(bare, actions=actions)
    except Failed:
        return None  # there is no such place


def _path(options: ServeOptions, *, actions: bool) -> str:
    find = actions_socket if actions else helper_socket
    return find(options.environ, os.geteuid(), is_directory=os.path.isdir)


def _bind_actions(options: ServeOptions) -> Bound | None:
    """Bind the actions socket; if that fails, or there is no path for it, the helper socket is still worth serving."""
    path = None
    try:
        path = _path(options, actions=True)
        _check_apart(options, path)
        return _bind(options, actions=True)
    except AlreadyRunning:
        reason, hint = "another daemon serves it", "set CREDPROXY_ACTIONS_SOCKET to another path for one of them"
    except Failed as error:
        reason, hint = error.failure.message, error.failure.hint
    except OSError as error:
        reason, hint = in_words(error), "set CREDPROXY_ACTIONS_SOCKET to a path of your own"
    log.warning("no actions socket", socket=path, reason=reason, hint=hint)
    return None


def _check_apart(options: ServeOptions, path: str) -> None:
    """Refuse one path for both: it would seem that another daemon serves it."""
    if path == _path(options, actions=False):
        variable = "CREDPROXY_ACTIONS_SOCKET"
        message = f"{path!r} is the path of the helper socket as well"
        raise failed(Code.CONFIG_INVALID, message, hint=f"set {variable} to a path in a directory of its own")


def _unfit(message: str, hint: str) -> Unfit:
    return Unfit(Failure(Code.CONFIG_INVALID, message, hint))
