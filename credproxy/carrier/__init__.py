"""What runs in a carrier: the process that parses what build actions send, and moves the bytes.

::

    nursery    the process that carriers are forked from
    main       a carrier's life: confined first, then served by messages
    daemon     the other end of the channel, as questions that are awaited
    passed     a peer as the daemon reports it
    front      connections as they are passed on
    lines      log lines for the daemon

It holds no stored credential, no configuration, no environment, and can open no file. Nothing in here may import a module that holds
one: the contract in ``pyproject.toml`` says so. Source: architecture.md, "Processes".
"""
