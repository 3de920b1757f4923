"""A port for a program that cannot choose one itself."""

import random
import socket


# Below what kernels give to outgoing connections and to port 0: no other test is given it before the program binds it.
_ONES_OWN = range(20_000, 32_000)


def free_port() -> int:
    """Give an unused port of the loopback."""
    chance = random.SystemRandom()  # the seed of a test run is the same in all of its processes
    while True:
        port = chance.choice(_ONES_OWN)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
