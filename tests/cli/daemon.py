"""A stand-in for the daemon: a Unix socket that gives prepared answers, and keeps what was asked."""

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


Answer = tuple[int, dict[str, object]]


class FakeDaemon:
    """Answers in turn; ``asked`` is ``POST /v1/reload``, ..., in order."""

    def __init__(self, answers: list[Answer]) -> None:
        self.asked: list[str] = []
        self.answers = answers


def too_early(verb: str) -> Answer:
    """What the real daemon answers within the same second."""
    error = {"code": "overloaded", "message": f"{verb} is allowed once a second", "hint": "wait", "retry_after": 0.75}
    return 503, {"error": error}


@contextmanager
def serving(home: Path, *answers: Answer) -> Iterator[FakeDaemon]:
    """Serve the helper socket of a home that the ``home`` fixture made."""
    daemon = FakeDaemon(list(answers))

    class Handler(http.server.BaseHTTPRequestHandler):
        """One request per connection."""

        def do_POST(self) -> None:
            """Keep the question, give the next answer."""
            daemon.asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = daemon.answers.pop(0)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815  the name is the base class's

        def address_string(self) -> str:
            """A Unix socket's peer has no address."""
            return ""

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
            """Nothing is logged."""

    place = home / "r" / "credproxy" / "helper.sock"
    place.parent.mkdir(mode=0o700)
    with socketserver.ThreadingUnixStreamServer(str(place), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join()
            place.unlink()
            place.parent.rmdir()
