"""What an unsuccessful answer of Vault or OpenBao means, and what the user does about it.

Their texts are matched and never repeated: some quote what was sent.
"""

from collections.abc import Mapping
from http import HTTPStatus

from credproxy.core.ask.http import Response
from credproxy.core.ask.vault_values import VaultLogin, VaultServer
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import decode_object


_NO_ROLE = ("could not be found", "invalid role name")
_BY_PHRASE = (
    ("audience", "is for another audience than the role takes"),
    ("expired", "has expired"),
    ("signature", "has a signature that its keys do not match"),
    ("claim", "has other claims than the role wants"),
    ("secret id", "is not the ID of a role with a secret ID of its own, or that one is used up"),
)
"""A part of a refusal's text, in lower case, and what it means for the login. Sources: vault-plugin-auth-jwt
path_login.go, builtin/credential/approle/path_login.go."""


def odd(server: VaultServer, response: Response) -> Failed:
    """Give the failure for an answer that is wrong for any request.

    Gives:
        upstream_unavailable (sealed, or a 5xx), rate_limited, redirect_refused, bad_token.
    """
    if any("sealed" in error for error in errors_of(response)):
        hint = "its administrator unseals it with vault operator unseal, or bao operator unseal"
        return failed(Code.UPSTREAM_UNAVAILABLE, f"{server.name} is sealed: it cannot read its own storage", hint=hint)
    passing = transient(response, server.name)
    if passing is not None:
        return passing
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        message = f"{server.name} redirects, and a token is not sent on"
        return failed(
            Code.REDIRECT_REFUSED, message, hint='name the server that answers itself: address = "https://..."'
        )
    message = f"{server.name} answered {response.status}, and not as Vault does"
    return failed(Code.BAD_TOKEN, message, hint="is that the address of Vault's API, without a path?")


def login_refused(server: VaultServer, login: VaultLogin, *, response: Response) -> Failed:
    """Say why a login was refused, as far as the text tells."""
    said = " ".join(errors_of(response))
    place = f"auth/{login.mount}"
    if "namespace not found" in said:
        return _no_namespace(server)
    if response.status != HTTPStatus.BAD_REQUEST:
        message = f"{server.name} has no way to log in at {place!r}, or not for this caller"
        return failed(
            Code.BAD_CREDENTIALS, message, hint="vault auth list shows what there is; in the rule: auth = {mount = ...}"
        )
    if any(phrase in said for phrase in _NO_ROLE):
        message = f"{server.name} knows no role {login.role!r} at {place!r}"
        return failed(Code.BAD_CREDENTIALS, message, hint=f"vault list {place}/role shows what there is")
    problem = next((meaning for phrase, meaning in _BY_PHRASE if phrase in said), "is not taken")
    message = f"{server.name} refuses the login at {place!r}: what was sent {problem}"
    return failed(
        Code.BAD_CREDENTIALS, message, hint=f"compare it with the role: vault read {place}/role/{login.role or 'NAME'}"
    )


def token_refused(server: VaultServer, path: str) -> Failed:
    """Say that the token itself was refused."""
    message = f"{server.name} does not take the token for {path!r}: it has expired or was revoked"
    return failed(Code.BAD_CREDENTIALS, message, hint="log in again: vault login, or bao login")


def beyond_policy(server: VaultServer, path: str, *, policies: object) -> Failed:
    """Say which policies the token has, and what they lack."""
    names = [name for name in policies if isinstance(name, str)] if isinstance(policies, list) else []
    message = f"{server.name} does not let the token read {path!r}: its policies are {', '.join(map(repr, names))}"
    return failed(Code.DENIED, message, hint=f'one of them has to have: path "{path}" {{ capabilities = ["read"] }}')


def not_there(server: VaultServer, path: str, *, response: Response, mount: Mapping[str, object]) -> Failed:
    """Say what a 404 means.

    Args:
        server: that answered.
        path: that was requested.
        response: the answer.
        mount: what ``sys/internal/ui/mounts/PATH`` says about the engine there; empty if the token may not read that.
    """
    said = " ".join(errors_of(response))
    if "namespace not found" in said:
        return _no_namespace(server)
    if "no handler for route" in said:
        message = f"{server.name} has no secrets engine at {path!r}"
        return failed(
            Code.CREDENTIAL_UNREADABLE, message, hint="vault secrets list shows what there is: correct path in the rule"
        )
    right = _right_path(path, mount)
    if right is not None:
        message = f"{server.name} has nothing at {path!r}: its engine there is KV {_version(mount)}"
        return failed(Code.CREDENTIAL_UNREADABLE, message, hint=f'the path of the same secret is: path = "{right}"')
    deleted = b'"deletion_time"' in response.body
    message = f"{server.name} has nothing at {path!r}{': its version was deleted' if deleted else ''}"
    return failed(
        Code.CREDENTIAL_UNREADABLE,
        message,
        hint="store it with vault kv put, or bao kv put, or correct path in the rule",
    )


def errors_of(response: Response) -> tuple[str, ...]:
    """The texts of its errors, in lower case."""
    return _texts(response, "errors")


def warnings_of(response: Response) -> tuple[str, ...]:
    """The texts of its warnings, in lower case."""
    return _texts(response, "warnings")


def _texts(response: Response, key: str) -> tuple[str, ...]:
    found = (decode_object(response.body) or {}).get(key)
    return tuple(text.lower() for text in found if isinstance(text, str)) if isinstance(found, list) else ()


def _no_namespace(server: VaultServer) -> Failed:
    message = f"{server.name}: there is no such namespace"
    return failed(
        Code.CREDENTIAL_UNREADABLE, message, hint='correct it in the rule, namespace = "...", or in VAULT_NAMESPACE'
    )


def _version(mount: Mapping[str, object]) -> str | None:
    """The version of a KV engine; None for any other engine."""
    options = mount.get("options")
    if mount.get("type") not in ("kv", "generic"):  # not a set: it may be a list
        return None
    found = options.get("version") if isinstance(options, dict) else None
    return found if isinstance(found, str) else "1"


def _right_path(path: str, mount: Mapping[str, object]) -> str | None:
    """The path of the same secret in the engine's version of KV; None if the path is right already."""
    place, version = mount.get("path"), _version(mount)
    if not isinstance(place, str) or version is None or not path.startswith(place):
        return None
    rest = path.removeprefix(place)
    has_data = rest.startswith("data/")
    if version == "1":
        return place + rest.removeprefix("data/") if has_data else None
    return None if has_data else f"{place}data/{rest}"
