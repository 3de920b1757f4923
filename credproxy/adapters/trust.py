"""Whose certificates are believed, by egress policy (SEC-R 9, T32)."""

import contextlib
import errno
import os
import ssl
from pathlib import Path

from credproxy.adapters.owners import roots
from credproxy.core.errors import Code, failed
from credproxy.core.http import Dial
from credproxy.core.ownership import exposure


def version(dial: Dial) -> int:
    """A number that changes with the policy's CA bundle; 0 without one. Reads the file system: keep it off the loop."""
    if dial.ca_bundle is None:
        return 0
    with contextlib.suppress(OSError):
        return Path(dial.ca_bundle).stat().st_mtime_ns
    return 0


def trust(dial: Dial) -> ssl.SSLContext:
    """Build the policy's TLS context: system anchors, those of ``ca_bundle``, TLS 1.2 at least.

    Takes milliseconds and reads files: keep it off the loop, and keep the context (PY21).

    Raises:
        Failed: tls_failed, the bundle cannot be read; config_invalid, others could write it.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if dial.ca_bundle is not None:
        _believe(dial.ca_bundle)
        try:
            _load(context, dial.ca_bundle)
        except (OSError, ssl.SSLError):
            raise failed(
                Code.TLS_FAILED,
                f"the CA bundle {dial.ca_bundle!r} cannot be read as PEM certificates",
                f"look at it: openssl x509 -noout -subject -in {dial.ca_bundle}",
                inside=True,
            ) from None
    if not dial.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load(context: ssl.SSLContext, bundle: str) -> None:
    if not Path(bundle).is_file():  # OpenSSL would wait for the writer of a FIFO, and hold the thread for ever
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), bundle)
    context.load_verify_locations(cafile=bundle)


def _believe(bundle: str) -> None:
    """The bundle is read again whenever it changes, so it is judged again, with its directory.

    The whole way to it was judged when the configuration that names it was put in force.
    """
    path = Path(bundle)
    with contextlib.suppress(OSError):  # what cannot be looked at cannot be read, either
        for place in (path, path.parent):
            about = place.stat()
            found = exposure(str(place), owner=about.st_uid, mode=about.st_mode, me=os.geteuid(), roots=roots())
            if found is not None and found.grave:
                message = f"the CA bundle {bundle!r} is not believed: it {found.problem}"
                raise failed(Code.CONFIG_INVALID, message, found.remedy, inside=True)
