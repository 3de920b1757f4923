"""What a build action may have: ordered rules, the first that matches decides, nothing without one.

Decided from the canonical registry and repository before anything is looked up or sent (SEC-16). In
header mode the answer is what its token will grant, so that no code after this module has to know a rule; the gateway
asks about each request, and its credential never leaves the daemon.
"""

from collections.abc import Sequence
from shlex import quote
from typing import Protocol

from credproxy.core.ask.docker_hub import HUB, is_hub
from credproxy.core.ask.endpoint import Endpoint, Kind, classify
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Form, Granted, Object, Repository, Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds import HostRule
from credproxy.core.policy.action_rules import ActionRules, Decision
from credproxy.core.policy.objects import is_object
from credproxy.core.policy.operations import EVERYTHING, READ, needed, read_operation
from credproxy.core.policy.routing import Router
from credproxy.core.policy.rules import ActionRule, Operation


_METHODS = ("GET", "HEAD")


class RulesLocation(Protocol):
    """Where rules are written: what a refusal calls one of them, and how its reader adds one."""

    def name(self, index: int) -> str:
        """Name a rule so that people find it."""
        ...

    def remedy(self, *, registry: str, repository: str, write: bool) -> str:
        """Say what would allow this: a command, or the text to put into a file. Made from the question only (T19)."""
        ...

    def remedy_for(self, url: str) -> str:
        """Say what would allow an object. Also made from the question only."""
        ...


class Configuration:
    """Rules of the configuration itself, ``[[actions.rule]]``."""

    def name(self, index: int) -> str:
        """Such as ``actions.rule[0]``."""
        return f"actions.rule[{index}]"

    def remedy(self, *, registry: str, repository: str, write: bool) -> str:
        """A command."""
        return f"credproxy actions allow {'--write ' if write else ''}'{registry}/{repository}'"

    def remedy_for(self, url: str) -> str:
        """A command."""
        return f"credproxy actions allow {quote(url)}"


class Policy:
    """The rules in force.

    Args:
        rules: in their order.
        router: knows what comes before ``/v2`` on a host (``path_prefix``).
        place: where the rules are written.

    Attributes:
        rules: likewise.
    """

    def __init__(self, rules: Sequence[ActionRule], router: Router, *, place: RulesLocation | None = None) -> None:
        self.rules = ActionRules(rules)
        self._router = router
        self._place = place or Configuration()

    def opened(self, target: Target) -> str:
        """A pattern of all that the narrowest credential for a target reads, where that is more than the target; else ""."""
        rule = self._router.match(target)
        openings = () if rule is None else rule.openings(target)
        return openings[-1][0] if openings else ""

    def why_header(self, target: Target) -> tuple[bool, str]:
        """Whether an action that may have an object is given a header for it, and why, where ``opened`` gives nothing."""
        rule = self._router.match(target)
        if rule is None:
            return False, "no [[host]] answers for it"
        if rule.for_one_url:
            return True, "a signature for this URL alone"
        return False, f'the credential of provider = "{rule.tag()}" cannot be narrowed to it'

    def at_registry(self, target: Target) -> bool:
        """Whether its host is a registry by the configuration: there are no objects there, but repositories."""
        rule = self._router.match(target)
        return rule is not None and rule.is_registry

    def name(self, decision: Decision) -> str | None:
        """Name the rule that decides; None if none matches."""
        return None if decision.rule is None else self._place.name(decision.rule)

    def deciding(self, registry: Authority, repository: RepositoryName, *, operation: Operation) -> str | None:
        """The same for an operation on a repository."""
        return self.name(self.rules.decide(registry, repository, operation=operation))

    def too_wide(self) -> tuple[str, ...]:
        """Name rules that are broader than people usually intend, such as ``actions.rule[0] allows every registry``."""
        return tuple(f"{self._place.name(index)} {problem}" for index, problem in self.rules.too_wide())

    def require(
        self, registry: Authority, repository: RepositoryName, *operations: Operation, urls: Sequence[Target] = ()
    ) -> None:
        """Permit it if one of these operations is allowed; ``urls`` as for ``ActionRules.decide``.

        Raises:
            Failed(policy_denied): none is; the message names the rule that denies the first, the hint is the remedy.
        """
        decisions = [
            self.rules.decide(registry, repository, operation=operation, urls=urls) for operation in operations
        ]
        if not any(decision.allowed for decision in decisions):
            remedy = self._place.remedy(registry=registry, repository=repository, write=operations[0] not in READ)
            raise self._denied(f"{operations[0]} of {repository!r} at {registry!r}", decisions[0], remedy)

    def permit_object(self, target: Target, method: str) -> None:
        """Permit one request for an object, or raise.

        Raises:
            Failed(policy_denied): as ``require``.
            Failed(bad_request): its URL can be read in two ways.
        """
        if not is_object(target):
            raise failed(
                Code.BAD_REQUEST, "the URL names no object, or can be read in two ways", hint="ask for one path"
            )
        decision = self.rules.decide_object(target, method)
        if not decision.allowed:
            url = f"{target.origin}{target.path}"
            # A pattern without a query matches no URL with one.
            remedy = self._place.remedy_for(f"{url}?*" if target.query else url)
            raise self._denied(f"{method} of {url!r}", decision, remedy)

    def permit(self, registry: Authority, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Permit one request to a registry, or raise; a mount also reads its source (TX-22).

        Args:
            registry: canonical.
            method: in upper case.
            path: what ``endpoint`` was read from.
            endpoint: that names a repository; others are never permitted.

        Raises:
            Failed(policy_denied): as ``require``.
            Failed(not_found): not an endpoint of a repository.
            Failed(method_not_allowed): none of this endpoint's methods.
        """
        if endpoint.repository is None:
            raise failed(Code.NOT_FOUND, "the path names no repository's blob, manifest, tags or referrers")
        operations = needed(method, path, kind=endpoint.kind)
        if not operations:
            raise failed(Code.METHOD_NOT_ALLOWED, f"tags and referrers are read with GET, not with {method}")
        self.require(registry, endpoint.repository, *operations, urls=self._spellings(registry, path))
        if endpoint.mount_from is not None:
            self.require(registry, endpoint.mount_from, "blob:read")

    def grants(self, target: Target) -> tuple[Granted, ...]:
        """Give what a token for this URI may grant; nothing for a kind of URI that gets no credential.

        Raises:
            Failed(policy_denied): no rule allows it, or one denies it: the message names it, the hint is the remedy.
            Failed(use_gateway): it is allowed, but no token is that narrow.
        """
        if target.form is Form.LITERAL:
            return ()
        if target.form is Form.HOST:
            return self._bare(target.authority)
        rule = self._router.match(target)
        prefix = None if rule is None else rule.api_prefix()
        endpoint = classify(target.path, target.query, prefix=prefix)
        if endpoint.repository is None:
            return self._object(target, rule)
        if endpoint.kind is Kind.UPLOAD:
            return self._upload(target.authority, endpoint.repository, endpoint.mount_from)
        return (Repository(endpoint.repository, self._read(target, endpoint.repository, endpoint.kind)),)

    def _spellings(self, registry: Authority, path: str) -> tuple[Target, ...]:
        """The URLs by which a rule may mean this one: by http too, at each name of Docker Hub, with the registry's own prefix.

        Empty if no rule denies URLs: this runs for each request of the gateway.
        """
        if not self.rules.deny_urls:
            return ()
        names = sorted(HUB) if is_hub(registry) else (registry,)
        rule = self._router.match(parse_uri(f"https://{registry}{path}"))
        prefix = (rule.api_prefix() if rule is not None else None) or ""
        paths = {path, f"{prefix}{path}"} if path.startswith("/v2/") else {path}
        return tuple(
            parse_uri(f"{scheme}://{name}{each}")
            for scheme in ("https", "http")
            for name in names
            for each in sorted(paths)
        )

    def _object(self, target: Target, rule: HostRule | None) -> tuple[Granted, ...]:
        """The object, if rules allow it; nothing for a URL that neither rules nor hosts' configuration know.

        If the rules allow everything that the narrowest credential for it would open, that comes with it.
        """
        configured = rule is not None and not rule.is_registry
        methods = tuple(method for method in _METHODS if self.rules.decide_object(target, method).allowed)
        if methods:
            openings = () if rule is None else rule.openings(target)
            wider = next((opened[0] for opened in openings if self.rules.allow_all(opened)), None)
            own = Object(f"{target.origin}{target.path}", methods)
            return (own,) if wider is None else (own, Object(wider, _METHODS))
        if is_object(target) and (configured or self.rules.decide_object(target, "GET").rule is not None):
            self.permit_object(target, "GET")
        return ()

    def _read(self, target: Target, name: RepositoryName, kind: Kind) -> tuple[str, ...]:
        registry = target.authority
        self.require(registry, name, read_operation(target.path), urls=self._spellings(registry, target.path))
        # A manifest's URI is asked about before a push as well (TX-26).
        pushed = kind is Kind.MANIFEST and self._may_push(registry, name)
        return ("pull", "push") if pushed else ("pull",)

    def _upload(
        self, registry: Authority, name: RepositoryName, mount_from: RepositoryName | None
    ) -> tuple[Granted, ...]:
        self.require(registry, name, "blob:write")
        self._require_push(registry, name)
        if mount_from is None:
            return (Repository(name, ("pull", "push")),)
        self.require(registry, mount_from, "blob:read")
        return (Repository(name, ("pull", "push")), Repository(mount_from, ("pull",)))

    def _bare(self, registry: Authority) -> tuple[Granted, ...]:
        """What ``bare_host_scopes`` lists for a registry, each scope within the rules themselves (SC-18)."""
        granted = self.rules.bare_host_scopes(registry)
        for name, actions in granted:
            for operation in READ:
                self.require(registry, name, operation)
            if "push" in actions:
                self.require(registry, name, "blob:write")
                self._require_push(registry, name)
        return granted

    def _may_push(self, registry: Authority, repository: RepositoryName) -> bool:
        return all(self.rules.decide(registry, repository, operation=operation).allowed for operation in EVERYTHING)

    def _require_push(self, registry: Authority, repository: RepositoryName) -> None:
        if not self._may_push(registry, repository):
            raise failed(
                Code.USE_GATEWAY,
                f"a token that may write blobs of {repository!r} may write its manifests and read it, "
                "and the rules do not allow all of that",
                hint=self._place.remedy(registry=registry, repository=repository, write=True),
            )

    def _denied(self, what: str, decision: Decision, remedy: str) -> Failed:
        rule = self.name(decision)
        if rule is not None:
            hint = f"the first rule that matches decides: one that allows it has to come before {rule}"
            return failed(Code.POLICY_DENIED, f"{rule} denies build actions {what}", hint=hint)
        return failed(Code.POLICY_DENIED, f"no rule allows build actions {what}", hint=remedy)
