"""Through an HTTP proxy: every client in the same way, with the proxy's own login, and with its refusals attributed to it."""

import base64
import socket
import traceback

import pytest

from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, Failed
from tests.adapters.clients import CLIENTS, Got, Send, request
from tests.adapters.scripted import Scripted, Wire, answering, raw
from tests.adapters.test_pump import Trusted


CANARY = "canary-4711"
every_client = pytest.mark.parametrize("send", CLIENTS.values(), ids=CLIENTS)
TARGET = {"tunnelled": "https://127.0.0.1:444/v2/", "plain": "http://reg.test:81/v2/"}
both_ways = pytest.mark.parametrize("target", TARGET.values(), ids=TARGET)


def fields(head: str, name: str) -> list[str]:
    """The values of a header in a request's head."""
    found = (line.partition(": ") for line in head.split("\r\n")[1:])
    return [value for key, _, value in found if key.lower() == name.lower()]


def login_of(head: str) -> str:
    """The login that a request's head holds for a proxy."""
    (value,) = fields(head, "Proxy-Authorization")
    return base64.b64decode(value.removeprefix("Basic ")).decode()


def at(proxy: Scripted, login: str) -> str:
    """The setting for a proxy with that login, which is percent-encoded already."""
    return proxy.url.replace("http://", f"http://{login}@")


async def refusal(send: Send, url: str, setting: str) -> Failed:
    """Send what a proxy does not let through; neither the error nor its traceback shows the login."""
    with pytest.raises(Failed) as caught:
        await send(request(url, Dial(proxy=setting)))
    assert CANARY not in "".join(traceback.format_exception(caught.value, chain=True)) + repr(caught.value.failure)
    return caught.value


@every_client
@pytest.mark.parametrize(
    ("written", "sent"),
    [
        pytest.param("user:pass", "user:pass", id="plain"),
        pytest.param("corp%5Cuser:p%40ss%3A%2F", "corp\\user:p@ss:/", id="percent-encoded"),
        pytest.param("m%C3%BCller:%E2%82%AC", "müller:€", id="not ascii"),
        pytest.param("user:", "user:", id="an empty password"),
        pytest.param("user", "user:", id="no password"),
    ],
)
async def test_the_login_of_a_proxy_goes_to_the_proxy_alone(
    send: Send, trusted: Trusted, written: str, sent: str
) -> None:
    """RFC 7617 in ``CONNECT``; the request that the registry sees does not contain it."""

    def tunnel(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 Connection established\r\n\r\n")
        wire.encrypt(trusted.context)
        answering(b"body")(wire)

    with Scripted(tunnel) as proxy:
        dial = Dial(ca_bundle=trusted.dial.ca_bundle, proxy=at(proxy, written))
        assert await send(request(TARGET["tunnelled"], dial)) == Got(200, b"body")
    connect, inner = proxy.heads
    assert connect.startswith("CONNECT 127.0.0.1:444 HTTP/1.1\r\n")
    assert fields(connect, "Host") == ["127.0.0.1:444"]
    assert login_of(connect) == sent
    assert fields(inner, "Proxy-Authorization") == []


@every_client
async def test_a_plain_request_has_the_login_in_itself(send: Send) -> None:
    """In absolute form, where the proxy reads it."""
    with Scripted(answering(b"body")) as proxy:
        got = await send(request(TARGET["plain"], Dial(proxy=at(proxy, "user:pass"))))
    assert got == Got(200, b"body")
    assert proxy.heads[0].split(" ")[1] == TARGET["plain"]
    assert fields(proxy.heads[0], "Host") == ["reg.test:81"]
    assert login_of(proxy.heads[0]) == "user:pass"


@every_client
@both_ways
@pytest.mark.parametrize("login", ["", f"user:{CANARY}"], ids=["no login", "another login"])
@pytest.mark.parametrize("status", [407, 401])
async def test_a_proxy_that_wants_another_login(send: Send, target: str, login: str, status: int) -> None:
    """Final, because waiting does not help; the message names the proxy and its status, and the hint where the login goes.

    It is not ``bad_credentials``: the registry's login is as good as before, and must not be dropped.
    """
    answer = raw(f"HTTP/1.1 {status} No\r\nServer: tinyproxy/1.11.1\r\nContent-Length: 0\r\n\r\n")
    with Scripted(answer) as proxy:
        failure = (await refusal(send, target, at(proxy, login) if login else proxy.url)).failure
        place = f"127.0.0.1:{proxy.port}"
    assert failure.code is Code.DENIED
    said = "refuses the login of its URL" if login else "wants a login"
    assert failure.message == f"proxy {place!r} {said} (status {status}){'' if login else ', and none is configured'}"
    assert 'proxy = "http://USER:PASSWORD@' in failure.hint


SAYING_SO = "Server: tinyproxy/1.11.1\r\n"


@every_client
@both_ways
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, Code.DENIED, "refuses to connect to registry 'reg.test' (status 403)"),
        (400, Code.DENIED, "refuses to connect to registry 'reg.test' (status 400)"),
        (502, Code.UPSTREAM_UNAVAILABLE, "could not connect to registry 'reg.test' (status 502)"),
        (503, Code.UPSTREAM_UNAVAILABLE, "could not connect to registry 'reg.test' (status 503)"),
        (429, Code.UPSTREAM_UNAVAILABLE, "could not connect to registry 'reg.test' (status 429)"),
    ],
)
async def test_what_a_proxy_refuses_is_attributed_to_the_proxy(
    send: Send, target: str, status: int, code: Code, said: str
) -> None:
    """The registry has not answered at all, so its login and rights are not the problem."""
    with Scripted(raw(f"HTTP/1.1 {status} {CANARY}\r\n{SAYING_SO}Content-Length: 0\r\n\r\n")) as proxy:
        failure = (await refusal(send, target, at(proxy, f"user:{CANARY}"))).failure
        place = f"127.0.0.1:{proxy.port}"
    assert (failure.code, failure.message) == (code, f"proxy {place!r} {said}")


@every_client
async def test_a_refusal_of_the_registry_stays_the_registrys(send: Send) -> None:
    """Behind a proxy that passes plain http on, the registry's own 403 is an answer like any other."""
    with Scripted(raw("HTTP/1.1 403 No\r\nServer: nginx\r\nVia: 1.1 squid\r\nContent-Length: 0\r\n\r\n")) as proxy:
        assert (await send(request(TARGET["plain"], Dial(proxy=proxy.url)))).status == 403


@every_client
@both_ways
async def test_a_proxy_that_is_down_is_attributed_to_the_proxy(send: Send, target: str) -> None:
    """It may be back in a moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failure = (await refusal(send, target, f"http://user:{CANARY}@127.0.0.1:{port}")).failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.message == f"proxy '127.0.0.1:{port}' cannot be reached: connection refused"


@every_client
@both_ways
async def test_a_proxy_without_an_address_is_attributed_to_the_proxy(send: Send, target: str) -> None:
    """Its name is the only one that is looked up here."""
    failure = (await refusal(send, target, "http://proxy.invalid:3128")).failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.message == "proxy 'proxy.invalid:3128' has no address: the name was not found"


@every_client
@pytest.mark.parametrize("answer", ["", f"{CANARY}\r\n\r\n", "HTTP/1.1 101 x\r\n\r\n"], ids=["none", "no http", "101"])
async def test_a_proxy_that_gives_no_answer_is_attributed_to_the_proxy(send: Send, answer: str) -> None:
    """Everything that fails before the tunnel is open is the proxy's."""
    with Scripted(raw(answer)) as proxy:
        failure = (await refusal(send, TARGET["tunnelled"], proxy.url)).failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.message.startswith(f"proxy '127.0.0.1:{proxy.port}' ")


@every_client
async def test_a_certificate_behind_a_proxy_is_attributed_to_the_registry(send: Send, trusted: Trusted) -> None:
    """The tunnel was open; TLS is between us and the registry, and the message says which proxy was used."""

    def tunnel(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 Connection established\r\n\r\n")
        wire.encrypt(trusted.context)

    with Scripted(tunnel) as proxy:
        failure = (await refusal(send, TARGET["tunnelled"], proxy.url)).failure
    assert failure.code is Code.TLS_FAILED
    assert failure.message.startswith(
        f"the TLS connection to registry 'reg.test', asked through proxy '127.0.0.1:{proxy.port}', failed: "
    )


@every_client
async def test_a_proxy_at_an_address_that_is_never_contacted(send: Send) -> None:
    """The operator names the proxy, but a metadata service is never used as a proxy (SEC-4)."""
    failure = (await refusal(send, TARGET["plain"], "http://169.254.169.254:80")).failure
    assert failure.code is Code.ADDRESS_REFUSED
    assert failure.message.startswith("proxy '169.254.169.254:80' leads to the address 169.254.169.254")


def test_a_policy_does_not_show_its_proxys_login() -> None:
    """A request is shown with its policy, in a debugger or in a failed assertion."""
    assert CANARY not in repr(request("https://reg.test/", Dial(proxy=f"http://user:{CANARY}@proxy.test")))
