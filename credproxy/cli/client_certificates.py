"""Client certificates, as commands speak of them: which one a host is shown, and which ones cannot be used."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from credproxy.adapters.certificate_files import certificate_files
from credproxy.adapters.clock import SystemClock
from credproxy.core.ask.http import Dial
from credproxy.core.ask.target import Target
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed
from credproxy.core.formats.toml_lines import Path as TomlPath
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.uses import Bundle
from credproxy.exchange.plan import RegistryRule


def shown_certificate(settings: Settings, target: Target, *, registry: bool) -> str | None:
    """Give the path of the certificate that a host may be shown through the gateway; None for none.

    Args:
        settings: the configuration.
        target: of the request.
        registry: it is for a repository, and not for an object.

    Raises:
        Failed(tls_failed): a certificate of ``certs.d`` has no key beside it.
    """
    rule = settings.router().match(target)
    dial = Dial()
    if registry and (rule is None or isinstance(rule, OciHost)):
        dial = RegistryRule(OciHost(match="") if rule is None else rule, exact=True).dial(target)
    elif rule is not None and rule.shows_hosts:
        dial = Dial(client_cert=rule.client_cert, client_key=rule.client_key)
    found = certificate_files(dial, os.environ)
    return None if found.pair is None else found.pair[0]


def certificate_problem(path: str) -> str:
    """What is wrong with a certificate's file, as far as this user can see it: the rest of a sentence; "" for nothing."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except OSError:  # the daemon may be another user, who can
        return ""
    ended = _ended(path)
    return "" if ended is None else f"has expired, on {ended:%Y-%m-%d}"


def unusable_certificates(settings: Settings) -> Iterator[tuple[TomlPath, str, str]]:
    """For each certificate whose files exist and cannot be used: its key, what is wrong, and the next command."""
    from credproxy.adapters.tls_trust import identity  # noqa: PLC0415  some commands must work where ssl cannot be loaded

    pairs: dict[tuple[str, str | None], TomlPath] = {}  # one file may be named by many rules, and is told once
    for place, _, use in settings.uses():
        if isinstance(use, Bundle) and use.key == "client_cert":
            pairs.setdefault((use.path, use.private), place)
    for (certificate, key), place in pairs.items():
        if not all(Path(path).is_file() for path in (certificate, key or certificate)):
            continue  # which is said of each file that a rule names
        try:
            identity(Dial(client_cert=certificate, client_key=key))
        except Failed as error:
            yield place, error.failure.message, error.failure.hint
            continue
        ended = _ended(certificate)
        if ended is not None:
            yield (
                place,
                f"the client certificate {certificate!r} has expired, on {ended:%Y-%m-%d}",
                f"put a renewed one in its place, then look: openssl x509 -noout -enddate -in {certificate}",
            )


def _ended(path: str) -> datetime | None:
    from cryptography import x509  # noqa: PLC0415  as above

    try:
        end = x509.load_pem_x509_certificate(Path(path).read_bytes()).not_valid_after_utc
    except (OSError, ValueError):  # OpenSSL has taken it
        return None
    return end if end.timestamp() < SystemClock().wall() else None
