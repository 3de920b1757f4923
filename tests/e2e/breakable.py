"""Starts credproxy as it is, with what a test needs to break it from outside.

Usage: ``breakable.py NURSERY PROGRAM ARGUMENTS…`` runs the daemon, whose carriers are forked by the program NURSERY;
``breakable.py -I -m credproxy.carrier.nursery DESCRIPTOR`` is that. Its carriers spin in an endless loop, in their main
thread, as soon as they get SIGUSR1.
"""

import runpy
import signal
import sys


def spin(*_: object) -> None:
    """Never end."""
    while True:
        pass


def main() -> None:
    """Be one or the other."""
    if sys.argv[1] == "-I":
        from credproxy.carrier import nursery  # noqa: PLC0415  the daemon is imported by itself

        signal.signal(signal.SIGUSR1, spin)
        sys.argv[1:] = sys.argv[-1:]
        nursery.main()
    else:
        _, sys.executable, program, *rest = sys.argv
        sys.argv = [program, *rest]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
