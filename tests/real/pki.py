"""A private certificate authority: what every TLS server of the real tests is signed with."""

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Pair:
    """PEM files of one certificate (with its chain) and its key."""

    certificate: Path
    key: Path


class Pki:
    """An authority in `folder`, which must exist and is the caller's to remove."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.bundle = folder / "ca.pem"  # for curl --cacert, SSL_CERT_FILE, a registry's rootcertbundle
        self._authority.cert_pem.write_to_path(str(self.bundle))

    def issue(self, *names: str) -> trustme.LeafCert:
        """A certificate for host names and IP addresses, the first of which is its common name."""
        return self._authority.issue_cert(*names, common_name=names[0])

    def files(self, *names: str) -> Pair:
        """A certificate for `names` as files, for servers that are programs of their own."""
        leaf = self.issue(*names)
        pair = Pair(self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key")
        pair.certificate.unlink(missing_ok=True)
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(str(pair.certificate), append=True)
        leaf.private_key_pem.write_to_path(str(pair.key))
        return pair

    @cached_property
    def loopback(self) -> Pair:
        """What a server on this machine shows: localhost and both ways to write it as an address."""
        return self.files("localhost", "127.0.0.1", "::1")

    def server_context(self, *names: str) -> ssl.SSLContext:
        """TLS for a server inside this process; without names, for the loopback ones."""
        pair = self.files(*names) if names else self.loopback
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """TLS for a client that trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.bundle))
