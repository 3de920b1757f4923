"""The process that carriers are forked from: it has imported what they need, and holds nothing.

Python's own fork server is started with the environment of its parent, where secrets may be, and brings a second process
that tracks semaphores. This one is started without any environment. It forks a carrier for each descriptor that it is
sent, or a relay process, ends one when told to, and reports how each of them ended: a pid is only safe with the parent. It ends with the
daemon, and ends all that are left.

Five bytes are an order: ``f`` and four zeros with a descriptor begin a carrier, ``r`` a relay process, ``k`` and a pid end one.
Lines come back:
``began PID`` and ``ended PID STATUS``.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping

from credproxy.core.ask.carrier_messages import FORK, KILL, NURSERY, RELAY


Child = Callable[[int, int], None]
"""What a forked process does, with its descriptor and the pid of this process."""


def serve(control: socket.socket, kinds: Mapping[bytes, Child]) -> None:
    """Fork on request until the daemon is gone.

    Args:
        control: to the daemon.
        kinds: what is forked, by the order.
    """
    children: set[int] = set()
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to every process: the daemon says when carriers end
    watched = select.poll()
    watched.register(control, select.POLLIN)
    watched.register(woken, select.POLLIN)
    try:
        while True:
            ready = {descriptor for descriptor, _ in watched.poll()}
            if woken in ready:
                _drain(woken)
                _bury(control, children)
            if control.fileno() in ready and not _obeyed(control, kinds, children, (woken, wakes)):
                return
    finally:
        # One that hangs would not notice that the daemon is gone.
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _obeyed(control: socket.socket, kinds: Mapping[bytes, Child], children: set[int], ours: tuple[int, int]) -> bool:
    """Carry out one order; False if there will be no more."""
    try:
        order, descriptors, _, _ = socket.recv_fds(control, NURSERY.size, 1)
    except OSError:
        return False
    if len(order) < NURSERY.size:  # the daemon writes it in one go, so all of it is there
        return False
    what, pid = NURSERY.unpack(order)
    if what == KILL:
        if pid in children:
            os.kill(pid, signal.SIGKILL)
        return True
    (descriptor,) = descriptors
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for mine in ours:
                os.close(mine)
            control.close()
            kinds[what](descriptor, parent)
            status = 0
        finally:
            os._exit(status)
    os.close(descriptor)
    children.add(pid)
    _say(control, f"began {pid}")
    return True


def _bury(control: socket.socket, children: set[int]) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        children.discard(pid)
        _say(control, f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(control: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # the daemon is gone: the read notices that
        control.sendall(line.encode() + b"\n")


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 512):
            pass


def main() -> None:
    """Begin. The descriptor of the control socket is the only argument."""
    from credproxy.adapters.lean_imports import import_aiohttp, import_structlog, kept_for_good  # noqa: PLC0415  as below

    # Memory that is never collected is never written to, and stays shared between the processes.
    with kept_for_good():
        import_structlog()
        import_aiohttp()
        # Imported once here, so that no carrier reads a file for it.
        from credproxy.adapters.confinement import end_with_parent  # noqa: PLC0415  see above
        from credproxy.carrier.main import prepare, run_carrier  # noqa: PLC0415  see above
        from credproxy.carrier.relay_process import run_relay  # noqa: PLC0415  see above

        os.environ.clear()  # the loader's variables were needed to start, and are not needed any more
        prepare()
    end_with_parent()  # a stopped process does not notice that its socket has closed
    with socket.socket(fileno=int(sys.argv[1])) as control:
        control.set_inheritable(False)
        _say(control, "ready")
        serve(control, {FORK: run_carrier, RELAY: run_relay})


if __name__ == "__main__":
    main()
