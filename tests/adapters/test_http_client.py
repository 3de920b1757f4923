"""The HTTP client against real servers on loopback that misbehave: one request, nothing followed, little trusted."""

import asyncio
import contextlib
import datetime as dt
import gzip
import os
import socket
import ssl
import struct
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import BODY_LIMIT, Dial, Request, Response
from credproxy.core.errors import Code, Failed
from tests.fakes import FixedTerms


OWN = Dial(own=True)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Names(AbstractResolver):
    """Resolves from a table; remembers the names that were looked up."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.table = table
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the addresses, or fail as the system's resolver does."""
        del family
        self.asked.append(host)
        if host not in self.table:
            raise OSError(None, "Name or service not known")
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in self.table[host]
        ]

    async def close(self) -> None:
        """Nothing is open."""


@contextlib.asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve every path with ``handler``; gives the port."""
    app = web.Application(client_max_size=10**7)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def talking(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Serve raw bytes; gives the port."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def send(url: str, *, dial: Dial = OWN, resolver: Names | None = None, **more: object) -> Response:
    """Send one request through a client of its own."""
    async with AiohttpClient(SystemClock(), resolver) as client:
        return await client.send(Request("GET", url, dial=dial, **more), FixedTerms())  # type: ignore[arg-type]  # a test's own


async def refusal(url: str, *, dial: Dial = OWN, resolver: Names | None = None, **more: object) -> Failed:
    """Send one request that must fail."""
    with pytest.raises(Failed) as caught:
        await send(url, dial=dial, resolver=resolver, **more)
    return caught.value


async def test_a_response_is_a_value_with_its_moment_and_peer() -> None:
    """All field lines in order, the body as bytes, t0 before the request."""

    async def handler(request: web.Request) -> web.Response:
        del request
        response = web.Response(text="hi", status=401)
        response.headers.add("WWW-Authenticate", "Basic")
        response.headers.add("WWW-Authenticate", 'Bearer realm="r"')
        return response

    before = SystemClock().boot()
    async with serving(handler) as port:
        response = await send(f"http://127.0.0.1:{port}/")
    assert (response.status, response.body, response.peer) == (401, b"hi", "127.0.0.1")
    assert response.all("www-authenticate") == ("Basic", 'Bearer realm="r"')
    assert before <= response.sent <= SystemClock().boot()


async def test_only_our_headers_are_sent_and_the_url_byte_by_byte() -> None:
    """No cookie, no default Accept; ``%2F`` stays ``%2F``."""
    seen: list[tuple[str, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.raw_path, dict(request.headers)))
        return web.Response()

    async with serving(handler) as port:
        await send(f"http://127.0.0.1:{port}/a%2Fb?x=1:2,3", headers=(("Authorization", Secret("Basic x")),))
    path, headers = seen[0]
    assert path == "/a%2Fb?x=1:2,3"
    assert set(headers) == {"Host", "Authorization", "Accept-Encoding"}


async def test_no_redirect_is_followed() -> None:
    """T-66, T21: it is a response like any other, and the second host sees nothing."""
    hits: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serving(handler) as port:
        response = await send(f"http://127.0.0.1:{port}/token")
    assert response.status == 307
    assert hits == ["/token"]


async def test_a_cookie_is_not_kept() -> None:
    """T-91."""
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        response = web.Response()
        response.set_cookie("session", "x")
        return response

    async with serving(handler) as port, AiohttpClient(SystemClock()) as client:
        for _ in range(2):
            await client.send(Request("GET", f"http://127.0.0.1:{port}/", dial=OWN), FixedTerms())
    assert seen == [None, None]


async def test_neither_netrc_nor_the_environments_proxy_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-90, T33: aiohttp would add netrc's Basic to any matching host."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    async with serving(handler) as port:
        await send(f"http://127.0.0.1:{port}/")
    assert seen == [None]


async def test_the_first_requests_may_come_at_once() -> None:
    """Otherwise each would open a session of its own, and close the other's as outdated."""
    async with serving(hello) as port, AiohttpClient(SystemClock()) as client:
        requests = [client.send(Request("GET", f"http://127.0.0.1:{port}/", dial=OWN), FixedTerms()) for _ in range(20)]
        assert [response.body for response in await asyncio.gather(*requests)] == [b"hello"] * 20
        assert len(client._sessions) == 1


async def test_sessions_have_a_bound_and_a_session_that_is_given_up_ends_after_its_request() -> None:
    """Repeated reloads with other settings do not fill memory, and do not break off requests."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/slow":
            asked.set()
            await answered.wait()
        return web.Response(body=b"hello")

    async with (
        serving(handler) as port,
        AiohttpClient(SystemClock(), sessions=1) as client,
        asyncio.TaskGroup() as group,
    ):
        url, other = f"http://127.0.0.1:{port}", Dial(own=True, tls_verify=False)
        slow = group.create_task(client.send(Request("GET", f"{url}/slow", dial=OWN), FixedTerms()))
        await asked.wait()
        await client.send(Request("GET", f"{url}/", dial=other), FixedTerms())
        assert len(client._sessions) == 1
        answered.set()
        assert (await slow).body == b"hello"


async def test_a_body_over_the_limit_is_an_error() -> None:
    """T-48, U11: 200 KiB; reading stops at 128."""

    async def handler(request: web.Request) -> web.Response:
        del request
        return web.Response(body=b"x" * 200 * 1024)

    async with serving(handler) as port:
        error = await refusal(f"http://127.0.0.1:{port}/")
    assert error.failure.code is Code.ANSWER_TOO_LARGE
    assert str(BODY_LIMIT) in error.failure.message


async def test_the_connection_of_an_oversized_answer_is_closed() -> None:
    """U11: the rest of the answer is not read, and not taken for the next answer."""
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x" * 65_536)
                await writer.drain()
        closed.set()

    async with talking(script) as port, AiohttpClient(SystemClock()) as client:
        with pytest.raises(Failed):
            await client.send(Request("GET", f"http://127.0.0.1:{port}/", dial=OWN), FixedTerms())
        await closed.wait()


async def test_a_compressed_bomb_stops_at_the_limit() -> None:
    """T24: 50 MB in 50 KB."""
    bomb = gzip.compress(b"\0" * 50_000_000)

    async def handler(request: web.Request) -> web.Response:
        del request
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with serving(handler) as port:
        assert (await refusal(f"http://127.0.0.1:{port}/")).failure.code is Code.ANSWER_TOO_LARGE


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"token":"x"}', id="short length"),
        pytest.param(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{"token":"x"}\r\n', id="cut chunk"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="no http"),
    ],
)
async def test_a_broken_answer_is_an_error(answer: bytes) -> None:
    """U9: even if the part that arrived is valid JSON."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(answer)
        await writer.drain()

    async with talking(script) as port:
        assert (await refusal(f"http://127.0.0.1:{port}/")).failure.code is Code.UPSTREAM_UNAVAILABLE


async def test_a_head_beyond_its_bounds_is_not_asked_for_again() -> None:
    """T24: a limit of ours, and not an outage of theirs."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n")
        await writer.drain()

    async with talking(script) as port:
        assert (await refusal(f"http://127.0.0.1:{port}/")).failure.code is Code.ANSWER_TOO_LARGE


async def test_a_refused_connection_says_so() -> None:
    """U6."""
    error = await refusal("http://127.0.0.1:1/", subject="token server 'auth.test'")
    assert error.failure.message == "token server 'auth.test' cannot be reached: connection refused"


async def test_a_connection_that_is_reset_says_so() -> None:
    """U6: the server takes the request and resets the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with talking(script) as port:
        error = await refusal(f"http://127.0.0.1:{port}/", subject="token server 'auth.test'")
    assert (error.failure.code, error.failure.message) == (
        Code.UPSTREAM_UNAVAILABLE,
        "token server 'auth.test' closed the connection without an answer",
    )


async def test_a_hanging_name_server_does_not_block_other_requests() -> None:
    """U5: the loop is not blocked, and a request to another host is answered meanwhile."""

    class Hanging(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            if host == "slow.test":
                await asyncio.Event().wait()
            return await super().resolve(host, port, family)

    async with serving(hello) as port, AiohttpClient(SystemClock(), Hanging({"reg.test": ["127.0.0.1"]})) as client:
        slow = asyncio.ensure_future(client.send(Request("GET", "http://slow.test/", dial=OWN), FixedTerms()))
        response = await client.send(Request("GET", f"http://reg.test:{port}/", dial=OWN), FixedTerms())
        assert (response.body, slow.done()) == (b"hello", False)
        slow.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await slow


async def test_the_systems_resolver_runs_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """U5, PY20: a slow look-up blocks only a thread. The test replaces the C library's function: below it is the network."""
    seen: list[bool] = []

    def slowly(*args: object, **kwargs: object) -> list[object]:
        del args, kwargs
        seen.append(threading.current_thread() is threading.main_thread())
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    error = await refusal("http://reg.test/")
    assert (seen, error.failure.code) == ([False], Code.UPSTREAM_UNAVAILABLE)
    assert error.failure.message == "host 'reg.test' has no address: the name was not found"


async def test_a_name_that_is_not_found_says_so() -> None:
    """U5."""
    error = await refusal("http://reg.test/", resolver=Names({}))
    assert error.failure.message == "host 'reg.test' has no address: the name was not found"


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.6"])
async def test_a_name_that_leads_to_a_forbidden_address(address: str) -> None:
    """T-67, T-68: no TCP connection; the error has the line that would allow it."""
    error = await refusal("https://auth.test/t", dial=Dial(), resolver=Names({"auth.test": [address]}))
    assert error.failure.code is Code.ADDRESS_REFUSED
    if address.startswith("169."):
        assert "no setting allows that address" in error.failure.hint
    else:
        assert f'allow_private = ["{address}/32"]' in error.failure.hint


async def test_a_literal_does_not_go_around_the_guard() -> None:
    """T-67: PY16: a resolver is not asked for literals."""
    async with serving(hello) as port:
        error = await refusal(f"http://127.0.0.1:{port}/", dial=Dial())
    assert error.failure.code is Code.ADDRESS_REFUSED


async def test_a_listed_network_and_the_registrys_own_address() -> None:
    """T-68: the first works, a neighbour does not."""

    async def handler(request: web.Request) -> web.Response:
        del request
        return web.Response()

    async with serving(handler) as port:
        names = Names({"reg.test": ["127.0.0.1"]})
        listed = Dial(networks=("127.0.0.0/30",))
        assert (await send(f"http://reg.test:{port}/", dial=listed, resolver=names)).status == 200
        known = Dial(addresses=("127.0.0.1",))
        assert (await send(f"http://reg.test:{port}/", dial=known, resolver=names)).status == 200
        other = Dial(addresses=("127.0.0.9",))
        assert (
            await refusal(f"http://reg.test:{port}/", dial=other, resolver=names)
        ).failure.code is Code.ADDRESS_REFUSED


@pytest.fixture
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """Give a server's TLS for a name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def hello(request: web.Request) -> web.Response:
    """Answer hello."""
    del request
    return web.Response(text="hello")


async def test_a_private_authority_is_trusted_where_it_is_named(authority: trustme.CA, tmp_path: Path) -> None:
    """T32: and nowhere else; a wrong name is refused as well."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    names = Names({"reg.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
    async with serving(hello, server_context(authority, "reg.test")) as port:
        trusting = Dial(own=True, ca_bundle=str(bundle))
        assert (await send(f"https://reg.test:{port}/", dial=trusting, resolver=names)).body == b"hello"
        unknown = await refusal(f"https://reg.test:{port}/", resolver=names)
        wrong = await refusal(f"https://other.test:{port}/", dial=trusting, resolver=names)
        careless = Dial(own=True, tls_verify=False)
        assert (await send(f"https://other.test:{port}/", dial=careless, resolver=names)).body == b"hello"
    assert unknown.failure.code is wrong.failure.code is Code.TLS_FAILED
    assert "unable to get local issuer certificate" in unknown.failure.message
    assert "other.test" in wrong.failure.message


async def test_a_certificate_that_has_expired_is_named_as_that(authority: trustme.CA, tmp_path: Path) -> None:
    """U7: the message says what to fix; nothing is sent, over TLS or without."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("reg.test", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).configure_cert(context)
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response()

    async with serving(handler, context) as port:
        error = await refusal(
            f"https://reg.test:{port}/",
            dial=Dial(own=True, ca_bundle=str(bundle)),
            resolver=Names({"reg.test": ["127.0.0.1"]}),
        )
    assert (error.failure.code, seen) == (Code.TLS_FAILED, [])
    assert error.failure.message == "the TLS connection to host 'reg.test' failed: certificate has expired"
    assert error.failure.hint.startswith("is this machine's clock right?")


async def test_plain_http_behind_https_is_a_tls_error_and_no_downgrade() -> None:
    """U7."""
    async with serving(hello) as port:
        assert (await refusal(f"https://127.0.0.1:{port}/")).failure.code is Code.TLS_FAILED


async def test_the_error_for_an_invalid_ca_bundle_names_its_path(tmp_path: Path) -> None:
    """Bad input: what was wrong, and the command to look at it."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("nonsense")
    error = await refusal("https://127.0.0.1:1/", dial=Dial(own=True, ca_bundle=str(bundle)))
    assert error.failure.code is Code.TLS_FAILED
    assert str(bundle) in error.failure.hint


async def test_a_fifo_in_the_place_of_a_ca_bundle_holds_no_thread(tmp_path: Path) -> None:
    """OpenSSL would wait for a writer, and so would every later exchange."""
    os.mkfifo(tmp_path / "ca.pem")
    error = await refusal("https://127.0.0.1:1/", dial=Dial(own=True, ca_bundle=str(tmp_path / "ca.pem")))
    assert error.failure.code is Code.TLS_FAILED


@pytest.mark.parametrize("padded", [False, True], ids=["of another length", "of the same length and time"])
async def test_a_changed_ca_bundle_is_read_again(authority: trustme.CA, tmp_path: Path, *, padded: bool) -> None:
    """PY21: one context, replaced when its file changes.

    Also where ``cp -p``, or a clock with whole seconds, leaves the time as it was: the same length would be the same file.
    """
    bundle = tmp_path / "ca.pem"
    old, new = trustme.CA().cert_pem.bytes(), authority.cert_pem.bytes()
    length = max(len(old), len(new)) if padded else 0
    bundle.write_bytes(old.ljust(length))
    if padded:
        os.utime(bundle, (1, 1))
    dial = Dial(own=True, ca_bundle=str(bundle))
    names = Names({"reg.test": ["127.0.0.1"]})
    async with (
        serving(hello, server_context(authority, "reg.test")) as port,
        AiohttpClient(SystemClock(), names) as client,
    ):
        request = Request("GET", f"https://reg.test:{port}/", dial=dial)
        with pytest.raises(Failed):
            await client.send(request, FixedTerms())
        bundle.write_bytes(new.ljust(length))
        os.utime(bundle, (1, 1))
        assert (await client.send(request, FixedTerms())).body == b"hello"


async def test_no_error_shows_a_header_a_body_or_a_query() -> None:
    """PY17: and neither does its traceback."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncanary-body")

    async with talking(script) as port:
        error = await refusal(
            f"http://127.0.0.1:{port}/t?refresh_token=canary-query",
            headers=(("Authorization", Secret("Basic canary-header")),),
            body=Secret("canary-form"),
        )
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.failure)
    assert "canary" not in shown


def test_a_client_that_is_not_closed_warns() -> None:
    """An unclosed client holds sockets; warnings fail tests."""

    async def forget() -> None:
        client = AiohttpClient(SystemClock())
        with contextlib.suppress(Failed):
            await client.send(Request("GET", "http://127.0.0.1:1/", dial=OWN), FixedTerms())
        for session in client._sessions.values():
            await session.close()
        with pytest.warns(ResourceWarning, match="not closed"):
            client.__del__()
        client._sessions.clear()

    asyncio.run(forget())
