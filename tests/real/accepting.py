"""A listener on a free port of the loopback, with a thread for each caller."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from typing import Self


class Accepting(ABC):
    """Listens from the beginning; ``authority`` is what a client takes for the registry. A context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.authority = f"localhost:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """Talk to one caller, and close."""

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()
