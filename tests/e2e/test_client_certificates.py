"""Build actions and a registry that lets in only who shows a certificate: which processes have the key, and what their ends do."""

import hashlib
import json
import os
import re
import select
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.e2e.halves import carriers, is_dead, until
from tests.e2e.stage import Stage, TokenRegistry
from tests.e2e.test_actions import actions_socket, rules
from tests.e2e.test_carriers import memory_of


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

LAYER = hashlib.sha256(b"seed").digest() * 32_768
DIGEST = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"


class Guarded(TokenRegistry):
    """Over TLS, and only for who shows a certificate of its authority; it pauses in the middle of the first layer."""

    def __init__(self, authority: trustme.CA) -> None:
        super().__init__()
        self.rest = threading.Event()
        self.begun = self.cut = 0
        self.realm = f"https://{self.authority}/token"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def refuse(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the layer, or the challenge."""
        if not str(handler.headers["Authorization"]).startswith("Bearer canary-token"):
            super().refuse(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(LAYER)))
        handler.end_headers()
        handler.wfile.write(LAYER[: len(LAYER) // 2])
        self.begun += 1
        if self.begun == 1 and self.left(handler):
            self.cut += 1
        else:
            handler.wfile.write(LAYER[len(LAYER) // 2 :])

    def left(self, handler: BaseHTTPRequestHandler) -> bool:
        """Whether its client leaves before the rest is sent."""
        while not self.rest.is_set():
            if select.select([handler.connection], [], [], 0.02)[0]:
                return True
        return False


@pytest.fixture
def authority() -> trustme.CA:
    """Of the server and of the client."""
    return trustme.CA()


@pytest.fixture
def guarded(authority: trustme.CA) -> Iterator[Guarded]:
    """The registry."""
    made = Guarded(authority)
    yield made
    made.rest.set()
    made.close()


@pytest.fixture
def key(staged: Stage, guarded: Guarded, authority: trustme.CA) -> bytes:
    """The private key of a daemon that is started with it, as PEM."""
    authority.cert_pem.write_to_path(str(staged.home / "ca.pem"))
    made = authority.issue_cert("me@test", key_type=trustme.KeyType.ECDSA)
    (staged.home / "me.pem").write_bytes(made.private_key_and_cert_chain_pem.bytes())
    (staged.home / "me.pem").chmod(0o600)
    tls = f'ca_bundle = "{staged.home}/ca.pem"\nclient_cert = "{staged.home}/me.pem"\n'
    staged.configure(f"{guarded.rule()}{tls}[actions]\ncarriers = 2\n{rules(guarded)}")
    staged.start(REGISTRY_PASSWORD=guarded.password)
    return made.private_key_pem.bytes()


def download(staged: Stage, guarded: Guarded) -> subprocess.Popen[bytes]:
    """Begin one."""
    url = f"http://localhost/v2/org/app/blobs/{DIGEST}"
    to, header = str(actions_socket(staged)), f"X-Rules_img-Original-Host: {guarded.authority}"
    return subprocess.Popen(
        ["curl", "-sS", "--fail", "--unix-socket", to, "-H", header, url],
        stdout=subprocess.PIPE,
        env={"PATH": staged.environ["PATH"]},
    )


def processes(staged: Stage) -> tuple[int, int]:
    """A carrier, and the relay process: the daemon starts the one before the other."""
    carrier, relay = carriers(staged)
    return carrier, relay


def forms(pem: bytes) -> list[bytes]:
    """What a key looks like in memory: a line of its file, and its number, in both orders of bytes."""
    held = load_pem_private_key(pem, None)
    assert isinstance(held, EllipticCurvePrivateKey)
    number = held.private_numbers().private_value.to_bytes(32, "big")
    return [pem.splitlines()[1], number, number[::-1]]


def test_the_key_is_in_the_relay_process_and_in_no_carrier(staged: Stage, guarded: Guarded, key: bytes) -> None:
    """Nor in an argument, an environment, the log, or what the nursery could pass on."""
    if os.geteuid() != 0:
        pytest.skip("only root reads another process's memory: sudo make test")
    one = download(staged, guarded)
    until(lambda: guarded.begun == 1)
    carrier, relay = processes(staged)
    assert [form in memory_of(relay) for form in forms(key)].count(True) >= 2  # proves that the search works
    parent = int(re.findall(r"PPid:\s+(\d+)", Path(f"/proc/{carrier}/status").read_text())[0])
    for pid in (carrier, parent):
        held = memory_of(pid)
        assert not [form for form in forms(key) if form in held]
    assert b"canary-token-1" in memory_of(carrier)
    assert b"canary-token-1" not in Path(f"/proc/{relay}/environ").read_bytes()
    status = json.loads(staged.credproxy("status", "--json").stdout)
    assert [(one["pid"], one["relayed"]) for one in status["carriers"]] == [(carrier, 1)]
    assert [(one["pid"], one["relays"], one["confined"]) for one in status["relays"]] == [
        (relay, 1, status["carriers"][0]["confined"])
    ]
    guarded.rest.set()
    assert one.communicate(timeout=20)[0] == LAYER
    assert staged.stop() == 0
    assert not [form for form in forms(key) if form in staged.log().encode()]


def test_a_relay_process_that_is_killed_costs_no_download(staged: Stage, guarded: Guarded, key: bytes) -> None:
    """What it moved is continued by the next one; none of them outlives the daemon."""
    del key
    one = download(staged, guarded)
    until(lambda: guarded.begun == 1)
    carrier, relay = processes(staged)
    os.kill(relay, signal.SIGKILL)
    assert one.communicate(timeout=20)[0] == LAYER
    assert (one.returncode, guarded.begun) == (0, 2)
    again, newer = processes(staged)
    assert (again, newer != relay) == (carrier, True)
    assert len(staged.events("relay process lost")) == 1
    assert staged.stop() == 0
    until(lambda: is_dead(newer))


def test_a_carrier_that_is_killed_ends_its_connections_and_no_other(
    staged: Stage, guarded: Guarded, key: bytes
) -> None:
    """The registry hears of it, and the relay process serves the next carrier."""
    del key
    one = download(staged, guarded)
    until(lambda: guarded.begun == 1)
    carrier, relay = processes(staged)
    os.kill(carrier, signal.SIGKILL)
    assert len(one.communicate(timeout=20)[0]) < len(LAYER)
    assert one.returncode != 0
    until(lambda: guarded.cut == 1)
    two = download(staged, guarded)
    assert two.communicate(timeout=20)[0] == LAYER
    assert relay in carriers(staged)
    assert staged.stop() == 0
