"""What is wrong with an installation, and how to fix it.

Decisions only: a check gets facts, and a Machine to look at files through, and yields Findings. The code that queries the sockets,
the service manager and the network is ``cli``.
"""
