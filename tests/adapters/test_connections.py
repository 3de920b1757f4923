"""Connections of the blob pump: what they may be reused for, how many are kept, and which addresses are tried."""

import asyncio
import errno
import itertools
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from credproxy.adapters.awaited_socket import AwaitedSocket
from credproxy.adapters.connections import Connections, RefusedError
from credproxy.adapters.download import Link
from credproxy.adapters.pump_request import ask as ask_on
from credproxy.adapters.tls_socket import AnySocket
from credproxy.core.ask.http import Dial, Request
from credproxy.core.errors import Code, Failed
from tests.adapters.scripted import Scripted, Wire, answering
from tests.adapters.test_pump import Trusted


OWN = Dial(own=True)


def _hold(_: AnySocket) -> None:
    """Nothing breaks off here."""


@pytest.fixture
def connections() -> Iterator[Connections]:
    """Connections that are closed at the end."""
    made = Connections()
    yield made
    made.close()


def ask(connections: Connections, url: str, dial: Dial = OWN) -> Link:
    """Send a request, and read the answer to its end."""
    request = Request("GET", url, dial=dial)
    key = asyncio.run(connections.key(request))
    connection = connections.take(key) or AwaitedSocket(connections.connect(request, _hold))

    async def asked() -> Link:
        answered = await ask_on(connection, request)
        return Link(key, connection.release(), answered)

    link = asyncio.run(asked())
    assert link.answered.early == b"body"
    return link


def give_back(connections: Connections, link: Link) -> None:
    """Return the connection for reuse."""
    connections.give_back(link.key, AwaitedSocket(link.sock), good=True)


def test_a_connection_is_reused_only_under_the_policy_it_was_dialled_with(connections: Connections) -> None:
    """SEC-13: the same origin under another egress policy is another connection."""
    with Scripted(answering(b"body")) as server:
        for dial in (OWN, replace(OWN, networks=("10.0.0.0/8",)), OWN):
            give_back(connections, ask(connections, server.url, dial))
        assert server.connections == 2


def test_a_changed_bundle_ends_the_connections_it_vouched_for(connections: Connections, tmp_path: Path) -> None:
    """T32: an authority that was removed is not trusted for any further request."""
    first = Trusted(tmp_path / "ca.pem")
    with Scripted(answering(b"body"), context=first.context) as server:
        give_back(connections, ask(connections, server.url, first.dial))
        give_back(connections, ask(connections, server.url, first.dial))
        assert server.connections == 1
        Trusted(tmp_path / "ca.pem")
        os.utime(tmp_path / "ca.pem", ns=(1, 1))
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(connections, server.url, first.dial)


def test_a_limited_number_is_kept_per_origin(connections: Connections) -> None:
    """Sixteen, as many as Bazel downloads at once; each is a descriptor (PY10)."""
    with Scripted(answering(b"body")) as server:
        links = [ask(connections, server.url) for _ in range(20)]
        for link in links:
            give_back(connections, link)
        assert [link.sock.fileno() == -1 for link in links] == [True] * 4 + [False] * 16


def test_the_least_recently_used_origin_loses_its_connections() -> None:
    """PY10: sixty-four in all, however many hosts the redirects of a build lead to."""
    origins = [f"http://{name}.test" for name in "abcde"]
    with Scripted(answering(b"body")) as server:
        connections = addresses(("127.0.0.1", server.port))
        links = {origin: [ask(connections, origin) for _ in range(16)] for origin in origins}
        for link in itertools.chain.from_iterable(links.values()):
            give_back(connections, link)
        kept = [sum(link.sock.fileno() != -1 for link in links[origin]) for origin in origins]
        connections.close()
    assert kept == [0, 16, 16, 16, 16]


def addresses(*places: tuple[str, int]) -> Connections:
    """Connections whose every name has these addresses."""
    return Connections(lambda _host, _port: [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places])


def test_the_next_address_is_tried() -> None:
    """A host of which one machine is down."""
    with Scripted(answering(b"body")) as server:
        connections = addresses(("127.0.0.1", 1), ("127.0.0.1", server.port))
        give_back(connections, ask(connections, "http://reg.test/"))
        connections.close()


def test_tls_may_take_longer_than_connecting(tmp_path: Path) -> None:
    """If 64 downloads begin at once, this machine is the slow side, and the other one has answered."""

    def slowly(wire: Wire) -> None:
        time.sleep(0.3)
        wire.encrypt(trusted.context)
        answering(b"body")(wire)

    trusted, connections = Trusted(tmp_path / "ca.pem"), Connections(connect=0.1)
    with Scripted(slowly) as server:
        give_back(connections, ask(connections, server.url.replace("http", "https"), trusted.dial))
        connections.close()


def test_a_host_of_a_hundred_addresses_is_given_up() -> None:
    """Each may take its 2.5 s, and the owner of the name decides how many there are."""
    with Scripted(answering(b"body")) as server:
        connections = addresses(*[("127.0.0.1", 1)] * 99, ("127.0.0.1", server.port))
        with pytest.raises(ConnectionRefusedError):
            ask(connections, "http://reg.test/")
        assert server.connections == 0


def test_a_refused_address_is_named_if_no_other_answers() -> None:
    """T15: The user can do something about the address that was not tried."""
    with Scripted(answering(b"body")) as server:
        connections = addresses(("10.0.0.1", 1), ("127.0.0.1", server.port))
        with pytest.raises(RefusedError) as caught:
            ask(connections, "http://reg.test/", Dial())
        assert (caught.value.errno, caught.value.addresses) == (errno.EACCES, ["10.0.0.1", "127.0.0.1"])
        assert server.connections == 0
        listed = Dial(networks=("127.0.0.0/8",))
        give_back(connections, ask(connections, "http://reg.test/", listed))
        connections.close()


def test_a_name_without_addresses() -> None:
    """The system reports that as an error; a resolver that does not must not cause another one."""
    with pytest.raises(OSError, match="no address"):
        ask(addresses(), "http://reg.test/")


def test_after_a_break_off_nothing_is_connected(connections: Connections) -> None:
    """P8: asked before each wait."""

    def hold(_: AnySocket) -> None:
        raise ConnectionAbortedError

    with Scripted(answering(b"body")) as server:
        with pytest.raises(ConnectionAbortedError):
            connections.connect(Request("GET", server.url, dial=OWN), hold)
        assert server.heads == []


def test_a_bundle_that_is_not_there(connections: Connections) -> None:
    """A Failed, like that of the other client."""
    with Scripted(answering(b"body")) as server, pytest.raises(Failed) as caught:
        ask(connections, server.url.replace("http", "https"), replace(OWN, ca_bundle="/none.pem"))
    assert caught.value.failure.code is Code.TLS_FAILED


def test_a_connection_unused_between_two_sweeps_is_closed(connections: Connections) -> None:
    """A connection to a registry is a descriptor on both sides: it is not kept just because no request comes."""
    with Scripted(answering(b"body")) as server:
        used, unused = ask(connections, server.url), ask(connections, server.url)
        give_back(connections, unused)
        give_back(connections, used)
        assert connections.sweep()
        give_back(connections, ask(connections, server.url))
        assert connections.sweep()
        assert [link.sock.fileno() == -1 for link in (used, unused)] == [False, True]
        assert not connections.sweep()
        assert used.sock.fileno() == -1
        assert server.connections == 2
