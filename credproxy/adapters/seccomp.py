"""Which system calls a carrier may make: those that give other access to this machine fail with EPERM.

Landlock does not restrict sockets that have a path: a process of the user could still connect to the helper socket, to
the session bus or to docker's. So the filter allows only sockets of the internet families, no program can be executed,
and no other process, kernel keyring or io_uring can be reached. It is a filter of seccomp(2), which children inherit.

Own code: the bindings of libseccomp on PyPI need that library on the machine. Sources: <linux/seccomp.h>, <linux/filter.h>,
<asm/unistd.h> of both machines.
"""

import ctypes
import errno
import platform
import struct
import sys
from typing import Final, NamedTuple


_PR_SET_SECCOMP, _FILTER = 22, 2
_KILL, _REFUSE, _ALLOW = 0x8000_0000, 0x0005_0000 | errno.EPERM, 0x7FFF_0000
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _MACHINE, _FIRST, _SECOND = 0, 4, 16, 24
"""Offsets of a call's number, its architecture and its arguments in ``struct seccomp_data``; both architectures are
little-endian."""

_INTERNET = (2, 10)
_STREAM, _TYPE = 1, 0xF
_X32 = 0x4000_0000


class _Calls(NamedTuple):
    """An architecture's number in the audit system, and the numbers of its calls."""

    mark: int
    socket: int
    socketpair: int
    refused: tuple[int, ...]


_IO_URING, _PIDFD_GETFD = 425, 438

_MACHINES: Final = {
    "x86_64": _Calls(
        0xC000_003E, 41, 53, (59, 322, 101, 310, 311, 248, 249, 250, 298, 321, 323, _IO_URING, _PIDFD_GETFD)
    ),
    "aarch64": _Calls(
        0xC000_00B7, 198, 199, (221, 281, 117, 270, 271, 217, 218, 219, 241, 280, 282, _IO_URING, _PIDFD_GETFD)
    ),
}
"""Refused: execve, execveat, ptrace, process_vm_readv, process_vm_writev, add_key, request_key, keyctl, perf_event_open,
bpf, userfaultfd, io_uring_setup (whose rings bypass the filter), pidfd_getfd."""


_STEP = struct.Struct("HBBI")


class _FilterProgram(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]  # type: ignore[mutable-override]  # ctypes takes a list


def filtered() -> bool:
    """Whether there is a filter for this architecture."""
    return sys.platform == "linux" and platform.machine() in _MACHINES and sys.maxsize > 1 << 32


def restrict() -> bool:
    """Install the filter for this thread and all that it starts; False if there is none for this architecture.

    ``no_new_privs`` must have been set.

    Raises:
        OSError: the kernel refuses it.
    """
    if not filtered():
        return False
    program = _program(_MACHINES[platform.machine()])
    code = ctypes.create_string_buffer(program, len(program))

    whole = _FilterProgram(len(program) // _STEP.size, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(whole), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "the kernel refused a filter of system calls")
    return True


def _program(calls: _Calls) -> bytes:
    """Build the filter; each test precedes the instructions that it skips."""
    steps = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, calls.mark),  # the numbers of another architecture would mean other calls
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for number in calls.refused:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    steps += [
        (_EQUAL, 0, 5, calls.socket),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 2, 0, _INTERNET[0]),
        (_EQUAL, 1, 0, _INTERNET[1]),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 4, calls.socketpair),
        (_LOAD, 0, 0, _SECOND),
        (_AND, 0, 0, _TYPE),
        (_EQUAL, 1, 0, _STREAM),  # a datagram socket could be reconnected to a path
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(_STEP.pack(*step) for step in steps)
