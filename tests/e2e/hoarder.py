"""A build action that takes all connections that it can get, and reopens those that are closed.

Usage: ``hoarder.py silent|dripping|bodies|unread|blobs|heads|descriptors|fields|comings SOCKET COUNT``, until its input ends. SOCKET is a path, or a port of the
loopback. Prints a line when it has tried COUNT times. With ``bodies`` each connection comes from a process in namespaces of
its own; with ``unread`` it asks for a manifest of the registry that its input names, and reads nothing; with ``blobs`` for a blob; with ``heads`` as
well, and it then sends as many large requests behind that as it can. With ``fields`` it sends a megabyte
of a head that never ends. With ``comings`` it connects from so many processes, and leaves at
once, without end. With ``descriptors`` it has that many on their way between
its own processes, of which the kernel counts the user's.
"""

import contextlib
import ctypes
import os
import resource
import select
import socket
import sys
import time


NAMESPACES = 0x10020000  # CLONE_NEWUSER | CLONE_NEWNS of <linux/sched.h>
BODY = b"PUT /v2/org/app/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
HEAD = b"GET /v2/"
ASKED_FOR = {"unread": "manifests/x", "blobs": f"blobs/sha256:{'b' * 64}", "heads": f"blobs/sha256:{'c' * 64}"}
LARGE = (
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (one, b"a" * 8000) for one in range(120)) + b"\r\n"
)


def connect(place: str, first: bytes) -> socket.socket | None:
    """Open another connection; None if it was refused."""
    port = place.isdigit()
    talk = socket.socket(socket.AF_INET if port else socket.AF_UNIX)
    try:
        talk.connect(("127.0.0.1", int(place)) if port else place)
        talk.sendall(first)
    except OSError:
        talk.close()
        return None
    talk.setblocking(False)
    return talk


def is_open(talk: socket.socket) -> bool:
    """Whether the daemon has not closed it."""
    try:
        if talk.recv(4096):
            return True
    except BlockingIOError:
        return True
    except OSError:
        pass
    talk.close()
    return False


def drip(talk: socket.socket) -> bool:
    """Send another byte of a head; False if it is closed."""
    with contextlib.suppress(BlockingIOError):
        try:
            talk.send(b"x")
        except OSError:
            return False
    return True


def hoard(kind: str, place: str, count: int) -> None:
    """Hold that many, for ever."""
    first = {"silent": b"", "dripping": HEAD}[kind]
    held: list[socket.socket] = []
    told = False
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        held += [talk for talk in (connect(place, first) for _ in range(count - len(held))) if talk is not None]
        if not told:
            say(len(held))
            told = True
        held = [talk for talk in held if is_open(talk) and (kind != "dripping" or drip(talk))]


def leave_unread(place: str, count: int, *, path: str) -> None:
    """Ask for that many, and hold their connections."""
    request = f"GET /v2/org/app/{path} HTTP/1.1\r\nHost: x\r\nX-Rules_img-Original-Host: {input()}\r\n\r\n"
    held = [connect(place, request.encode()) for _ in range(count)]
    if path == ASKED_FOR["heads"]:
        for _ in range(20):
            time.sleep(0.02)
            for talk in held:
                with contextlib.suppress(OSError):
                    while talk is not None and talk.send(LARGE):
                        pass
    say(sum(talk is not None for talk in held))
    sys.stdin.read()


def send_descriptors(count: int) -> None:
    """Send that many to itself, and receive none."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sent, pairs = 0, []
    while sent < count:
        pairs.append(socket.socketpair())
        pairs[-1][0].setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while sent < count:
                socket.send_fds(pairs[-1][0], [b"x"], [0] * 250)
                sent += 250
    say(sent)
    sys.stdin.read()


def send_fields(place: str, count: int) -> None:
    """Send so many heads as far as they are taken."""
    held = [connect(place, b"") for _ in range(count)]
    for talk in held:
        with contextlib.suppress(OSError):
            unsent = memoryview(LARGE[:-2])
            while talk is not None and unsent and select.select([], [talk], [], 0.02)[1]:
                unsent = unsent[talk.send(unsent) :]
    say(count)
    sys.stdin.read()


def come_and_go(place: str, count: int) -> None:
    """Connect as fast as that many processes can."""
    parent = os.getpid()
    for _ in range(count):
        if os.fork() == 0:
            while os.getppid() == parent:
                talk = connect(place, b"")
                if talk is not None:
                    talk.close()
            os._exit(0)
    time.sleep(0.3)
    say(count)
    sys.stdin.read()


def say(count: int) -> None:
    """Tell the test that it may begin."""
    sys.stdout.write(f"{count}\n")
    sys.stdout.flush()


def main() -> None:
    """Hoard, with ``bodies`` from twenty sandboxes inside of this one."""
    kind, place, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind in {"comings", "fields"}:
        (come_and_go if kind == "comings" else send_fields)(place, count)
        return
    if kind == "descriptors":
        send_descriptors(count)
        return
    if kind in ASKED_FOR:
        leave_unread(place, count, path=ASKED_FOR[kind])
        return
    if kind != "bodies":
        hoard(kind, place, count)
        return
    read, write = os.pipe()
    for _ in range(20):
        if os.fork() == 0:
            assert ctypes.CDLL(None, use_errno=True).unshare(NAMESPACES) == 0, ctypes.get_errno()
            held = [connect(place, BODY) for _ in range(count // 20)]
            os.write(write, b".")
            time.sleep(60)
            os._exit(len(held) % 2)
    for _ in range(20):
        os.read(read, 1)
    say(count)
    sys.stdin.read()


if __name__ == "__main__":
    main()
