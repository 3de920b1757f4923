"""Which provider answers: that of the most specific rule, else one that works without a rule."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from credproxy.core.ask.aws_hosts import r2_mistaken
from credproxy.core.ask.credential import Stored
from credproxy.core.ask.docker_hub import is_hub
from credproxy.core.ask.endpoint_reasons import OF_REGISTRIES, SERVER_NOT_ANSWERED, next_step, storage_reason
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import without_port
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.target import Form, Object, Question, Target
from credproxy.core.ask.uri import canonical_authority, plain, plaintext_allowed
from credproxy.core.errors import FETCH, GATEWAY, Code, Failed, Failure, failed
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.uses import NOT_INSTALLED
from credproxy.core.policy.routing import Router, is_exact
from credproxy.ports.provider import HasLogin, Plan, Provider, Remembers
from credproxy.ports.source import Caches, Source
from credproxy.ports.trouble import first_trouble


class Routed(NamedTuple):
    """A decision: ``plan`` is None if the answer is ``{}``; ``rule`` is the ``match`` of the rule, "" for none.

    ``reach`` is where the gateway finds the registry; ``trouble`` what is broken, so that there may be no plan for it, or one without a login.
    """

    plan: Plan | None
    rule: str
    reach: Reach
    trouble: Failure | None = None


class Table:
    """The rules of one configuration.

    Args:
        router: finds the rule.
        providers: by the rule's key, see ``Router.key``.
        fallback: asked in turn where no rule matches, until one gives a plan.
        sources: that the providers have.
        learned: what upstreams taught the providers; None for nothing.
    """

    def __init__(
        self,
        router: Router,
        providers: Mapping[str, Provider],
        *,
        fallback: Sequence[Provider] = (),
        sources: Sequence[Source] = (),
        learned: Remembers | None = None,
    ) -> None:
        self._router = router
        self._providers = providers
        self._fallback = fallback
        self._sources = sources
        self._learned = learned

    async def plan(self, question: Question) -> Routed:
        """Decide how a question is answered.

        Raises:
            Failed: there should be an answer but there is none; use_gateway if a build action asks and the credential
                cannot be narrowed.
        """
        providers, rule = self._responsible(question.target)
        match, reach = "" if rule is None else rule.match, _reach(question.target, rule)
        if question.grants == ():
            return Routed(None, match, reach)
        for provider in providers:
            plan = await provider.plan(question)
            if plan is None:
                continue
            if question.grants is not None and not (plan.narrow or question.for_gateway):
                raise _too_wide(question)
            return Routed(plan, match, plan.reach or reach, plan.trouble)
        return Routed(None, match, reach, first_trouble(providers, question.target))

    async def check(self, question: Question) -> None:
        """Check whether the exchange that ``plan`` has decided on could begin. Raises Failed if it could not."""
        for provider in self._responsible(question.target)[0]:
            plan = await provider.plan(question)
            if plan is not None:
                await provider.check(plan, question.target)
                return

    def why_nothing(self, question: Question) -> tuple[str, ...]:
        """Say why ``plan`` has just given no plan for a question of the helper socket: a sentence for each reason."""
        target = question.target
        providers, rule = self._responsible(target)
        if is_signed(target) and (rule is None or rule.match in self._router.builtin):
            return (REASON,)
        if rule is None or not providers:
            found = [self._without_rule(target, rule)]
        else:
            written = "built-in rule" if rule.match in self._router.builtin else "rule"
            found = [f"the {written} {rule.match!r} answers for it"]
        storage = r2_mistaken(target.host) or storage_reason(target)
        if storage and rule is None:
            return (*found, storage)
        # Registries are asked after a built-in rule, and know nothing of a host of another kind.
        left_out = frozenset[str]() if rule is None or rule.is_registry else OF_REGISTRIES
        for provider in providers:
            found += (reason for reason in provider.reasons(question) if reason not in left_out)
        step = self._next_step(target, rule) if providers else ""
        if step and SERVER_NOT_ANSWERED not in found:
            install = next((said.partition(NOT_INSTALLED)[2] for said in found if NOT_INSTALLED in said), "")
            found.append(f"to have a login for it: {f'{install}; then, unless it is done: ' if install else ''}{step}")
        return tuple(dict.fromkeys(found))

    def _next_step(self, target: Target, rule: HostRule | None) -> str:
        """What a person does so that there is a login for a target; "" if none would help."""
        if rule is None:
            return next_step(target, None)
        if rule.match in self._router.builtin:
            return "" if rule.withheld(target) else rule.setup(target)
        # A rule of another kind that somebody wrote fails where there is no login.
        return rule.setup(target) if rule.is_registry and next_step(target, rule.api_prefix()) else ""

    def _without_rule(self, target: Target, rule: HostRule | None) -> str:
        if not plaintext_allowed(target, insecure=rule is not None and rule.insecure):
            where = "its [[host]]" if rule is not None else "a [[host]] for it"
            return f"no credential is sent over plain http: ask for https://, or write insecure = true into {where}"
        matches = self._router.near(target)
        near = ", ".join(map(repr, matches))
        if target.form is Form.LITERAL:
            said = f"{target.authority!r} in this form is answered by a [[host]] for exactly that, never by a wildcard"
            return f"{said} such as {near}" if near else said
        if near and self._router.builtin.issuperset(matches):
            return f"no [[host]] matches {target.authority!r}, and the built-in rule {near} is not for this URL of it"
        if near:
            return f"no [[host]] matches this port and path of {target.host!r}, only {near}"
        return f"no [[host]] matches {target.authority!r}"

    async def stored(self, target: Target) -> Stored | None:
        """Give the stored login for a target, or None. Raises Failed as ``plan`` does."""
        providers, _ = self._responsible(target)
        for provider in providers:
            stored = await provider.stored(target) if isinstance(provider, HasLogin) else None
            if stored is not None:
                return stored
        return None

    def memories(self, wanted: Callable[[str], bool]) -> Iterator[Callable[[], None]]:
        """Give what has to be called to forget what is remembered outside of an era's own memory.

        Args:
            wanted: selects the authorities; sources forget everything.
        """
        for source in self._sources:
            if isinstance(source, Caches):
                yield source.forget
        for one in (self._learned, *self._providers.values(), *self._fallback):
            if isinstance(one, Remembers):
                yield partial(one.forget, wanted)

    def _responsible(self, target: Target) -> tuple[Sequence[Provider], HostRule | None]:
        rule = self._router.match(target)
        # A credential on a plain connection is readable by anyone; except for loopback, the configuration must allow it (SC-4).
        if not plaintext_allowed(target, insecure=rule is not None and rule.insecure):
            return (), rule
        written = rule is not None and rule.match not in self._router.builtin
        # A signed URL takes no header, unless somebody wrote a rule for it.
        if not written and is_signed(target):
            return (), rule
        if rule is None:
            return self._fallback, None
        # A built-in rule is not the user's decision: without a login for it, what works without rules is asked as usual.
        return (self._providers[self._router.key(rule)], *(() if written else self._fallback)), rule


def _too_wide(question: Question) -> Failed:
    host = question.target.authority
    message = f"no build action is given the credential for {host!r}: it cannot be limited to what was asked for"
    return failed(Code.USE_GATEWAY, message, hint=_elsewhere(question))


def _elsewhere(question: Question) -> str:
    """How a build action can get something for which it cannot be given a credential."""
    return FETCH if any(isinstance(granted, Object) for granted in question.grants or ()) else GATEWAY


def _reach(target: Target, rule: HostRule | None) -> Reach:
    asked = plain(target) if rule is not None and rule.insecure else target
    # A host named exactly is named on purpose: its own addresses may be private (SEC-4).
    api = "" if rule is None else rule.release_api(asked)
    if rule is None:
        return Reach(asked.origin, Dial())
    pair = (rule.client_cert, rule.client_key) if rule.shows_hosts else (None, None)
    dial = Dial(own=is_exact(rule), client_cert=pair[0], client_key=pair[1], rule=rule.match, kind=rule.tag())
    return Reach(asked.origin, dial, release_api=api)


def can_cover(match: str) -> bool:
    """Whether it is a valid selection: ``host``, ``host:port``, ``*.suffix`` or ``*``."""
    return match == "*" or canonical_authority(match.rpartition("@")[2].removeprefix("*.")) is not None


def covers(match: str | None) -> Callable[[str], bool]:
    """Select the authorities meant by ``host`` (any port), ``host:port``, ``*.suffix``, or None for all."""
    if match is None or match == "*":
        return lambda _: True
    if match.startswith("*."):
        suffix = match[1:].lower()
        return lambda authority: without_port(authority).endswith(suffix)
    meant = canonical_authority(match.rpartition("@")[2]) or match
    return lambda authority: meant in {authority, without_port(authority)} or (is_hub(meant) and is_hub(authority))
