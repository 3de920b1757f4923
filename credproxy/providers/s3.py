"""``provider = "s3"``: signs one request at a time, with a key that is looked up once for all of them.

Its source remembers the key, so ten thousand objects of one bucket are one look at it and ten thousand signatures. The key
itself is never handed out.
"""

import hashlib
from collections.abc import Callable
from typing import Final, get_args

from cachetools import LRUCache

from credproxy.core.ask.aws_keys import aws_keys
from credproxy.core.ask.credential import Grant, Identity, Lifetime
from credproxy.core.ask.http import Dial, Method
from credproxy.core.ask.lifetime import EMPTY_KEEP
from credproxy.core.ask.login import Login, dressed
from credproxy.core.ask.stored import not_stored, unreadable
from credproxy.core.ask.target import Object, Question, Target
from credproxy.core.ask.uri import canonical_uri, plain
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.s3 import S3Host
from credproxy.core.kinds.uses import NOT_INSTALLED
from credproxy.core.policy.routing import is_exact
from credproxy.core.public_objects import or_public
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient
from credproxy.ports.provider import Plan
from credproxy.ports.signing import AwsSigner
from credproxy.ports.source import Ordered, Source
from credproxy.ports.terms import Terms
from credproxy.ports.trouble import trouble_of
from credproxy.providers.bucket_regions import BucketRegions
from credproxy.providers.signing_keys import SigningKey, SigningKeys


SIGNATURE_LIFE: Final = 300.0
"""Seconds for which a signature is handed out: servers take it for 15 minutes."""

_SHARED: Final = 64


class S3Provider:
    """Answers for one rule. Source: ports.provider.Provider.

    Args:
        rule: knows regions, and what is signed.
        source: where the key is.
        signer: signs.
        http: asks buckets for their region.
        clock: judges lifetimes.
        required: somebody wrote the rule, so a missing key is an error, not "no credential" (P-12).
    """

    def __init__(
        self, rule: S3Host, *, source: Source, signer: AwsSigner, http: HttpClient, clock: Clock, required: bool
    ) -> None:
        self._rule = rule
        self._source = source
        self._ordered = source if isinstance(source, Ordered) else None
        self._signer = signer
        self._clock = clock
        self._required = required
        self._public = "" if required else rule.public_match
        self._keys = SigningKeys(source, signer, clock=clock, required=required)
        self._regions = BucketRegions(http)
        self._dial = Dial(own=is_exact(rule), rule=rule.match, kind=rule.tag())
        # Shared, because there may be 100,000 plans, one for each URL.
        self._details: LRUCache[tuple[Identity, Method], dict[str, str]] = LRUCache(_SHARED)
        self._bases: LRUCache[tuple[Identity, str | None], Plan] = LRUCache(_SHARED)

    async def plan(self, question: Question) -> Plan | None:
        """Every URL of the rule is signed, unless it already is.

        Raises:
            Failed(credential_unreadable): somebody wrote the rule, and there is no key, or nothing that signs.
        """
        target = plain(question.target) if self._rule.insecure else question.target
        if self._rule.withheld(target) or (self._signer.lacking and not self._required):
            return None
        if self._signer.lacking:
            raise unreadable("the library that signs", "is not installed", hint=self._signer.lacking)
        identity = await self._locate(target)
        if identity is None:
            return None
        method, narrow = _signed_for(question)
        # A URL may hold a secret, and a key is shown and kept: its digest distinguishes URLs just as well (SEC-17).
        what = hashlib.sha256(canonical_uri(target).encode()).digest()

        # The bucket that has to be asked about its region first; None if that is known without.
        region = self._rule.region_of(target)
        bucket = None if region else self._rule.bucket_url(target)
        basis = self._basis(identity, bucket, target)

        async def run(terms: Terms) -> Grant:
            await basis.run(terms)
            grant = make()
            assert grant is not None  # it waits for nothing, so nothing is forgotten meanwhile
            return grant

        def make() -> Grant | None:
            found = self._keys.known(identity)
            place = region if bucket is None else self._regions.known(bucket)
            if found is None or place is None:
                return None
            return self._made(found.key, place, target, method=method, identity=identity)

        return Plan(
            key=(self._rule.tag(), self._rule.match, method, what, identity),
            subject=f"the signature for {target.authority!r}",
            upstream=basis.upstream,
            run=run,
            narrow=narrow,
            identity=identity,
            detail=self._detail(identity, method, target),
            basis=basis,
            make=make,
        )

    async def check(self, plan: Plan, target: Target) -> None:
        """Look at the key. Raises Failed as ``run``."""
        login = None if plan.identity is None else await self._source.peek(plan.identity, target)
        if plan.identity is not None and login is not None:
            self._life(login, plan.identity)
            aws_keys(login.stored, str(plan.identity))

    def trouble(self, target: Target) -> Failure | None:
        """What is wrong with its source."""
        return trouble_of(self._source, target)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """What its kind says, what is not installed, or where its source has looked."""
        if withheld := self._rule.withheld(question.target):
            return (withheld,)
        if self._signer.lacking:
            return (f"the library that signs{NOT_INSTALLED}{self._signer.lacking}",)
        return self._source.looked(question.target)

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Forget keys and regions."""
        del wanted
        self._keys.forget()
        self._regions.forget()

    async def _locate(self, target: Target) -> Identity | None:
        try:
            identity = await self._source.locate(target, None)
        except Failed as error:
            raise or_public(error, self._public) from None
        if identity is None and self._required:
            if (trouble := self.trouble(target)) is not None:
                raise Failed(trouble)
            looked = self._source.looked(target)
            raise not_stored(f"no access key for {target.authority!r}", looked, setup=self._rule.setup(target))
        return identity

    def _basis(self, identity: Identity, bucket: str | None, target: Target) -> Plan:
        """How the key is looked up, and a bucket asked for its region; ``target`` is any that they are for."""
        known = self._bases.get((identity, bucket))
        if known is not None:
            return known

        async def run(terms: Terms) -> Grant:
            if bucket is not None:
                subject = f"host {target.authority!r}"
                await self._regions.region(bucket, dial=self._dial, subject=subject, terms=terms)
            try:
                await self._keys.look(identity, target, anew=terms.anew)
            except Failed as error:
                raise or_public(error, self._public) from None
            return Grant((), Lifetime(since=self._clock.boot()))

        found = self._bases[identity, bucket] = Plan(
            key=(self._rule.tag(), self._rule.match, bucket, identity),
            subject=f"the access key of {identity}",
            upstream=f"source:{identity.source}",
            run=run,
        )
        return found

    def _made(
        self, key: SigningKey | None, region: str, target: Target, *, method: Method, identity: Identity
    ) -> Grant:
        if key is None:
            life = Lifetime(since=self._clock.boot(), keep=EMPTY_KEEP)
            return Grant((), life, note="there is no access key after all")
        life = self._life(key.login, identity)
        url = self._rule.signed_url(target)
        headers = key.signing.sign(key.keys, service="s3", region=region, method=method, url=url)
        return Grant(tuple((name, (value,)) for name, value in headers), life)

    def _life(self, login: Login, identity: Identity) -> Lifetime:
        """Its lifetime: from now, and never past the end of the login. Raises Failed(expired_on_arrival): that is over."""
        boot, wall = self._clock.boot(), self._clock.wall()
        own = dressed(login, str(identity), boot=boot)
        left = min(SIGNATURE_LIFE, SIGNATURE_LIFE if own.until is None else own.until - boot)
        # The signature itself has the wall clock's time in it.
        return Lifetime(since=boot, until=boot + left, wall_until=min(wall + left, own.wall_until or wall + left))

    def _detail(self, identity: Identity, method: Method, target: Target) -> dict[str, str]:
        found = self._details.get((identity, method))
        if found is None:
            passed = () if self._ordered is None else self._ordered.passed(identity, target)
            found = {"provider": self._rule.tag(), "signs": method, "credential": str(identity)}
            found |= {"looked": "; ".join(passed)} if passed else {}
            self._details[identity, method] = found
        return found


def _signed_for(question: Question) -> tuple[Method, bool]:
    """The method to sign for, and whether the answer is narrow; GET for the helper, whose protocol names no method."""
    url = f"{question.target.origin}{question.target.path}"
    granted = [one for one in question.grants or () if isinstance(one, Object) and one.url == url]
    methods = [known for known in get_args(Method) if any(known in one.methods for one in granted)]
    if question.for_gateway:  # which asks about the one that it is about to send
        return (methods[0] if len(methods) == 1 else "GET"), False
    return "GET", "GET" in methods
