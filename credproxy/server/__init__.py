"""The front: aiohttp applications on Unix sockets, the peer gate, and errors as statuses."""
