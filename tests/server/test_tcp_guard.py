"""T34: a port of the loopback is open to every user of the machine, and through DNS rebinding to web pages."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Code, Failed, failed
from credproxy.server.peer import Gate, Peer
from credproxy.server.protocol import GatedServer
from credproxy.server.responses import text_response
from credproxy.server.routes import connection
from credproxy.server.tcp_guard import Guard, TokenOf, shows


TOKEN = "canary-port-token"
GOOD = {"Host": "127.0.0.1:{port}", "X-Credproxy-Request": "true", "Authorization": f"Bearer {TOKEN}"}


async def fine(request: web.BaseRequest) -> web.StreamResponse:
    """Answer requests that got through."""
    del request
    return text_response("through")


async def token(*, anew: bool) -> Secret:
    """The one that is configured."""
    del anew
    return Secret(TOKEN)


class Port(GatedServer):
    """Listens on a port, where the kernel does not say who connects."""

    def identify(self, sock: socket.socket) -> Peer:
        """The daemon's own user."""
        del sock
        return Peer(None, os.getuid())


@contextlib.asynccontextmanager
async def listening(source: TokenOf = token) -> AsyncIterator[int]:
    """Listen on a free port; gives it."""
    loop = asyncio.get_running_loop()
    ports: list[int] = []

    async def shown(peer: Peer, authorization: str) -> bool:
        assert peer.uid == os.getuid()
        return await shows(authorization, source)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        guard = Guard(shown)
        try:
            await guard.judge(request, connection(request).peer, port=ports[0])
        except Failed as error:
            return guard.refuse(error.failure)
        return await fine(request)

    server = Port(handle, gate=Gate(os.getuid()), limit=8, lifelines=0)
    door = await loop.create_server(server, "127.0.0.1", 0)
    ports.append(door.sockets[0].getsockname()[1])
    try:
        yield ports[0]
    finally:
        door.close()
        server.pre_shutdown()
        await server.shutdown(1.0)


async def ask(port: int, headers: list[tuple[str, str]], target: str = "/v2/") -> str:
    """Send a request with exactly these headers, single bytes as surrogates; give the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"{name}: {value.format(port=port)}\r\n" for name, value in headers)
    head = f"GET {target.format(port=port)} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
    writer.write(head.encode("utf-8", "surrogateescape"))
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    assert TOKEN not in answer
    return answer


async def test_a_request_with_all_three_is_answered() -> None:
    """T34: The port's own address as Host, by number or by name; the header; the token."""
    async with listening() as port:
        for host in ("127.0.0.1:{port}", "localhost:{port}"):
            assert (await ask(port, [*(GOOD | {"Host": host}).items()])).endswith("through")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"Host": "evil.example:{port}"}, "the Host header", id="rebinding"),
        pytest.param({"Host": "127.0.0.1"}, "the Host header", id="another-port"),
        pytest.param({"X-Credproxy-Request": None}, "X-Credproxy-Request is missing", id="no-header"),
        pytest.param({"Authorization": None}, "the token is missing", id="no-token"),
        pytest.param({"Authorization": "Bearer wrong"}, "the token is missing or wrong", id="wrong-token"),
        pytest.param({"Authorization": f"Basic {TOKEN}"}, "the token is missing", id="another-scheme"),
        pytest.param({"Authorization": f"Bearer{TOKEN}"}, "the token is missing", id="no-space"),
        pytest.param({"Authorization": "Bearer t\udce9ken"}, "the token is missing", id="no-text"),
    ],
)
async def test_what_is_missing_is_reported_and_nothing_else(change: dict[str, str | None], problem: str) -> None:
    """T34: 403, and never the expected token."""
    headers = [(name, value) for name, value in (GOOD | change).items() if value is not None]
    async with listening() as port:
        answer = await ask(port, headers)
    assert answer.startswith("HTTP/1.1 403")
    assert problem in answer


@pytest.mark.parametrize(
    "change",
    [{"Host": "LocalHost:{port}"}, {"Authorization": f"bearer {TOKEN}"}, {"Authorization": f"BEARER   {TOKEN}"}],
    ids=str,
)
async def test_names_of_hosts_and_schemes_are_in_any_case(change: dict[str, str]) -> None:
    """RFC 9110, sections 4.2.3 and 11.1: A client may write them as it likes."""
    async with listening() as port:
        assert (await ask(port, [*(GOOD | change).items()])).endswith("through")


@pytest.mark.parametrize(
    ("target", "through"),
    [
        pytest.param("http://127.0.0.1:{port}/v2/", True, id="own"),
        pytest.param("http://evil.example:{port}/v2/", False, id="another"),
        pytest.param("http://evil.example@127.0.0.1:{port}/v2/", False, id="login"),
        pytest.param("http://evil.example?127.0.0.1:{port}/", False, id="query"),
        pytest.param("/v2/?of=http://evil.example/", True, id="path"),
    ],
)
async def test_a_target_that_names_a_host_names_this_port(target: str, through: bool) -> None:  # noqa: FBT001  parametrized
    """T34: RFC 9112, section 3.2.2: in the absolute form it counts, and Host is ignored."""
    async with listening() as port:
        answer = await ask(port, [*GOOD.items()], target)
    assert ("through" in answer, "the Host header is not" in answer) == (through, not through)


async def test_a_wrong_token_says_what_is_wanted() -> None:
    """The refusal has its hint, whichever process found it out."""
    async with listening() as port:
        assert "with the token of actions.listen_token" in await ask(port, [*(GOOD | {"Authorization": "x"}).items()])


async def test_two_tokens_are_refused() -> None:
    """T34: With two Authorization lines it is unknown which one others would read."""
    async with listening() as port:
        answer = await ask(port, [*GOOD.items(), ("Authorization", "Bearer other")])
    assert answer.startswith("HTTP/1.1 403")


async def test_a_token_that_its_program_has_replaced_is_looked_up_before_a_caller_is_refused() -> None:
    """The caller has the new one, although no file changed; then the old one is invalid."""
    tokens = [Secret("old"), Secret(TOKEN)]

    async def printed(*, anew: bool) -> Secret:
        return tokens[anew]

    async with listening(printed) as port:
        assert (await ask(port, [*GOOD.items()])).startswith("HTTP/1.1 200")
        wrong = GOOD | {"Authorization": "Bearer other"}
        assert (await ask(port, [*wrong.items()])).startswith("HTTP/1.1 403")


async def test_an_unreadable_token_admits_no_caller() -> None:
    """T34: Fail closed, and say why."""

    async def unreadable(*, anew: bool) -> Secret:
        del anew
        raise failed(Code.CREDENTIAL_UNREADABLE, "the file '/x' is not there", hint="write it")

    async with listening(unreadable) as port:
        answer = await ask(port, [*GOOD.items()])
    assert answer.startswith("HTTP/1.1 502")
    with pytest.raises(Failed):
        await unreadable(anew=False)
