"""Sends a stored secret in another form: ``header``, ``basic``, and every kind that says how it dresses a secret."""

from credproxy.core.ask.credential import Grant, Identity, Lifetime, Secret, Stored
from credproxy.core.ask.lifetime import EMPTY_KEEP
from credproxy.core.ask.login import Login, dressed
from credproxy.core.ask.message import unsendable
from credproxy.core.ask.stored import not_stored, unreadable, usable
from credproxy.core.ask.target import Form, Question, Target
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.dressed import DressedHost, Width
from credproxy.core.public_objects import or_public
from credproxy.ports.clock import Clock
from credproxy.ports.provider import Plan
from credproxy.ports.source import Guesses, Narrows, Ordered, Source
from credproxy.ports.terms import Terms
from credproxy.ports.trouble import trouble_of
from credproxy.providers.narrowing import check_opened, opening


class Dressed:
    """Answers for one rule. Source: ports.provider.Provider.

    Args:
        rule: knows how the secret is dressed, and how wide an answer is.
        source: where the secret is.
        clock: judges lifetimes.
        required: somebody wrote the rule, so a missing secret is an error, not "no credential" (P-12).
    """

    def __init__(self, rule: DressedHost, *, source: Source, clock: Clock, required: bool = True) -> None:
        self._rule = rule
        self._tag = rule.tag()
        self._source = source
        self._ordered = source if isinstance(source, Ordered) else None
        self._guesses = source if isinstance(source, Guesses) else None
        self._clock = clock
        self._required = required
        self._public = "" if required else rule.public_match

    async def plan(self, question: Question) -> Plan | None:
        """Plan for any URI of the rule; None if its kind withholds the secret, or if a built-in rule has none.

        Raises:
            Failed(credential_unreadable): somebody wrote the rule, and there is none.
        """
        target = question.target
        if self._rule.withheld(target):
            return None
        identity = await self._locate(target)
        if identity is None and self._required:
            raise self._missing(target)
        if identity is None:
            return None
        narrow = self._narrowed(question, identity)
        identity = narrow or identity
        width = self._rule.width(target)

        async def run(terms: Terms) -> Grant:
            try:
                login = await self._source.read(identity, target, anew=terms.anew)
            except Failed as error:
                raise or_public(error, self._public) from None
            if login is None and self._guesses is not None and self._guesses.guessed(identity):
                return self._nothing(target)
            return self._grant(login, identity, width, direct=narrow is None)

        return Plan(
            key=(self._tag, self._rule.match, width, identity),
            subject=f"the {self._rule.calls} for {target.authority!r}",
            upstream=f"source:{identity.source}",
            run=run,
            narrow=narrow is not None,
            identity=identity,
            guess="" if self._guesses is None else self._guesses.unasked(identity, target),
            detail={
                "provider": self._tag,
                **self._rule.about(width),
                "credential": str(identity),
                **self._passed(identity, target),
            },
        )

    async def check(self, plan: Plan, target: Target) -> None:
        """Look at what is stored. Raises Failed as ``run``."""
        login = None if plan.identity is None else await self._source.peek(plan.identity, target)
        if plan.identity is not None and login is not None:
            self._grant(login, plan.identity, self._rule.width(target))

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with its source."""
        return trouble_of(self._source, target)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """What its kind says, or where its source has looked."""
        withheld = self._rule.withheld(question.target)
        if withheld:
            return (withheld,)
        return () if question.target.form is Form.LITERAL else self._source.looked(question.target)

    def _narrowed(self, question: Question, identity: Identity) -> Identity | None:
        """The login narrowed for a build action; None if no build action asks, or it cannot be narrowed.

        Raises:
            Failed(use_gateway): it can, but not as far as the rules for build actions go.
        """
        if question.grants is None or question.for_gateway or not isinstance(self._source, Narrows):
            return None
        opened = opening(self._rule, question)
        if not opened:
            return None
        narrow = self._source.narrow(identity, question.target, opened=opened)
        return narrow if narrow is not None and check_opened(self._rule, question, calls=self._rule.calls) else None

    def _grant(self, login: Login | None, identity: Identity, width: Width, *, direct: bool = True) -> Grant:
        name = str(identity)
        if login is None:
            raise unreadable(name, self._rule.empty, hint=self._rule.remedy)
        headers = self._rule.dress(login.stored, name, width=width)
        if headers:
            headers += tuple((key, (Secret(value),)) for key, value in login.beside)
        problem = unsendable(headers)
        if problem is not None:  # so that explain and the log say it where the login is named, and nothing is kept
            raise unreadable(name, f"cannot be sent: {problem}", hint=self._rule.remedy)
        lifetime = dressed(login, name, boot=self._clock.boot())
        note = self._rule.note if headers else self._rule.unsent
        return Grant(headers, lifetime, note=note, direct=direct)

    def _nothing(self, target: Target) -> Grant:
        """What is given where its source only guessed that there is a login. Raises Failed where somebody wrote the rule."""
        if self._required:
            raise self._missing(target)
        return Grant((), Lifetime(since=self._clock.boot(), keep=EMPTY_KEEP), note=f"there is no {self._rule.lacks}")

    def _missing(self, target: Target) -> Failed:
        what = f"no {self._rule.lacks} for {target.authority!r}"
        return not_stored(what, self._source.looked(target), setup=self._rule.setup(target))

    def _passed(self, identity: Identity, target: Target) -> dict[str, str]:
        passed = () if self._ordered is None else self._ordered.passed(identity, target)
        return {"looked": "; ".join(passed)} if passed else {}

    async def _locate(self, target: Target) -> Identity | None:
        try:
            identity = await self._source.locate(target, None)
        except Failed as error:
            raise or_public(error, self._public) from None
        trouble = self.trouble(target) if identity is None and self._required else None
        if trouble is not None:
            raise Failed(trouble)
        return identity


class DressedLogin(Dressed):
    """The same for a stored login, which the docker helper protocol gives as it is."""

    async def stored(self, target: Target) -> Stored | None:
        """Give the login itself."""
        identity = await self._locate(target)
        login = None if identity is None else await self._source.read(identity, target)
        return None if login is None else usable(login.stored, str(identity), hint=self._rule.remedy)
