"""The names of our systemd units, for all code that uses one."""

SERVICE = "credproxy.service"

_SOCKETS = {"helper": "credproxy.socket", "actions": "credproxy-actions.socket"}

SOCKETS = tuple(_SOCKETS.values())


def socket_unit(name: str) -> str:
    """The unit that makes the socket of that name, ``helper`` or ``actions``."""
    return _SOCKETS[name]
