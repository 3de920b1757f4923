"""Which files of certificates an egress policy means: those that its rule names, else docker's and podman's ``certs.d``.

A folder of ``certs.d`` has ``NAME.crt`` for each authority that is trusted besides the system's, and ``NAME.cert`` with
``NAME.key`` for the certificate that is shown. Source: docs.docker.com/engine/security/certificates; containers-certs.d(5).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, failed
from credproxy.core.paths import certificate_folders


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Paths.

    Attributes:
        bundles: of what is trusted besides the system's certificates.
        pair: a certificate and its key, which may be one file; None for no certificate.
    """

    bundles: tuple[str, ...] = ()
    pair: tuple[str, str] | None = None


def certificate_files(dial: Dial, environ: Mapping[str, str] = os.environ) -> CertificateFiles:
    """Find out which of them exist; blocks.

    Raises:
        Failed(tls_failed): a certificate of ``certs.d`` has no key beside it, as docker refuses it as well.
    """
    bundles = () if dial.ca_bundle is None else (dial.ca_bundle,)
    pair = None if dial.client_cert is None else (dial.client_cert, dial.client_key or dial.client_cert)
    found = _of_folder(dial.certs_d, environ) if dial.certs_d else CertificateFiles(bundles, pair)
    return found if dial.identified else CertificateFiles(found.bundles)


def _of_folder(authority: str, environ: Mapping[str, str]) -> CertificateFiles:
    for folder in map(Path, certificate_folders(environ, authority)):
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError:  # it is not there, or not for us
            continue
        bundles = tuple(str(folder / name) for name in names if name.endswith(".crt"))
        certificate = next((name for name in names if name.endswith(".cert")), None)
        if certificate is None:
            return CertificateFiles(bundles)
        key = folder / f"{certificate.removesuffix('.cert')}.key"
        if key.name not in names:
            raise failed(
                Code.TLS_FAILED,
                f"the client certificate {str(folder / certificate)!r} has no key beside it",
                hint=f"put its key there: {key}",
                inside=True,
            )
        return CertificateFiles(bundles, (str(folder / certificate), str(key)))
    return CertificateFiles()
