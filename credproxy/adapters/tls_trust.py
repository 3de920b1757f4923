"""Which certificates are trusted, by egress policy (SEC-R, T32)."""

import contextlib
import errno
import os
import re
import ssl
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import NamedTuple, Protocol

from credproxy.adapters.certificate_files import certificate_files
from credproxy.adapters.file_exposure import exposures
from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, Failed, failed


_BEGIN = "-----BEGIN CERTIFICATE"
_NOT_REGULAR = "is not a regular file"
_PRIVATE = re.compile(rb"-----BEGIN [^-\r\n]*PRIVATE KEY-----.*?(?:-----END [^-\r\n]*PRIVATE KEY-----|\Z)", re.DOTALL)


def version(dial: Dial) -> int:
    """A number that changes with the policy's certificates; 0 without any. Reads the file system: keep it off the loop."""
    if not dial.has_files:
        return 0
    try:
        found = certificate_files(dial)
    except Failed:  # which ``trust`` says as well
        return 0
    paths = (*found.bundles, *(found.pair or ()))
    return hash((paths, *map(_stamp, paths))) if paths else 0


def _stamp(path: str) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        about = Path(path).stat()
        # A copy may keep the original's mtime, and mtime may be set; ctime may not.
        return (about.st_mtime_ns, about.st_ctime_ns, about.st_dev, about.st_ino, about.st_size)
    return ()


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
    """Reads the system's trust anchors, those of a rule, and the certificate that is shown. Source: Trust."""

    changes = True

    def version(self, dial: Dial) -> int:
        """When one of the files was changed."""
        return version(dial)

    def context(self, dial: Dial) -> ssl.SSLContext:
        """Build the policy's context."""
        return trust(dial)


def trust(dial: Dial) -> ssl.SSLContext:
    """Build the policy's TLS context: system anchors, those of its files, the certificate that is shown, TLS 1.2 at least.

    Takes milliseconds and reads files: keep it off the loop, and keep the context (PY21).

    Raises:
        Failed: tls_failed, a file cannot be read, or a key is not that of its certificate; config_invalid, others could
            write one.
    """
    context, files = ssl.create_default_context(), certificate_files(dial)
    for bundle in files.bundles:
        _load(context, bundle, _read_file("the CA bundle", bundle))
    if files.pair is not None:
        show(context, files.pair, contents=_read_pair(files.pair))
    return _strict(context, verify=dial.tls_verify)


def anchors(*bundles: str) -> bytes:
    """Give the certificates that ``trust`` uses, the system's and those of bundles, as PEM for a process that cannot read files.

    Without the private keys that may lie in the same files: build actions may control that process.

    Raises:
        Failed: the same as ``trust``.
    """
    found = b"".join(_system_anchors())
    for bundle in bundles:
        content = _read_file("the CA bundle", bundle)
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), bundle, content)
        found += b"\n" + _PRIVATE.sub(b"", content)
    return found


class ClientIdentity(NamedTuple):
    """What a process that reads no files needs for connections under an egress policy; not shown, as a key is among it.

    Attributes:
        anchors: the certificates that are trusted, as PEM.
        paths: of a certificate and its key.
        pair: what is in these two files, as PEM; empty if there are none.
    """

    anchors: bytes
    paths: tuple[str, str] = ("", "")
    pair: tuple[bytes, bytes] = (b"", b"")

    def __repr__(self) -> str:
        return "ClientIdentity(...)"


def identity(dial: Dial) -> ClientIdentity:
    """Read what ``trust`` would build a context from, for a process that shows a certificate and reads no files. Raises Failed."""
    files = certificate_files(dial)
    found = anchors(*files.bundles)
    if files.pair is None:
        return ClientIdentity(found)
    pair = _read_pair(files.pair)
    show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files.pair, contents=pair)  # so that its mistakes are told here
    return ClientIdentity(found, files.pair, pair)


def _read_pair(paths: tuple[str, str]) -> tuple[bytes, bytes]:
    certificate, key = (_read_file("the client certificate or key", path) for path in paths)
    if b"ENCRYPTED" in key:
        said = f"the key {paths[1]!r} is encrypted"
        hint = f"take its passphrase off: openssl pkey -in {paths[1]} -out NEW"
        raise failed(Code.TLS_FAILED, f"{said}, and the daemon asks nobody for a passphrase", hint=hint, inside=True)
    if _BEGIN.encode() in certificate and b"PRIVATE KEY-----" not in key:
        message = f"there is no private key for the client certificate {paths[0]!r} in {paths[1]!r}"
        hint = f"look at it: openssl pkey -noout -in {quote(paths[1])}"
        if paths[0] == paths[1]:
            message = f"the file of the client certificate {paths[0]!r} has no private key in it"
            hint = 'name the file that has it, beside client_cert: client_key = "/PATH/client-key.pem"'
        raise failed(Code.TLS_FAILED, message, hint=hint, inside=True)
    return certificate, key


def show(context: ssl.SSLContext, paths: tuple[str, str], *, contents: tuple[bytes, bytes]) -> None:
    """Let a context show a certificate to servers that ask for one. Raises Failed: tls_failed.

    What is loaded is what was judged: OpenSSL takes a path, so it is given that of the same bytes in memory.

    Args:
        context: to change.
        paths: of the certificate and its key, for messages.
        contents: of both.
    """
    certificate, key = paths
    with _in_memory(paths, contents) as (shown, private):
        try:
            context.load_cert_chain(shown, private, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"the key {key!r} is not that of the certificate {certificate!r}"
                hint = f"compare them: openssl x509 -noout -pubkey -in {certificate}; openssl pkey -pubout -in {key}"
                raise failed(Code.TLS_FAILED, message, hint=hint, inside=True) from None
            raise _unusable(certificate, key) from None


@contextlib.contextmanager
def _in_memory(paths: Sequence[str], contents: Sequence[bytes]) -> Iterator[Sequence[str]]:
    """Give paths that lead to the contents and nowhere else; where a system has no such files, the paths as they are."""
    if not hasattr(os, "memfd_create") or not Path("/proc/self/fd").is_dir():
        yield paths
        return
    with contextlib.ExitStack() as opened:
        places = []
        for content in contents:
            descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
            opened.callback(os.close, descriptor)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
            places.append(f"/proc/self/fd/{descriptor}")
        yield places


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


def _unusable(*paths: str) -> Failed:
    names = " and ".join(map(repr, dict.fromkeys(paths)))
    return failed(
        Code.TLS_FAILED,
        f"the client certificate of {names} cannot be read: wanted a certificate and its private key in PEM form",
        hint=f"look at it: openssl x509 -noout -subject -in {paths[0]}",
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


def _read_file(what: str, path: str) -> bytes:
    """Read certificates or a key that nobody else can have written.

    It is read again whenever it changes, long after the configuration that names it came into force. So it is judged
    again, with the whole way to it, and the very file that was read is judged.
    """
    try:
        content, about = _read(path)
        found = exposures(path, os.environ.get("HOME", ""), end=about)
    except OSError as error:
        said = (
            _NOT_REGULAR if error.errno == errno.EINVAL else f"cannot be read: {os.strerror(error.errno or 0).lower()}"
        )
        raise failed(Code.TLS_FAILED, f"{what} {path!r} {said}", hint=f"ls -l {quote(path)}", inside=True) from None
    for one in found:
        if one.grave:
            message = f"the certificates or key in {path!r} are not trusted: it {one.problem}"
            raise failed(Code.CONFIG_INVALID, message, hint=one.remedy, inside=True)
    return content


def _read(path: str) -> tuple[bytes, os.stat_result]:
    # Without O_NONBLOCK, opening a FIFO would wait for its writer, and block the thread for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return file.read(), about
