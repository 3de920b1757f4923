"""What runs in the worker: the one process with the libraries of clouds, started when it is needed.

::

    __main__   its life: it gives up what it does not need, says that it is ready, and answers until the daemon is gone
    dispatch   which function answers which question: the list of them
    egress     how libraries reach the network: by a transport of ours, behind the dial guard
    google     google-auth
    azure      azure-identity

A library blocks, so each question has a thread. Nothing is remembered between two questions but what a library has to: the
daemon remembers. Nothing here may import a module that holds the daemon's secrets: the contract in ``pyproject.toml`` says
so. Source: architecture.md, "Processes".
"""
