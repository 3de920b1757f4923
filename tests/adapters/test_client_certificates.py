"""Mutual TLS: which certificate is shown, to whom, and what is said where it cannot be."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from credproxy.adapters.certificate_files import CertificateFiles, certificate_files
from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.pump import Pump
from credproxy.adapters.tls_trust import trust, version
from credproxy.core.ask.http import Dial, Request
from credproxy.core.errors import Code, Failed
from tests.fakes import FixedTerms
from tests.hints import filled


CA = trustme.CA()
SERVER = CA.issue_cert("localhost", "127.0.0.1")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Answers anybody who shows a certificate of CA, and remembers whose it was."""

    def __init__(self, version: ssl.TLSVersion, wanted: ssl.VerifyMode = ssl.CERT_REQUIRED) -> None:
        self.seen: list[str] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        SERVER.configure_cert(self._context)
        CA.configure_trust(self._context)
        self._context.verify_mode, self._context.maximum_version = wanted, version
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listening.accept()
            except OSError:
                return
            raw.settimeout(5)
            sock = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            with contextlib.suppress(OSError):
                try:
                    sock.do_handshake()
                except ssl.SSLError:
                    # What the client had sent is read, so that it gets the alert and not a reset.
                    raw = socket.socket(fileno=sock.detach())
                    raw.settimeout(5)
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(4096):
                        pass
                    raw.close()
                    continue
                if sock.recv(4096):  # else its client has left
                    told = sock.getpeercert() or {}
                    self.seen.append(str(told.get("subject", "")))
                    sock.sendall(ANSWER)
            sock.close()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """By each version of TLS: they say in different places that no certificate was shown."""
    made = Server(request.param)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the authority's certificate in ``ca.pem``, and one of ours in ``client.pem`` with its ``client.key``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issue(tmp_path / "client.pem", tmp_path / "client.key", "me")
    return tmp_path


def issue(certificate: Path, key: Path, name: str, authority: trustme.CA = CA) -> None:
    """Write a pair."""
    made = authority.issue_cert(f"{name}@test", common_name=name)
    made.cert_chain_pems[0].write_to_path(str(certificate))
    made.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)


def dial(home: Path, *, shown: bool = True) -> Dial:
    """To a server of the authority."""
    bundle, pair = str(home / "ca.pem"), (str(home / "client.pem"), str(home / "client.key"))
    return Dial(
        own=True, ca_bundle=bundle, client_cert=pair[0] if shown else None, client_key=pair[1] if shown else None
    )


async def send(url: str, wanted: Dial) -> int:
    """With the client of exchanges."""
    async with AiohttpClient(SystemClock()) as client:
        return (await client.send(Request("GET", url, dial=wanted), FixedTerms())).status


async def test_the_certificate_is_shown_and_without_it_the_hint_makes_the_connection(
    server: Server, home: Path
) -> None:
    """The server says that it was not shown one; the option that the hint names is enough."""
    with pytest.raises(Failed) as caught:
        await send(server.url, dial(home, shown=False))
    assert caught.value.failure.code is Code.TLS_FAILED
    (setting,) = filled(caught.value.failure.hint, "if it wants a client certificate, name that {}")
    assert setting.endswith('client_cert = "/PATH/client.pem"')
    assert await send(server.url, dial(home)) == 200
    assert len(server.seen) == 1
    assert "me" in server.seen[0]


async def test_a_host_that_an_answer_names_is_not_shown_it(home: Path) -> None:
    """Any server may ask, and would learn who somebody is; its own certificate is checked as ever."""
    server = Server(ssl.TLSVersion.TLSv1_3, ssl.CERT_OPTIONAL)
    try:
        policy = dial(home)
        assert policy.elsewhere().identified is False
        for wanted in (
            policy,
            Dial(
                own=True,
                ca_bundle=policy.ca_bundle,
                client_cert=policy.client_cert,
                client_key=policy.client_key,
                identified=False,
            ),
        ):
            assert await send(server.url, wanted) == 200
        assert ["me" in who for who in server.seen] == [True, False]
    finally:
        server.close()


async def test_a_renewed_pair_is_shown_from_the_next_request_on(home: Path) -> None:
    """A connection that was made with the old one is not used for it."""
    server = Server(ssl.TLSVersion.TLSv1_3)
    try:
        async with AiohttpClient(SystemClock()) as client:
            await client.send(Request("GET", server.url, dial=dial(home)), FixedTerms())
            issue(home / "client.pem", home / "client.key", "renewed")
            await client.send(Request("GET", server.url, dial=dial(home)), FixedTerms())
        assert "renewed" in server.seen[1]
    finally:
        server.close()


async def test_the_pump_shows_it_too(server: Server, home: Path) -> None:
    """It makes the connections of large downloads."""
    async with Pump() as pump:
        transfer = await pump.open(Request("GET", server.url, dial=dial(home)), "reg.test")
        assert b"HTTP/1.1 %d" % transfer.status in ANSWER
        transfer.close()


def test_one_file_may_hold_both(home: Path) -> None:
    """As ``curl --cert`` takes it."""
    (home / "both.pem").write_bytes((home / "client.pem").read_bytes() + (home / "client.key").read_bytes())
    trust(Dial(client_cert=str(home / "both.pem")))
    with pytest.raises(Failed, match="has no private key in it") as caught:
        trust(Dial(client_cert=str(home / "client.pem")))
    assert (
        filled(
            caught.value.failure.hint,
            'name the file that has it, beside client_cert: client_key = "/PATH/client-key.pem"',
        )
        == ()
    )
    trust(dial(home))


def test_what_cannot_be_used_is_told_and_mended_as_the_hint_says(home: Path) -> None:
    """Each with its file; nothing of a key is quoted."""
    wanted, key = dial(home), home / "client.key"
    good = key.read_bytes()

    def refusal() -> tuple[str, str]:
        with pytest.raises(Failed) as caught:
            trust(wanted)
        assert caught.value.failure.code is Code.TLS_FAILED
        return caught.value.failure.message, caught.value.failure.hint

    issue(home / "other.pem", key, "other")
    message, hint = refusal()
    assert "is not that of the certificate" in message
    assert filled(hint, "compare them: openssl x509 -noout -pubkey -in {}; openssl pkey -pubout -in {}") == (
        wanted.client_cert,
        wanted.client_key,
    )
    key.write_text("canary")
    message, hint = refusal()
    assert "canary" not in message
    assert "there is no private key for the client certificate" in message
    assert filled(hint, "look at it: openssl pkey -noout -in {}") == (str(key),)
    key.unlink()
    assert str(key) in refusal()[0]
    key.write_bytes(good)
    key.chmod(0o600)
    kind = serialization.BestAvailableEncryption(b"x")
    held = serialization.load_pem_private_key(good, None)
    key.write_bytes(held.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind))
    message, hint = refusal()
    assert "asks nobody for a passphrase" in message
    assert filled(hint, "take its passphrase off: openssl pkey -in {} -out NEW") == (str(key),)
    key.write_bytes(good)
    key.chmod(0o600)
    trust(wanted)


def test_what_is_no_certificate_is_told(home: Path) -> None:
    """Its file may as well hold a secret that was put there by mistake."""
    (home / "client.pem").write_text("canary")
    with pytest.raises(Failed, match="wanted a certificate and its private key") as caught:
        trust(dial(home))
    assert "canary" not in caught.value.failure.message
    assert filled(caught.value.failure.hint, "look at it: openssl x509 -noout -subject -in {}")


def test_a_key_that_others_may_write_is_not_used(home: Path) -> None:
    """Anybody who writes it chooses who is logged in."""
    (home / "client.key").chmod(0o666)
    with pytest.raises(Failed, match="are not trusted: it") as caught:
        trust(dial(home))
    assert caught.value.failure.hint == f"chmod go-w {home / 'client.key'}"
    (home / "client.key").chmod(0o644)
    trust(dial(home))


def folder(home: Path, *names: str, above: str = ".config/containers/certs.d") -> Path:
    """A folder for ``reg.test:5000`` with these files."""
    made = home / above / "reg.test:5000"
    made.mkdir(parents=True)
    for name in names:
        (made / name).touch()
    return made


@pytest.mark.parametrize(
    ("names", "bundles", "pair"),
    [
        ((), (), None),
        (("ca.crt",), ("ca.crt",), None),
        (("b.crt", "a.crt", "README", "a.pem"), ("a.crt", "b.crt"), None),
        (("ca.crt", "client.cert", "client.key"), ("ca.crt",), ("client.cert", "client.key")),
        (("b.cert", "b.key", "a.cert", "a.key"), (), ("a.cert", "a.key")),
    ],
)
def test_a_folder_of_certs_d(
    home: Path, names: tuple[str, ...], bundles: tuple[str, ...], pair: tuple[str, str] | None
) -> None:
    """As docker and podman read it."""
    made = folder(home, *names)
    found = certificate_files(Dial(certs_d="reg.test:5000"))
    assert found.bundles == tuple(str(made / name) for name in bundles)
    assert found.pair == (None if pair is None else tuple(str(made / name) for name in pair))
    assert certificate_files(Dial(certs_d="reg.test:5000", identified=False)) == CertificateFiles(found.bundles)
    assert certificate_files(Dial(certs_d="other.test")) == CertificateFiles()


def test_the_first_folder_that_is_there_counts(home: Path) -> None:
    """Podman's own goes before docker's; the machine's come after those."""
    folder(home, "ca.crt", above=".config/docker/certs.d")
    assert ".config/docker" in certificate_files(Dial(certs_d="reg.test:5000")).bundles[0]
    folder(home)
    assert certificate_files(Dial(certs_d="reg.test:5000")) == CertificateFiles()


def test_a_certificate_without_a_key_is_told_as_docker_does(home: Path) -> None:
    """Put beside it, it is used."""
    made = folder(home, "client.cert")
    with pytest.raises(Failed) as caught:
        trust(Dial(certs_d="reg.test:5000"))
    assert version(Dial(certs_d="reg.test:5000")) == 0
    (path,) = filled(caught.value.failure.hint, "put its key there: {}")
    issue(made / "client.cert", Path(path), "me")
    trust(Dial(certs_d="reg.test:5000"))


def test_another_file_in_the_folder_is_seen(home: Path) -> None:
    """A certificate is renewed while the daemon runs."""
    wanted = Dial(certs_d="reg.test:5000")
    seen = [version(wanted)]
    made = folder(home)
    CA.cert_pem.write_to_path(str(made / "ca.crt"))
    seen.append(version(wanted))
    issue(made / "client.cert", made / "client.key", "me")
    seen.append(version(wanted))
    issue(made / "client.cert", made / "client.key", "renewed")
    seen.append(version(wanted))
    assert len(set(seen)) == 4


async def test_a_registry_s_folder_makes_the_connection(server: Server, home: Path) -> None:
    """Authority and pair, with no line of configuration."""
    made = home / ".config/containers/certs.d/127.0.0.1"
    made.mkdir(parents=True)
    CA.cert_pem.write_to_path(str(made / "ca.crt"))
    issue(made / "client.cert", made / "client.key", "folder")
    assert await send(server.url, Dial(own=True, certs_d="127.0.0.1")) == 200
    assert "folder" in server.seen[0]
