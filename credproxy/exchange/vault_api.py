"""The conversations with HashiCorp Vault and OpenBao: log in, renew a token, read a secret, renew its lease.

Source: the HTTP API of both: /auth/METHOD/login, /auth/token/renew-self, /auth/token/lookup-self, a secret's path,
/sys/leases/renew. The meaning of a refusal is recognised by its text, which is never repeated.
"""

import json
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

from credproxy.core.ask.credential import Secret, reveal
from credproxy.core.ask.http import USER_AGENT, Method, Request, Response
from credproxy.core.ask.vault_values import Lease, VaultLogin, VaultSecret, VaultServer, VaultToken
from credproxy.core.errors import Code, failed
from credproxy.exchange.token_answer import decode_object, is_token
from credproxy.exchange.vault_refusals import (
    beyond_policy,
    errors_of,
    login_refused,
    not_there,
    odd,
    token_refused,
    warnings_of,
)


_REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})

_LONGEST = 1e9
"""Seconds, some thirty years, that are accepted for a lease: Vault has none that is longer."""


def log_in(server: VaultServer, login: VaultLogin) -> Generator[Request, Response, VaultToken]:
    """Obtain a token.

    Raises:
        Failed: bad_credentials (the login was refused), bad_token (an answer without a token), and those of ``odd``.
    """
    fields = {name: reveal(value) for name, value in login.fields.items()}
    url = f"auth/{login.mount}/login"
    response = yield _request(server, "POST", url, body=fields, repeatable=login.repeatable)
    if response.status in _REFUSALS:
        raise login_refused(server, login, response=response)
    found = _token(server, response)
    if found is None:
        message = f"{server.name} gave no token for its login at auth/{login.mount}"
        raise failed(
            Code.BAD_TOKEN, message, hint="a login with a second factor needs somebody who is there: use another method"
        )
    return found


def renew_token(server: VaultServer, token: Secret) -> Generator[Request, Response, VaultToken | None]:
    """Renew a token; None if that is impossible, and a new login is needed. Raises Failed as ``odd``."""
    response = yield _request(server, "POST", "auth/token/renew-self", token, body={})
    return None if response.status in _REFUSALS else _token(server, response)


def token_lease(server: VaultServer, token: Secret) -> Generator[Request, Response, Lease | None]:
    """Give the rest of a token's lifetime; None if it may not look that up. Raises Failed as ``odd``."""
    response = yield _request(server, "GET", "auth/token/lookup-self", token)
    if response.status in _REFUSALS:
        return None
    data = _table(_body(server, response).get("data"))
    if data.get("expire_time") is None:
        return Lease(response.sent, None)
    return Lease(response.sent, _seconds(data.get("ttl")) or 0.0, renewable=data.get("renewable") is True)


def read_secret(server: VaultServer, path: str, *, token: Secret) -> Generator[Request, Response, VaultSecret]:
    """Read the secret at a path of the API, such as ``secret/data/ci/registry``.

    Raises:
        Failed: bad_credentials (the token is no longer accepted), denied (by its policies), credential_unreadable
            (there is nothing at the path), and those of ``odd``.
    """
    response = yield _request(server, "GET", path, token)
    if response.status == HTTPStatus.FORBIDDEN:
        looked = yield _request(server, "GET", "auth/token/lookup-self", token)
        if looked.status in _REFUSALS:
            raise token_refused(server, path)
        policies = _table(_body(server, looked).get("data")).get("policies")
        raise beyond_policy(server, path, policies=policies)
    if response.status == HTTPStatus.NOT_FOUND:
        asked = not errors_of(response)
        mount = (yield _request(server, "GET", f"sys/internal/ui/mounts/{path}", token)) if asked else None
        raise not_there(server, path, response=response, mount=_table(_data(mount)) if mount is not None else {})
    return _secret(server, path, response)


def renew_lease(server: VaultServer, lease: Lease, *, token: Secret) -> Generator[Request, Response, Lease | None]:
    """Renew a secret's lease; None if that is impossible, and another one has to be read. Raises Failed as ``odd``."""
    response = yield _request(server, "PUT", "sys/leases/renew", token, body={"lease_id": lease.id})
    if response.status in _REFUSALS:
        return None
    found = _body(server, response)
    return _lease(response, found.get("lease_duration"), renewable=found.get("renewable") is True, name=lease.id)


def _request(
    server: VaultServer,
    method: Method,
    path: str,
    token: Secret | None = None,
    *,
    body: Mapping[str, str] | None = None,
    repeatable: bool = True,
) -> Request:
    named = (("X-Vault-Namespace", server.namespace),) if server.namespace else ()
    shown = (("X-Vault-Token", token),) if token is not None else ()
    typed = (("Content-Type", "application/json"),) if body is not None else ()
    return Request(
        method,
        f"{server.origin}/v1/{quote(path)}",
        headers=(
            ("Accept", "application/json"),
            ("User-Agent", USER_AGENT),
            ("X-Vault-Request", "true"),
            *named,
            *typed,
            *shown,
        ),
        body=None if body is None else Secret(json.dumps(body)),
        repeatable=repeatable,
        dial=server.dial,
        subject=server.name,
    )


def _body(server: VaultServer, response: Response) -> dict[str, object]:
    """The JSON object of a 200. Raises Failed as ``odd``."""
    found = decode_object(response.body) if response.status == HTTPStatus.OK else None
    if found is None:
        raise odd(server, response)
    return found


def _token(server: VaultServer, response: Response) -> VaultToken | None:
    found = _table(_body(server, response).get("auth"))
    value = found.get("client_token")
    if not is_token(value):
        return None
    return VaultToken(
        Secret(value), _lease(response, found.get("lease_duration"), renewable=found.get("renewable") is True)
    )


def _secret(server: VaultServer, path: str, response: Response) -> VaultSecret:
    found = _body(server, response)
    fields = found.get("data")
    if not isinstance(fields, dict):
        message = f"{server.name} gave no secret at {path!r}"
        hint = "name the path of a secret, as in vault read: warnings and wrapped answers are none"
        raise failed(Code.BAD_TOKEN, message + (", but warnings" if warnings_of(response) else ""), hint=hint)
    lease, seconds = found.get("lease_id"), found.get("lease_duration")
    if isinstance(lease, str) and lease:
        renewable = found.get("renewable") is True
        return VaultSecret(fields, _lease(response, seconds, renewable=renewable, name=lease))
    inner, metadata = fields.get("data"), _table(fields.get("metadata"))
    if isinstance(inner, dict) and "version" in metadata:
        return VaultSecret(inner, wall_until=_moment(metadata.get("deletion_time")))
    return VaultSecret(fields, keep=_seconds(seconds))


def _lease(response: Response, seconds: object, *, renewable: bool, name: str = "") -> Lease:
    """Read a lease. Vault rounds down, so 0 may be its last second; it means "endless" only if it is not renewable."""
    told = _seconds(seconds)
    ends = renewable or bool(name)
    return Lease(response.sent, 0.0 if told is None and ends else told, renewable=renewable, id=name)


def _seconds(value: object) -> float | None:
    """A duration; None for 0, and for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    return float(min(value, _LONGEST))  # before it is converted, which fails for a number of 400 digits


def _moment(text: object) -> float | None:
    """POSIX seconds of a time with nanoseconds, as Go formats it; None for ""."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _data(response: Response) -> object:
    found = decode_object(response.body) if response.status == HTTPStatus.OK else None
    return None if found is None else found.get("data")


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
