"""What rooms need from one another and from the world: protocols, which nothing has to inherit from.

::

    source         a place where logins are stored
    provider       a way to obtain a credential
    trouble        why one of these gave nothing
    terms          the limits of a flight
    http_client    sending requests, and holding a conversation
    clock          time, waiting and chance
    files          small files, read, written and locked
    processes      programs
    keyrings       the keyring of the user's session
    signing        JWTs and requests to AWS
    libraries      the libraries of clouds
    permissions    what build actions may have
    forwarder      the gateway's requests whose answers are read whole
    transfer       bodies that the gateway moves
    observability  counters and the audit log

An adapter is in a file of the same name as its port: ``ports/clock.py`` says what a clock does, and ``adapters/clock.py`` is one.
"""
