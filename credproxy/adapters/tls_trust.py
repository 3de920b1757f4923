"""Which certificates are trusted, by egress policy (SEC-R, T32)."""

import contextlib
import errno
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from credproxy.adapters.file_exposure import exposures
from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, Failed, failed


_BEGIN = "-----BEGIN CERTIFICATE"


def version(dial: Dial) -> int:
    """A number that changes with the policy's CA bundle; 0 without one. Reads the file system: keep it off the loop."""
    if dial.ca_bundle is None:
        return 0
    with contextlib.suppress(OSError):
        about = Path(dial.ca_bundle).stat()
        # A copy may keep the original's mtime, and mtime may be set; ctime may not.
        return hash((about.st_mtime_ns, about.st_ctime_ns, about.st_dev, about.st_ino, about.st_size))
    return 0


class Trust(Protocol):
    """Builds TLS contexts. Both methods may block: they are called off the loop.

    Attributes:
        changes: the certificates may change although the policy names the same bundle; else there is only one version.
    """

    changes: bool

    def version(self, dial: Dial) -> int:
        """A number that changes with the certificates that the policy trusts."""
        ...

    def context(self, dial: Dial) -> ssl.SSLContext:
        """Build the policy's context. Raises Failed: tls_failed, config_invalid."""
        ...


class FileTrust:
    """Reads the system's trust anchors and those of ``ca_bundle``. Source: Trust."""

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
        _load(context, dial.ca_bundle, _read_bundle(dial.ca_bundle))
    return _strict(context, verify=dial.tls_verify)


def anchors(bundle: str | None) -> bytes:
    """Give the certificates that ``trust`` uses, the system's and a bundle's, as PEM for a process that cannot read files.

    Raises:
        Failed: the same as ``trust``.
    """
    found = b"".join(_system_anchors())
    if bundle is None:
        return found
    content = _read_bundle(bundle)
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), bundle, content)
    return found + b"\n" + content


def trusting(pem: bytes, *, verify: bool) -> ssl.SSLContext:
    """Build a context that trusts these certificates and no others.

    Args:
        pem: of ``anchors``.
        verify: False for a registry that was marked so.
    """
    text = _ascii(pem)
    context = ssl.create_default_context(cadata=text if _BEGIN in text else None)
    return _strict(context, verify=verify)


def _strict(context: ssl.SSLContext, *, verify: bool) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _system_anchors() -> Iterator[bytes]:
    """The files that OpenSSL would read: one with all certificates, or one for each, named by the hash of its subject."""
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
        hint=f"look at it: openssl x509 -noout -subject -in {bundle}",
        inside=True,
    )


def _ascii(pem: bytes) -> str:
    """Give PEM as ``ssl`` takes it: between certificates, a bundle may have comments in any encoding."""
    return pem.decode("ascii", "backslashreplace")


def _load(context: ssl.SSLContext, bundle: str, content: bytes) -> None:
    try:
        context.load_verify_locations(cadata=_ascii(content))
    except (ValueError, ssl.SSLError):  # ValueError: the bundle is empty
        raise _unreadable(bundle) from None


def _read_bundle(bundle: str) -> bytes:
    """Read a bundle that nobody else can have written.

    It is read again whenever it changes, long after the configuration that names it came into force. So it is judged
    again, with the whole way to it, and the very file that was read is judged.
    """
    try:
        content, about = _read(bundle)
        found = exposures(bundle, os.environ.get("HOME", ""), end=about)
    except OSError:
        raise _unreadable(bundle) from None
    for one in found:
        if one.grave:
            message = f"the CA bundle {bundle!r} is not trusted: it {one.problem}"
            raise failed(Code.CONFIG_INVALID, message, hint=one.remedy, inside=True)
    return content


def _read(bundle: str) -> tuple[bytes, os.stat_result]:
    # Without O_NONBLOCK, opening a FIFO would wait for its writer, and block the thread for ever.
    with os.fdopen(os.open(bundle, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), bundle)
        return file.read(), about
