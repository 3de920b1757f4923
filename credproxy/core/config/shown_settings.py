"""Settings as people may see them, in a terminal or a bug report. All code that prints settings uses this.

A text is shown because its key is listed here, and masked otherwise: a new key is hidden until somebody decides.
"""

import re

from msgspec import Struct, to_builtins

from credproxy.core.config.settings import Settings
from credproxy.core.redact import mask_command, mask_name, mask_text


_PLAIN = frozenset({
    "action", "actions", "address", "allow_private", "anonymous", "app", "assertion_audience", "audience", "bare_host", "bare_host_scopes",
    "basic", "builtin", "bytes", "ca_bundle", "cache_key", "client_cert", "client_id", "client_key", "docker_config", "expires", "field", "format", "header", "helper_path", "host",
    "key_file", "key_id", "level", "listen", "login_store", "match", "method", "mount", "name", "namespace", "netrc", "operations", "pass_env",
    "path", "path_prefix", "peer_namespaces", "permissions", "policy_file", "provider", "realm_hosts", "registry", "repositories", "repository",
    "requested_token_type", "role", "role_arn", "scope", "scopes", "service", "source", "subject", "subject_token_type", "url", "username", "username_field", "value",
    "endpoint", "profile", "region", "credentials_file", "impersonate", "quota_project", "account", "tenant", "redirect_uri", "variable",
})  # a table  # fmt: skip
"""Keys whose texts name something: what looks like a credential in them is still masked."""

_COMMANDS = frozenset({"argv", "command"})
_URLS = frozenset({"authorize_url", "device_url", "issuer", "proxy", "realm", "resource", "token_url", "url"})
_PREFIX = re.compile(r"[A-Za-z-]{0,16}[ :=]?")
_HIDDEN = "***"


def shown_settings(settings: Settings) -> dict[str, object]:
    """Give every key, defaults included, as JSON has it, and no secret."""
    return {name: _whole(name, getattr(settings, name)) for name in settings.__struct_fields__}


def known_keys() -> frozenset[str]:
    """The keys for whose texts it was decided whether they are shown."""
    return _PLAIN | _COMMANDS | _URLS | {"env", "headers", "prefix", "role_id"}


def _whole(name: str, value: object) -> object:
    """A table of settings with its defaults; for a rule, most of whose keys do not apply, only what was written."""
    if isinstance(value, Struct):
        return {key: _shown(key, getattr(value, key)) for key in value.__struct_fields__}
    return _shown(name, value)


def _shown(name: str, value: object) -> object:
    if isinstance(value, Struct):
        # msgspec leaves out defaults; the tag is not a field of the struct.
        return {key: _shown(key, getattr(value, key, plain)) for key, plain in to_builtins(value).items()}
    if isinstance(value, tuple) and all(isinstance(item, Struct) for item in value):
        return [_shown(name, item) for item in value]
    return _masked(name, to_builtins(value))


def _masked(name: str, value: object) -> object:
    if isinstance(value, dict):
        return {key: _masked(name, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [*mask_command(value)] if name in _COMMANDS else [_masked(name, item) for item in value]
    return _text(name, value) if isinstance(value, str) else value


def _text(name: str, text: str) -> str:
    if name in _PLAIN or name in _URLS:
        return mask_name(text) if name == "username" else mask_text(text)
    if name == "prefix" and _PREFIX.fullmatch(text):
        return text
    return _HIDDEN
