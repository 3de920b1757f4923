"""The page that a browser comes back to: who else may ask for it, and what they get."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import closing

import aiohttp
import pytest

from credproxy.adapters.loopback_page import LoopbackPage, owner_of


def page() -> LoopbackPage:
    """One that waits for ``right``."""
    return LoopbackPage(lambda query: query == "right", uid=os.geteuid())


async def get(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    """Ask for it."""
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), dict(answer.headers)


async def test_the_one_request_is_answered_with_a_plain_page() -> None:
    """Nothing of it is shown again, kept, or sent on; the next one is too late."""
    async with page() as waiting:
        status, text, headers = await get(f"{waiting.address}?right")
        assert (status, text) == (200, "credproxy: the login goes on in the terminal; this page can be closed\n")
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Connection"] == "close"
        assert await waiting.query() == "right"
        assert (await get(f"{waiting.address}?right"))[0] == 410


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("?wrong", "", 400),
        ("?<script>", "", 400),
        ("", "", 400),
        ("favicon.ico", "", 404),
        ("other?right", "", 404),
        ("?right", "evil.test", 404),
        ("?right", "localhost", 404),
    ],
)
async def test_whatever_else_is_asked_for_ends_nothing(path: str, host: str, status: int) -> None:
    """A page that somebody else opened, a name that leads here by DNS, a favicon; the right one comes after it."""
    async with page() as waiting:
        headers = {"Host": host} if host else {}
        found, text, _ = await get(waiting.address + path, **headers)
        assert found == status
        assert "script" not in text
        assert (await get(f"{waiting.address}?right"))[0] == 200
        assert await waiting.query() == "right"


async def test_what_is_no_request_and_who_says_nothing_ends_nothing() -> None:
    """Fifty connections without a word, and one with another protocol's."""
    async with page() as waiting:
        silent = [await asyncio.open_connection("127.0.0.1", waiting.port) for _ in range(50)]
        reader, writer = await asyncio.open_connection("127.0.0.1", waiting.port)
        writer.write(b"\x16\x03\x01" + b"x" * 9000 + b"\r\n\r\n")
        assert b" 400 " in await reader.readline()
        assert (await get(f"{waiting.address}?right"))[0] == 200
        assert await waiting.query() == "right"
    for _, one in (*silent, (reader, writer)):
        one.close()


async def test_only_this_machine_can_ask_and_nobody_can_have_the_port() -> None:
    """It is bound to 127.0.0.1 before anybody hears of it."""
    async with page() as waiting:
        for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            with closing(socket.socket()) as other:
                if option is not None:
                    other.setsockopt(socket.SOL_SOCKET, option, 1)
                with pytest.raises(OSError, match="in use"):
                    other.bind(("127.0.0.1", waiting.port))
        with closing(socket.socket()) as other, pytest.raises(ConnectionRefusedError):
            other.connect(("127.0.0.2", waiting.port))


async def test_a_page_that_is_registered_as_it_is_has_its_port_again_and_again() -> None:
    """Some servers take no other port; nobody else may have it, and the last login's connections do not get in the way."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://localhost:{port}/call/back"
    for _ in range(2):
        async with LoopbackPage(lambda query: query == "right", uid=os.geteuid(), address=address) as waiting:
            assert (waiting.address, waiting.port) == (address, port)
            with pytest.raises(OSError, match="in use"):
                LoopbackPage(lambda _: True, uid=os.geteuid(), address=address)
            assert (await get(f"http://127.0.0.1:{port}/call/back?right"))[0] == 404
            assert (await get(f"http://127.0.0.1:{port}/?right", Host=f"localhost:{port}"))[0] == 404
            assert (await get(f"{address}?right"))[0] == 200
            assert await waiting.query() == "right"


@pytest.mark.skipif(sys.platform != "linux", reason="run on Linux: other systems do not tell whose a socket is")
async def test_the_owner_of_a_connection_is_told() -> None:
    """Of one that is closed nobody is: it stands there as root's."""
    async with page() as waiting:
        reader, writer = await asyncio.open_connection("127.0.0.1", waiting.port)
        port = writer.get_extra_info("sockname")[1]
        assert await asyncio.to_thread(owner_of, port, waiting.port) == os.geteuid()
        writer.close()
        await writer.wait_closed()
        assert await asyncio.to_thread(owner_of, port, waiting.port) == -1
        del reader


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="run as root: it takes another user")
async def test_another_user_who_knows_the_address_is_turned_away() -> None:
    """The state stands in our browser's arguments, which everybody on the machine may read."""
    ask = (
        "import sys, http.client; c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1])); "
        "c.request('GET', '/?right'); print(c.getresponse().status)"
    )
    async with page() as waiting:
        argv = [sys.executable, "-I", "-c", ask, str(waiting.port)]
        done = await asyncio.to_thread(
            subprocess.run, ["setpriv", "--reuid=65534", "--clear-groups", *argv], capture_output=True, check=True
        )
        assert done.stdout == b"400\n"
        assert (await get(f"{waiting.address}?right"))[0] == 200
        assert await waiting.query() == "right"
