"""What a build action may have: ordered rules, the first that matches decides, nothing without one.

Decided on the canonical registry and repository before anything is looked up or asked (design.md rule 5, SEC-16). The
answer is what its token will grant, so that nobody behind this module has to know a rule.
"""

from collections.abc import Sequence
from typing import NamedTuple

from credproxy.core.endpoint import Kind, classify
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.globs import matches
from credproxy.core.hub import is_hub
from credproxy.core.routing import Router
from credproxy.core.settings import ActionRule, OciHost, Operation
from credproxy.core.target import Form, Granted, Target
from credproxy.core.uri import canonical_authority


_READ: tuple[Operation, ...] = ("blob:read", "manifest:read")
_WRITE: tuple[Operation, ...] = ("blob:write", "manifest:write")


class Decision(NamedTuple):
    """Whether it is allowed, and the index of the rule that says so; None where no rule matches."""

    allowed: bool
    rule: int | None


class Policy:
    """The rules of one configuration.

    Args:
        rules: in the order of the file.
        router: knows what stands before ``/v2`` on a host (``path_prefix``).
    """

    def __init__(self, rules: Sequence[ActionRule], router: Router) -> None:
        self._rules = tuple(rules)
        self._router = router

    def decide(self, registry: str, repository: str, operation: Operation) -> Decision:
        """Find the first rule that matches. ``registry`` is canonical, such as ``ghcr.io`` or ``reg.test:5000``."""
        for index, rule in enumerate(self._rules):
            wanted = operation in rule.operations or "*" in rule.operations
            if wanted and covers_registry(rule.registry, registry) and matches(rule.repository, repository):
                return Decision(rule.action == "allow", index)
        return Decision(allowed=False, rule=None)

    def grants(self, target: Target) -> tuple[Granted, ...]:
        """Give what a token for this URI may grant; nothing for a kind of URI that gets no credential.

        Raises:
            Failed(policy_denied): no rule allows it, or one denies it: the message names it, the hint is the remedy.
            Failed(use_gateway): it is allowed, but no token is as narrow.
        """
        if target.form is Form.LITERAL:
            return ()
        if target.form is Form.HOST:
            return self._bare(target.authority)
        rule = self._router.match(target)
        prefix = rule.path_prefix if isinstance(rule, OciHost) else None
        endpoint = classify(target.path, target.query, prefix)
        if endpoint.repository is None:
            return ()
        if endpoint.kind is Kind.UPLOAD:
            return self._upload(target.authority, endpoint.repository, endpoint.mount_from)
        return ((endpoint.repository, self._read(target, endpoint.repository, endpoint.kind)),)

    def _read(self, target: Target, name: str, kind: Kind) -> tuple[str, ...]:
        registry = target.authority
        self._require(registry, name, read_operation(target.path))
        # A manifest's URI is asked about before a push as well (TX-26).
        pushed = kind is Kind.MANIFEST and self._may(registry, name, *_READ, *_WRITE)
        return ("pull", "push") if pushed else ("pull",)

    def _upload(self, registry: str, name: str, mount_from: str | None) -> tuple[Granted, ...]:
        self._require(registry, name, "blob:write")
        self._require_whole_push(registry, name)
        if mount_from is None:
            return ((name, ("pull", "push")),)
        self._require(registry, mount_from, "blob:read")
        return ((name, ("pull", "push")), (mount_from, ("pull",)))

    def _bare(self, registry: str) -> tuple[Granted, ...]:
        """What ``bare_host_scopes`` lists for a registry, each scope within the rules themselves (SC-18.2)."""
        rule = next((rule for rule in self._rules if rule.bare_host_scopes and _allows(rule, registry)), None)
        granted = [] if rule is None else [split_scope(scope) for scope in rule.bare_host_scopes]
        for name, actions in granted:
            self._require(registry, name, "blob:read")
            self._require(registry, name, "manifest:read")
            if "push" in actions:
                self._require(registry, name, "blob:write")
                self._require_whole_push(registry, name)
        return tuple(granted)

    def _may(self, registry: str, repository: str, *operations: Operation) -> bool:
        return all(self.decide(registry, repository, operation).allowed for operation in operations)

    def _require(self, registry: str, repository: str, operation: Operation) -> None:
        decision = self.decide(registry, repository, operation)
        if not decision.allowed:
            raise _denied(registry, repository, operation, decision.rule)

    def _require_whole_push(self, registry: str, repository: str) -> None:
        # A registry's push token overwrites tags and reads everything, whatever it was asked for.
        if not self._may(registry, repository, *_READ, *_WRITE):
            raise failed(
                Code.USE_GATEWAY,
                f"a token that may write blobs of {repository!r} may write its manifests and read it, "
                "and the rules do not allow all of that",
                f"credproxy actions allow --write '{registry}/{repository}'",
            )


def covers_registry(pattern: str, registry: str) -> bool:
    """Tell whether a rule's ``registry`` means this one: exactly, by ``*.suffix``, or as another name of Docker Hub."""
    if pattern.startswith("*."):
        return registry.endswith(pattern[1:].lower())
    return (canonical_authority(pattern) or pattern) == registry or (is_hub(pattern) and is_hub(registry))


def read_operation(path: str) -> Operation:
    """What reading this path is: tags and referrers are read as manifests are."""
    return "blob:read" if path.split("/")[-2:-1] == ["blobs"] else "manifest:read"


def split_scope(scope: str) -> Granted:
    """Read ``repository:<name>:<actions>``. Raises ValueError where it is none."""
    kind, name, actions = scope.split(":")
    wanted = tuple(actions.split(","))
    if kind != "repository" or not name or not set(wanted) <= {"pull", "push"} or "pull" not in wanted:
        raise ValueError(scope)
    return name, wanted


def _allows(rule: ActionRule, registry: str) -> bool:
    return rule.action == "allow" and covers_registry(rule.registry, registry)


def _denied(registry: str, repository: str, operation: Operation, rule: int | None) -> Failed:
    what = f"{operation} of {repository!r} at {registry!r}"
    if rule is not None:
        hint = f"it is actions.rule[{rule}] of the configuration; the first rule that matches decides"
        return failed(Code.POLICY_DENIED, f"actions.rule[{rule}] denies build actions {what}", hint)
    write = "--write " if operation in _WRITE else ""
    hint = f"credproxy actions allow {write}'{registry}/{repository}'"
    return failed(Code.POLICY_DENIED, f"no rule allows build actions {what}", hint)
