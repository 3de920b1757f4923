"""What runs in the worker: the one process with the libraries of clouds, started when it is needed.

::

    __main__                             its life: it gives up what it does not need, says that it is ready, and answers
                                         until the daemon is gone
    dispatch                             which function answers which question, and what may be passed on
    egress                               how libraries reach the network: by a transport of ours, behind the dial guard
    http_answer                          a request, and its answer within a time
    aws, aws_web_identity                botocore; why a role is refused to a job's token
    azure, azure_transport               azure-identity; its way to the network
    google, google_credentials           google-auth; which of its credentials a file means
    google_transport                     its way to the network
    aws_refusals, azure_refusals         what a library's failure means, in our words
    google_refusals                      likewise

A library blocks, so each question has a thread. Nothing is remembered between two questions but what a library has to: the
daemon remembers. Nothing here may import a module that holds the daemon's secrets: the contract in ``pyproject.toml`` says
so. Source: architecture.md, "Processes".
"""
