"""What runs in a carrier: the process that parses what build actions send, and moves the bytes.

::

    nursery             the process that carriers are forked from
    main                a carrier's life: confined first, then served by messages
    confined_start      how a forked process gives up its privileges
    daemon_client       the other end of the channel, as questions that are awaited
    passed_connections  connections as they are passed on
    passed_peer         a peer as the daemon reports it
    log_lines           log lines for the daemon
    relay_process       the other process that the nursery forks: it holds client certificates, for carriers

A carrier holds no stored credential, no configuration, no environment, and can open no file. Nothing in here may import a
module that holds one: the contract in ``pyproject.toml`` says so. Source: architecture.md, "Processes".
"""
