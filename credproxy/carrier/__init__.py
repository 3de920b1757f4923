"""What runs in a carrier: the process that parses what build actions send, and moves the bytes.

::

    nursery    the process that carriers are forked from
    main       a carrier's life: confined first, then served by messages
    daemon     the other end of the channel, as questions that are awaited
    passed     a peer by the daemon's word
    front      connections as they are passed on
    lines      what is said for the log

It holds no stored credential, no configuration, no environment, and can open no file. Nothing in here may import what holds
one: the contract in ``pyproject.toml`` says so. Source: architecture.md, "Processes".
"""
