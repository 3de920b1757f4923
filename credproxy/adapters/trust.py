"""Whose certificates are believed, by egress policy (SEC-R 9, T32)."""

import contextlib
import errno
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from credproxy.adapters.owners import roots
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import Dial
from credproxy.core.ownership import exposure


_BEGIN = "-----BEGIN CERTIFICATE"


def version(dial: Dial) -> int:
    """A number that changes with the policy's CA bundle; 0 without one. Reads the file system: keep it off the loop."""
    if dial.ca_bundle is None:
        return 0
    with contextlib.suppress(OSError):
        return Path(dial.ca_bundle).stat().st_mtime_ns
    return 0


class Trust(Protocol):
    """Builds TLS contexts. Both methods may block: they are called off the loop.

    Attributes:
        changes: what a policy believes may change although it names the same bundle; else there is one version of it.
    """

    changes: bool

    def version(self, dial: Dial) -> int:
        """A number that changes with what the policy believes."""
        ...

    def context(self, dial: Dial) -> ssl.SSLContext:
        """Build the policy's context. Raises Failed: tls_failed, config_invalid."""
        ...


class FileTrust:
    """Reads the system's anchors and those of ``ca_bundle``. Source: Trust."""

    changes = True

    def version(self, dial: Dial) -> int:
        """When the bundle was changed."""
        return version(dial)

    def context(self, dial: Dial) -> ssl.SSLContext:
        """Build the policy's context."""
        return trust(dial)


def trust(dial: Dial) -> ssl.SSLContext:
    """Build the policy's TLS context: system anchors, those of ``ca_bundle``, TLS 1.2 at least.

    Takes milliseconds and reads files: keep it off the loop, and keep the context (PY21).

    Raises:
        Failed: tls_failed, the bundle cannot be read; config_invalid, others could write it.
    """
    context = ssl.create_default_context()
    if dial.ca_bundle is not None:
        _believe(dial.ca_bundle)
        try:
            _load(context, dial.ca_bundle)
        except (OSError, ssl.SSLError):
            raise _unreadable(dial.ca_bundle) from None
    return _strict(context, verify=dial.tls_verify)


def anchors(bundle: str | None) -> bytes:
    """Give what ``trust`` believes as PEM, for a process that can read no file: the system's, and those of a bundle.

    Raises:
        Failed: as ``trust``.
    """
    found = b"".join(_system_anchors())
    if bundle is None:
        return found
    _believe(bundle)
    try:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), bundle)
        return found + b"\n" + Path(bundle).read_bytes()
    except (OSError, ssl.SSLError):
        raise _unreadable(bundle) from None


def trusting(pem: bytes, *, verify: bool) -> ssl.SSLContext:
    """Build a context that believes these certificates and no others.

    Args:
        pem: of ``anchors``.
        verify: False for a registry that was marked so.
    """
    # Between certificates a bundle may say whose they are, in any encoding.
    text = pem.decode("ascii", "replace")
    context = ssl.create_default_context(cadata=text if _BEGIN in text else None)
    return _strict(context, verify=verify)


def _strict(context: ssl.SSLContext, *, verify: bool) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _system_anchors() -> Iterator[bytes]:
    """The files that OpenSSL would look into: one with all of them, or one for each by the hash of its name."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None:
        with contextlib.suppress(OSError):
            yield Path(paths.cafile).read_bytes()
            return
    if paths.capath is not None:
        for path in sorted(Path(paths.capath).glob("*.[0-9]")):
            with contextlib.suppress(OSError):
                yield path.read_bytes() + b"\n"


def _unreadable(bundle: str) -> Failed:
    return failed(
        Code.TLS_FAILED,
        f"the CA bundle {bundle!r} cannot be read as PEM certificates",
        f"look at it: openssl x509 -noout -subject -in {bundle}",
        inside=True,
    )


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
