"""Which scopes a question needs: from its endpoint and the configuration, never from a challenge (TX-24, F14).

Source: docs/design/exchanges.md#endpoints, TX-22 and TX-26.
"""

from credproxy.core.ask.endpoint import Endpoint, Kind
from credproxy.core.errors import Code, failed
from credproxy.core.hints import in_host
from credproxy.core.kinds.oci import OciHost
from credproxy.core.policy.globs import most_specific
from credproxy.exchange.scope import canonical, repository_scope


_PULL = ("pull",)
_UPLOAD = ("pull", "push")


def endpoint_scopes(endpoint: Endpoint, settings: OciHost) -> tuple[str, ...]:
    """The scopes in canonical form; empty for an endpoint that needs or gets no token.

    Raises:
        Failed(policy_denied): a mount from a repository that ``actions`` does not let be pulled (TX-22).
    """
    name = endpoint.repository
    if endpoint.kind is Kind.CATALOG:
        return ("registry:catalog:*",) if settings.allow_catalog else ()
    if name is None:
        return ()
    if endpoint.kind in {Kind.READ, Kind.MANIFEST}:
        return canonical([repository_scope(name, _actions(settings, name))])
    if endpoint.kind is Kind.UPLOAD:
        return canonical([repository_scope(name, _UPLOAD), *_mounted(settings, endpoint.mount_from)])
    return ()


def _mounted(settings: OciHost, source: str | None) -> list[str]:
    if source is None:
        return []
    # Otherwise a client could mount, and so read, a blob that it may not pull (TX-22).
    if not {"pull", "*"} & set(_actions(settings, source)):
        setting = f'actions = {{ "{source}" = ["pull"] }}'
        raise failed(
            Code.POLICY_DENIED,
            f"a blob may not be mounted from {source!r}: its actions do not include pull",
            hint=f"allow it {in_host(settings.match, setting)}",
        )
    return [repository_scope(source, _PULL)]


def _actions(settings: OciHost, repository: str) -> tuple[str, ...]:
    found = most_specific(settings.actions, repository)
    return _PULL if found is None else found
