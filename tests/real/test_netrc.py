"""The same netrc file, read by curl and by credproxy: they send the same bytes, or the difference is a chosen one."""

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from credproxy.core.ask.basic_auth import basic
from credproxy.core.formats.netrc import parse_netrc
from tests.real.clients import find, run


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

HOST = "127.0.0.1"
M = f"machine {HOST}"


class _Told(BaseHTTPRequestHandler):
    """Answers with the Authorization that it was sent."""

    def do_GET(self) -> None:
        body = (self.headers.get("Authorization") or "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base class names it so
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server on the loopback; gives its URL."""
    with ThreadingHTTPServer((HOST, 0), _Told) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://{HOST}:{listening.server_port}/"
        listening.shutdown()
        thread.join()


def curl(server: str, path: Path) -> str:
    """What curl sends."""
    argv = [str(find("curl")), "--silent", "--noproxy", "*", "--netrc-file", str(path), server]
    return run(argv, env={}).out


def ours(content: bytes) -> str:
    """What credproxy would send; "" for nothing."""
    login = parse_netrc(content, "a file").logins.get(HOST)
    return "" if login is None else basic(login).reveal()


@pytest.mark.parametrize(
    "content",
    [
        f"{M} login u password p\n",
        f"{M} login u password p",
        f"\n\n# a comment\n\n{M} login u password p\n",
        f"#{M} login x password y\n{M} login u password p\n",
        f"  # {M} login x password y\n",
        f"{M} login u password pa#ss\n",
        f'{M} login "a b" password "p\\"q\\\\ #r"\n',
        f'{M} login u password ""\n',
        f"{M} login u\n",
        f"{M} login u\r\npassword p\r\n",
        f"{M}\tlogin\fu\vpassword p\n",
        f"{M.upper()} LOGIN u PASSWORD p\n",
        f"{M} login u password p\n{M} login v password q\n",
        f"{M} login u\n{M} login v password q\n",
        f"{M} login t login u password p\n",
        f"{M} password p login u\n",
        f"{M} account x login u password p\n",
        f"{M} login machine password default\n",
        f"machine a login x password y {M} login u password p machine b login z password z\n",
        f"macdef m\nmachine {HOST} login x password y\n\n{M} login u password p\n",
        f"{M}\nmacdef m\ncd /x\n\nlogin u password p\n",
        f"{M} login u password pä\n",
        f"{M} login u password p\udce4\n",
        f'{M} login u password p"q\\r\n',
        f"{M} login u password 'p'\n",
        f"{M} login u password {'x' * 3000}\n",
        f"{M}:80 login u password p\n",
        f"{M}\n",
        f"{M}. login\n",
        "",
    ],
    ids=lambda content: ascii(content)[:60].replace("[", "(").replace("]", ")"),
)
def test_the_same_bytes_are_sent_as_by_curl(server: str, tmp_path: Path, content: str) -> None:
    """Byte for byte, or nothing by both."""
    path, data = tmp_path / "netrc", content.encode("utf-8", "surrogateescape")
    path.write_bytes(data)
    assert ours(data) == curl(server, path)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        pytest.param(f"default login x password y\n{M} login u password p\n", "u:p", id="default comes first"),
        pytest.param("default login x password y\n", "", id="default alone"),
        pytest.param(f"\ufeff{M} login u password p\n", "u:p", id="a byte order mark hides the machine"),
        pytest.param(f"{M} password p\n", "", id="an empty user name"),
        pytest.param(f"{M} login u password my secret\n", "", id="half of a password"),
        pytest.param(f"{M} login u port 1 password p\n", "", id="a word that is not a keyword"),
    ],
)
def test_where_we_differ_from_curl_we_do_so_on_purpose(server: str, tmp_path: Path, content: str, wanted: str) -> None:
    """These are the lines of the table in core/formats/netrc.py; where curl comes to agree, the line can go."""
    path, data = tmp_path / "netrc", content.encode()
    path.write_bytes(data)
    assert ours(data) == (f"Basic {base64.b64encode(wanted.encode()).decode()}" if wanted else "")
    assert curl(server, path) != ours(data)
