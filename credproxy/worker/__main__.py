"""The worker's life: give up what it does not need, say that it is ready, answer until the daemon is gone.

``python -m credproxy.worker`` alone tells by hand whether it can start, and which libraries it can import.
"""

import importlib
import logging
import os
import signal
import socket
import struct
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import msgspec

from credproxy.adapters.confinement import end_with_parent, go_first
from credproxy.adapters.hardening import harden
from credproxy.adapters.resident_memory import resident
from credproxy.core.ask.worker_messages import (
    TO_WORKER,
    VERSION,
    FromWorker,
    LibraryAnswered,
    LibraryCall,
    LibraryFailed,
    WorkerReady,
)
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.cloud_libraries import LIBRARIES
from credproxy.worker.dispatch import answer


THREADS = 8
"""Questions that are worked on at once; the daemon asks no more."""

_MEMORY = 256 << 20
"""Bytes that it may hold once it is idle: with more it ends, and a library's leak with it."""

_HEAD = struct.Struct("!I")


class _Desk:
    """Takes calls and answers them, each in a thread."""

    def __init__(self, daemon: socket.socket) -> None:
        self._daemon = daemon
        self._writing = threading.Lock()
        self._open = 0
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="library")

    def say(self, message: FromWorker) -> None:
        """Send a message; where the daemon is gone, there is nothing left to do."""
        frame = msgspec.msgpack.encode(message)
        with self._writing:
            try:
                self._daemon.sendall(_HEAD.pack(len(frame)) + frame)
            except OSError:
                os._exit(0)

    def take(self, call: LibraryCall) -> None:
        """Begin to work on a call."""
        with self._writing:
            self._open += 1
        self._threads.submit(self._work, call)

    def _work(self, call: LibraryCall) -> None:
        try:
            said: FromWorker = LibraryAnswered(call.number, answer(call.question, call.limit))
        except Failed as error:
            said = LibraryFailed(call.number, error.failure)
        except BaseException as error:  # noqa: BLE001  a library may raise anything, and its text may hold a secret
            said = LibraryFailed(call.number, _unexpected(error, call))
        self.say(said)
        with self._writing:
            self._open -= 1
            # Not ru_maxrss: it begins with what the daemon held.
            if not self._open and resident(os.getpid()) > _MEMORY:
                os._exit(0)


def _unexpected(error: BaseException, call: LibraryCall) -> Failure:
    """Describe an unexpected exception by its type and where it was raised: a library may raise any for an odd answer."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('site-packages/')[2]}:{frames[-1].lineno}"
    said, hint = f"{type(error).__name__} at {where}", f"see whether it works by hand: {call.question.by_hand}"
    packages = {f"/{library.module(sys.platform).partition('.')[0]}/" for library in LIBRARIES}
    if any(package in frame.filename for frame in frames for package in packages):
        message = f"{call.question.library} cannot make anything of what it was answered ({said})"
        return Failure(Code.BAD_TOKEN, message, hint)
    return Failure(Code.INTERNAL, f"{call.question.library} raised {said}", hint)


def serve(daemon: socket.socket) -> None:
    """Answer until the daemon is gone.

    Args:
        daemon: a connected socket to it.
    """
    desk, read = _Desk(daemon), msgspec.msgpack.Decoder(LibraryCall).decode
    desk.say(WorkerReady(VERSION))
    with daemon.makefile("rb") as frames:
        while len(head := frames.read(_HEAD.size)) == _HEAD.size:
            (length,) = _HEAD.unpack(head)
            if length > TO_WORKER or len(frame := frames.read(length)) < length:
                return
            desk.take(read(frame))


def _give_up() -> None:
    """No core dump, not to be read by others, first to go where memory runs out, silent, and gone with the daemon."""
    go_first()  # first of all: it cannot be done by a process that is not to be read
    harden()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # sent to every process of a service: the daemon says when to end
    end_with_parent()
    logging.disable()  # libraries quote requests in what they log
    logging.lastResort = None


def main() -> None:
    """Begin. The descriptor of the socket to the daemon is the only argument; without one, say what can be imported."""
    if len(sys.argv) < 2:  # noqa: PLR2004  the descriptor
        for library in LIBRARIES:
            importlib.import_module(library.module(sys.platform))
            sys.stdout.write(f"{library.module(sys.platform)}: fine\n")
        return
    with socket.socket(fileno=int(sys.argv[1])) as daemon:
        daemon.set_inheritable(False)
        _give_up()
        serve(daemon)
    os._exit(0)  # not by returning: Python would wait for threads, and so for libraries


if __name__ == "__main__":
    main()
