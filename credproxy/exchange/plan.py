"""What a question means for one registry: which login, which scopes, under which key. Decided without I/O.

It depends on the kind of URI::

    https://HOST/v2/...    the scopes of its endpoint: pull, push, the catalog      (TX-20, TX-22)
    HOST alone             what ``bare_host`` says: the login itself, a token for a list of scopes, or nothing (SC-18)
    a build action's       what policy granted and nothing else, whatever the rule's ``actions`` would add
    any other form         nothing

Source: docs/design/exchanges.md#endpoints, SC-18, RQ-2, CL-26 to CL-28.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.docker_hub import HUB_API
from credproxy.core.ask.endpoint import Endpoint, classify
from credproxy.core.ask.endpoint_reasons import NOT_A_URI_OF_REGISTRIES, SERVER_NOT_ANSWERED, endpoint_reason
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Form, Granted, Question, Repository, Target
from credproxy.core.ask.uri import canonical_authority, plain
from credproxy.core.kinds.oci import BareHost, OciHost
from credproxy.exchange.discovery import AskedRegistry
from credproxy.exchange.endpoint_scope import endpoint_scopes
from credproxy.exchange.realm import PAIRS
from credproxy.exchange.scope import canonical, repository_scope


ANONYMOUS = Identity("anonymous", "")
"""Stands for "without a login"."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What one question is for.

    Attributes:
        target: as the registry is addressed: over plain http where its rule says so.
        repository: picks a login that is stored for a path; None for a bare host.
        scopes: canonical, the primary one first; scopes of further repositories are those that a blob is mounted from.
        kind: a description for people.
        min_lifetime: seconds that a token must live to be useful (SC-18).
        narrow: nothing wider than the scopes may be given.
        for_gateway: only the gateway sends it, and nothing else sees it.
        exchanged: a token is wanted; False if the login itself is.
    """

    target: Target
    repository: RepositoryName | None
    scopes: tuple[str, ...]
    kind: str
    min_lifetime: float = 0.0
    narrow: bool = False
    for_gateway: bool = False
    exchanged: bool = True

    @property
    def mounted(self) -> tuple[str, ...]:
        """The scopes that the question can do without."""
        return () if self.repository is None else self.scopes[1:]

    @property
    def subject(self) -> str:
        """Its name in messages."""
        return f"registry {self.target.authority!r}"

    @property
    def contact(self) -> Target:
        """The host of the API: ``docker.io`` has none (TX-2)."""
        if self.target.authority == "docker.io":
            return replace(self.target, host=HUB_API)
        return self.target

    def key(self, identity: Identity) -> tuple[Hashable, ...]:
        """The key under which the answer is remembered: one exchange answers all questions that share it."""
        return ("oci", self.target.origin, identity, self.scopes, self.min_lifetime)

    def detail(self, identity: Identity) -> dict[str, str]:
        """What ``explain`` shows."""
        return {
            "provider": "oci",
            "registry": self.target.authority,
            "credential": str(identity),
            "kind": self.kind,
            "scopes": " ".join(self.scopes),
        }


@dataclass(frozen=True, slots=True)
class RegistryRule:
    """A host rule, applied to the registries that it matches.

    Attributes:
        settings: the rule; ``match`` is "" for the implicit rule of registries that the docker configuration names.
        exact: the rule, or the docker configuration, names the host itself and not a wildcard (SEC-4).
        last: no rule comes after it, so the gateway sends requests anonymously if it has no login.
    """

    settings: OciHost
    exact: bool
    last: bool = True

    def purpose(self, question: Question) -> Purpose | None:
        """Decide what a question is for; None for kinds that get no credential.

        Raises:
            Failed(policy_denied): a mount from a repository that ``actions`` does not let be pulled (TX-22).
        """
        target = question.target
        if question.grants is not None:
            return self._granted(target, question.grants, for_gateway=question.for_gateway)
        if target.form is Form.LITERAL:
            return None
        if target.form is Form.HOST:
            return self._bare(self._spoken_to(target))
        endpoint = self._endpoint(target)
        scopes = endpoint_scopes(endpoint, self.settings)
        if not scopes:
            return None
        return Purpose(target, endpoint.repository, self._sent(scopes), endpoint.kind.name.lower())

    def choose_login(self, purpose: Purpose, found: Identity | None) -> Identity | None:
        """Choose the login: the source's, or ANONYMOUS; None: the answer is ``{}``."""
        if found is not None or not purpose.exchanged:
            return found
        return ANONYMOUS if self.anonymous or (purpose.for_gateway and self.last) else None

    @property
    def anonymous(self) -> bool:
        """Whether requests may be made without a login."""
        return self.settings.anonymous == "pull"

    @property
    def public(self) -> bool:
        """Whether all that it has is public: nobody wrote the rule, which does without a login."""
        return self.anonymous and not self.last

    @property
    def needs_login(self) -> bool:
        """Whether a broken source is an error: it is for a rule that names its registry (P-12)."""
        return self.settings.match != "" and not self.anonymous

    def reason(self, target: Target) -> str | None:
        """Say why a question of the helper socket gets no credential; None if only the login is missing."""
        settings = self.settings
        if target.form is Form.LITERAL:
            return NOT_A_URI_OF_REGISTRIES
        if target.form is Form.HOST:
            if settings.bare_host == "none":
                return 'its rule says bare_host = "none": a question without a repository gets nothing'
            if isinstance(settings.bare_host, BareHost) and settings.single_scope:
                return "its rule says single_scope = true, so there is no single token for the scopes of bare_host"
            return None
        endpoint = self._endpoint(target)
        return None if endpoint_scopes(endpoint, settings) else self._no_scopes(target, endpoint)

    def reach(self, purpose: Purpose) -> Reach:
        """Where the gateway reaches the registry's API."""
        return Reach(purpose.contact.origin, self.dial(purpose.target), self.settings.path_prefix or "")

    def dial(self, target: Target) -> Dial:
        """Where the registry may be reached."""
        settings = self.settings
        return Dial(
            networks=settings.allow_private,
            own=self.exact,
            ca_bundle=settings.ca_bundle,
            tls_verify=settings.tls_verify,
            proxy=settings.proxy,
            rule=settings.match or target.authority,
            client_cert=settings.client_cert,
            client_key=settings.client_key,
            # What docker and podman use for the registry, where no rule says otherwise.
            certs_d="" if settings.ca_bundle or settings.client_cert or settings.insecure else target.authority,
        )

    def registry(self, target: Target) -> AskedRegistry:
        """The registry as addressed by an exchange."""
        settings = self.settings
        return AskedRegistry(
            target=Target(target.scheme, target.host, target.port, "", "", target.form),
            prefix=settings.path_prefix or "",
            dial=self.dial(target),
            realm=settings.realm,
            service=settings.service,
            # A host that cannot be parsed stays as written, and matches nothing.
            realm_hosts=frozenset(canonical_authority(name) or name for name in settings.realm_hosts),
        )

    def _bare(self, target: Target) -> Purpose | None:
        """Choose among SC-18's answers for a question without a repository; a token without scopes would be useless."""
        bare = self.settings.bare_host
        if isinstance(bare, BareHost):
            if self.settings.single_scope:
                return None
            return Purpose(target, None, canonical(bare.scopes), "bare host", bare.min_lifetime)
        if bare == "none":
            return None
        return Purpose(target, None, (), "bare host, a login for the client's own exchange", exchanged=False)

    def _granted(self, target: Target, grants: tuple[Granted, ...], *, for_gateway: bool) -> Purpose | None:
        repositories = [one for one in grants if isinstance(one, Repository)]
        if not repositories:
            return None  # its tokens are for repositories, and an object is not one
        scopes = self._sent(canonical(repository_scope(name, actions) for name, actions in repositories))
        if for_gateway:
            return Purpose(self._spoken_to(target), repositories[0].name, scopes, "gateway", for_gateway=True)
        if target.form is Form.HOST:
            life = BareHost(scopes).min_lifetime
            return Purpose(self._spoken_to(target), None, scopes, "bare host, build action", life, narrow=True)
        return Purpose(target, repositories[0].name, scopes, "build action", narrow=True)

    def _sent(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        return scopes[:1] if self.settings.single_scope else scopes

    def _spoken_to(self, target: Target) -> Target:
        return plain(target) if self.settings.insecure else target

    def _endpoint(self, target: Target) -> Endpoint:
        return classify(target.path, target.query, prefix=self.settings.path_prefix)

    def _no_scopes(self, target: Target, endpoint: Endpoint) -> str:
        if endpoint.repository is not None:
            return f"its rule's actions name nothing that may be done with {endpoint.repository!r}"
        if any(target.authority == realm for _, realm in PAIRS) and not target.path.startswith("/v2/"):
            return SERVER_NOT_ANSWERED
        return endpoint_reason(target, self.settings.path_prefix)
