"""What libraries may reach, and how: behind the dial guard, with our trust, following nothing."""

import contextlib
import errno
import socket
import time

import pytest

from credproxy.core.errors import Code, Failed, Failure
from credproxy.worker.egress import Egress, Network, check_plain
from tests.adapters.scripted import Scripted, Wire, answering, raw
from tests.adapters.test_pump import Trusted
from tests.hints import filled


def refused(egress: Egress, url: str) -> Failure:
    """Why a request has no answer."""
    with pytest.raises(Failed) as caught:
        egress.send("GET", url, headers={"X-Secret": "canary"})
    assert "canary" not in repr(caught.value.failure)
    return caught.value.failure


def leading_to(address: str) -> Network:
    """A network in which each name leads to that address, and nothing can be reached."""

    def refuse(sock: socket.socket, where: tuple[object, ...]) -> None:
        del sock
        raise ConnectionRefusedError(errno.ECONNREFUSED, str(where))

    return Network(lambda _, port: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))], refuse)


def test_a_request_is_answered_whatever_its_status() -> None:
    """Names of headers come in lower case, since google-auth looks for them so."""
    with Scripted(answering(b"{}", "Metadata-Flavor: Google", status="404 Not Found")) as server:
        found = Egress(5).send("POST", f"{server.url}/a?b=c", headers={"X-A": "1"}, body=b"body")
    assert (found.status, found.body, found.headers["metadata-flavor"]) == (404, b"{}", "Google")
    assert server.heads[0].startswith("POST /a?b=c HTTP/1.1\r\n")
    assert "X-A: 1" in server.heads[0]
    assert "canary" not in repr(found)


def test_a_redirect_is_not_followed() -> None:
    """A secret would go along."""
    with Scripted(answering(b"", "Location: http://127.0.0.1:1/", status="307 Temporary Redirect")) as server:
        assert Egress(5).send("GET", server.url, headers={}).status == 307
    assert server.connections == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://[::ffff:169.254.169.254]/x",
        "http://[64:ff9b::a9fe:a9fe]/x",
        "https://[fe80::1]/x",
        "http://0.0.0.0:1/x",
        "https://224.0.0.1/x",
    ],
)
def test_only_the_cloud_is_asked_for_the_machines_identity(url: str) -> None:
    """An address that leads there in another form, or that comes from a file of credentials."""
    failure = refused(Egress(5), url)
    assert (failure.code, "is not to be contacted" in failure.message) == (Code.ADDRESS_REFUSED, True)
    assert filled(failure.hint, "correct where {} is named, or its DNS entry")


@pytest.mark.parametrize("host", ["8.8.8.8", "10.0.0.1", "[fd00::1]", "[64:ff9b::808:808]", "[2002:808:808::]"])
def test_a_secret_does_not_leave_the_machine_in_plain_http(host: str) -> None:
    """Neither for the internet nor for a private network, in whatever form the address is written."""
    failure = refused(Egress(5), f"http://{host}/token")
    assert failure.code is Code.DOWNGRADE
    assert failure.message == f"host '{host.strip('[]')}': others could read what is asked there in plain http"
    assert filled(failure.hint, "write https:// {}") == ("where its URL is configured",)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ENDPOINT_URL", "http://10.0.0.1:4566"),
        ("AWS_ENDPOINT_URL_STS", "http://10.0.0.1"),
        ("IDENTITY_ENDPOINT", "http://10.0.0.1/msi/token"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://10.0.0.1"),
    ],
)
def test_the_variable_that_names_the_host_is_told(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """Its user may have forgotten it; a value may hold a login, and is not shown."""
    monkeypatch.setenv(variable, value.replace("//", "//u:canary@"))
    failure = refused(Egress(5), value)
    assert failure.message.startswith(f"host '10.0.0.1' of {variable}: others could read")
    assert filled(failure.hint, "write https:// {}") == (f"into {variable}",)


@pytest.mark.parametrize("host", ["metadata.google.internal", "10.0.0.1"])
def test_a_metadata_server_is_on_the_machines_own_link(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """One of another network could be anybody's: its name is looked up in plain as well."""
    monkeypatch.setenv("GCE_METADATA_HOST", f"{host}:80")
    failure = refused(Egress(5, network=leading_to("10.0.0.1")), f"http://{host}/computeMetadata/v1/")
    assert failure.code is Code.DOWNGRADE
    assert failure.message.startswith(f"metadata server '{host}' of GCE_METADATA_HOST")
    assert filled(failure.hint, "a metadata server is at 169.254.169.254, or on this machine: correct {}") == (
        "GCE_METADATA_HOST",
    )


def test_the_metadata_server_of_app_service_is_at_another_address_of_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variable names one such as 169.254.131.2, which is dialled; a name that leads there is not."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://169.254.131.2:8081/msi/token")
    network = leading_to("169.254.131.2")
    failure = refused(Egress(5, network=network), "http://169.254.131.2:8081/msi/token")
    said = "metadata server '169.254.131.2' of IDENTITY_ENDPOINT cannot be reached: connection refused"
    assert (failure.code, failure.message) == (Code.UPSTREAM_UNAVAILABLE, said)
    for name in ("msi.test", "169.254.131.2.test"):
        assert refused(Egress(5, network=network), f"http://{name}/").code is Code.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254", "http://[fd00:ec2::254]/", "http://127.0.0.1:1338", "https://x.test"]
)
def test_a_library_may_ask_the_link_by_itself(url: str) -> None:
    """As botocore asks an instance for its role."""
    check_plain(url)


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8", "http://imds.test:1338", "http://[64:ff9b::7f00:1]/", "nonsense", "ftp://x"]
)
def test_a_library_asks_nobody_else_in_plain_http(url: str) -> None:
    """A name could lead anywhere, and nothing guards where the library dials."""
    with pytest.raises(Failed) as caught:
        check_plain(url)
    assert caught.value.failure.code is Code.DOWNGRADE


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        (answering(b"x" * 200_000), Code.ANSWER_TOO_LARGE, "answered with more than 131072 bytes"),
        (raw("not http\r\n\r\n"), Code.UPSTREAM_UNAVAILABLE, "gave an answer that is not HTTP"),
        (raw(), Code.UPSTREAM_UNAVAILABLE, ""),
        (Wire.stall, Code.UPSTREAM_UNAVAILABLE, "did not answer in time"),
    ],
    ids=["flood", "not-http", "nothing", "silence"],
)
def test_what_an_odd_server_does_is_reported(script: object, code: Code, said: str) -> None:
    """Within the time of the call."""
    assert callable(script)
    with Scripted(script) as server:
        failure = refused(Egress(0.2), server.url)
    assert failure.code is code
    assert failure.message.startswith("host '127.0.0.1' ")
    assert said in failure.message


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://",
        "http://127.0.0.1:x/",
        "nowhere",
        "https://[::1",
        "https:///x?key=canary",
        "https://u:canary@[::1?key=canary",
        "http://127.0.0.1:99999/",
    ],
)
def test_other_urls_are_not_asked(url: str) -> None:
    """Even if a file of credentials names them; what is secret in them is not shown."""
    failure = refused(Egress(5), url)
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.message.endswith("is not asked: its URL is not one of http or https")


@pytest.mark.parametrize("value", ["canary\nX-Other: 1", "canary\r", "canary\ud800", "canary€"])
def test_a_secret_that_no_header_can_carry_is_told(value: str) -> None:
    """It comes from a file, and is not an answer of the server's."""
    with Scripted(answering(b"{}"), answering(b"{}")) as server:
        with pytest.raises(Failed) as caught:
            Egress(5).send("GET", server.url, headers={"Authorization": value})
        failure = caught.value.failure
        assert failure.code is Code.CREDENTIAL_UNREADABLE
        assert "canary" not in repr(failure)
        assert (
            filled(failure.hint, "store the login again where its library finds it, without what does not belong to it")
            == ()
        )
        assert Egress(5).send("GET", server.url, headers={"Authorization": "canary"}).status == 200


def test_a_closed_port_is_reported() -> None:
    """In the system's words."""
    assert refused(Egress(5), "http://127.0.0.1:1/").message == "host '127.0.0.1' cannot be reached: connection refused"


def test_a_certificate_is_verified_and_a_private_ca_trusted_if_named(trusted: Trusted) -> None:
    """As everywhere."""
    with Scripted(answering(b"body"), context=trusted.context) as server:
        failure = refused(Egress(5), server.url)
        assert failure.code is Code.TLS_FAILED
        assert (
            filled(
                failure.hint,
                'if its certificate comes from a private CA, name that in the rule: ca_bundle = "/PATH/ca.pem"',
            )
            == ()
        )
        assert Egress(5, ca_bundle=trusted.dial.ca_bundle).send("GET", server.url, headers={}).body == b"body"


def test_a_proxy_tunnels_and_sees_its_own_login_alone(trusted: Trusted) -> None:
    """The request goes on in TLS, to the host that was named; for plain http it is left out."""

    def tunnel(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 Connection established\r\n\r\n")
        wire.encrypt(trusted.context)
        answering(b"body")(wire)

    with Scripted(tunnel) as proxy, Scripted(answering(b"straight")) as plain:
        egress = Egress(5, proxy=f"http://u:p@127.0.0.1:{proxy.port}", ca_bundle=trusted.dial.ca_bundle)
        assert egress.send("GET", "https://127.0.0.1:444/x", headers={"X-Secret": "canary"}).body == b"body"
        assert egress.send("GET", plain.url, headers={}).body == b"straight"
    connect, inner = proxy.heads
    assert connect.startswith("CONNECT 127.0.0.1:444 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dTpw" in connect
    assert "canary" not in connect
    assert "Proxy-Authorization" not in inner


def test_a_proxy_that_refuses_is_reported() -> None:
    """And its login is not."""
    with Scripted(answering(status="407 Proxy Authentication Required")) as proxy:
        failure = refused(Egress(5, proxy=f"http://u:canary@127.0.0.1:{proxy.port}"), "https://127.0.0.1:444/x")
    assert failure.message == f"proxy '127.0.0.1:{proxy.port}' did not connect to '127.0.0.1:444': status 407"


def dripping(wire: Wire, first: str, again: bytes) -> None:
    """Send the beginning of an answer, and then a little of it now and then."""
    wire.head()
    wire.send(first)
    with contextlib.suppress(OSError):
        for _ in range(100):
            wire.send(again)
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        ("HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        ("", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("", b"H"),
    ],
    ids=["body", "chunks", "header", "interim", "status"],
)
def test_an_answer_that_trickles_has_no_more_time_than_any_other(first: str, again: bytes) -> None:
    """Each byte of it comes in time, and it would hold one of eight threads for as long as it likes."""
    with Scripted(lambda wire: dripping(wire, first, again)) as server:
        failure = refused(Egress(0.3), server.url)
    assert (failure.code, failure.message) == (Code.UPSTREAM_UNAVAILABLE, "host '127.0.0.1' did not answer in time")


def test_a_proxy_that_trickles_has_no_more_time_either(trusted: Trusted) -> None:
    """Nor does one that answers with interim responses."""
    with Scripted(lambda wire: dripping(wire, "", b"HTTP/1.1 100 Continue\r\n\r\n")) as proxy:
        egress = Egress(0.3, proxy=proxy.url, ca_bundle=trusted.dial.ca_bundle)
        assert refused(egress, "https://127.0.0.1:444/x").message == "host '127.0.0.1' did not answer in time"


def test_several_requests_have_one_time_together() -> None:
    """As each of a conversation could take the whole of it."""
    with Scripted(answering(b"x"), answering(b"x")) as server:
        egress = Egress(0.2)
        assert egress.send("GET", server.url, headers={}).status == 200
        time.sleep(0.25)
        assert refused(egress, server.url).message == "host '127.0.0.1' did not answer in time"
