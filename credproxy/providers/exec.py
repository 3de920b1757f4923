"""``provider = "exec"``: any Bazel credential helper, started once per URI and lifetime instead of once per request."""

import hashlib
from dataclasses import dataclass
from pathlib import PurePath

import msgspec

from credproxy.core.ask.credential import Grant, Lifetime
from credproxy.core.ask.helper_answer import HelperAnswer, HelperAnswerError, parse_helper_answer
from credproxy.core.ask.jwt import header_life
from credproxy.core.ask.lifetime import EMPTY_KEEP, LONGEST
from credproxy.core.ask.target import Form, Question, Target
from credproxy.core.ask.uri import canonical_uri
from credproxy.core.errors import Code, failed
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.redact import mask_command
from credproxy.ports.clock import Clock
from credproxy.ports.processes import Command, Completed, Processes
from credproxy.ports.provider import Plan
from credproxy.ports.terms import Terms


class ExecProvider:
    """Asks another helper as Bazel would: argv ``get``, one JSON object in, headers out. Source: ports.provider.Provider.

    With ``cache_key = "host"`` the helper is asked about the first question's URI, and its answer is used for every
    URI of that host.
    """

    def __init__(self, settings: ExecHost, *, processes: Processes, clock: Clock) -> None:
        self._settings = settings
        self._processes = processes
        self._clock = clock
        self._name = PurePath(settings.command[0]).name
        # Made once: there may be 100,000 plans, one per URI, and each would hold its own copy.
        self._subject = f"helper {self._name!r}"
        self._upstream = f"program:{settings.command[0]}"
        self._limit = settings.timeout + 5.0  # stopping it takes a moment, and its own message is better
        self._detail = {
            "provider": "exec",
            "command": " ".join(mask_command(settings.command)),
            "cache_key": settings.cache_key,
        }

    async def plan(self, question: Question) -> Plan | None:
        """The helper answers every URI of the rule."""
        target = question.target
        uri = target.authority if target.form is Form.HOST else canonical_uri(target)
        # The URI may be presigned, and a key is shown and kept: its digest distinguishes URIs just as well (SEC-17).
        by_host = self._settings.cache_key == "host"
        what = target.authority if by_host else hashlib.sha256(uri.encode()).digest()
        return Plan(
            key=("exec", self._settings.match, self._settings.command, what),
            subject=self._subject,
            upstream=self._upstream,
            run=_Run(self, uri),
            timeout=self._limit,
            detail=self._detail,
        )

    async def check(self, plan: Plan, target: Target) -> None:
        """Check whether the helper could be started. Raises Failed(helper_not_runnable)."""
        del plan, target
        await self._processes.find(self._command(b""))

    def reasons(self, question: Question) -> tuple[str, ...]:
        """None: it always plans, or raises."""
        del question
        return ()

    async def exchange(self, uri: str) -> Grant:
        """Run the helper once. Raises Failed: what ``Processes.run`` raises, helper_failed, expired_on_arrival."""
        since = self._clock.boot()
        done = await self._processes.run(self._command(msgspec.json.encode({"uri": uri})))
        return self._grant(self._answer(done, uri), since)

    def _command(self, stdin: bytes) -> Command:
        settings = self._settings
        return Command(
            (*settings.command, "get"),
            stdin=stdin,
            timeout=settings.timeout,
            env=settings.env,
            pass_env=settings.pass_env,
            concurrency=settings.concurrency,
        )

    def _answer(self, done: Completed, uri: str) -> HelperAnswer:
        origin = "/".join(uri.split("/")[:3])  # the rest may be presigned
        by_hand = f'run it by hand: echo \'{{"uri": "{origin}"}}\' | {self._settings.command[0]} get'
        said = f"; it said: {done.complaint[-600:]}" if done.complaint else ""
        if done.status != 0:
            ended = done.ended("; it said: ", most=600)
            raise failed(Code.HELPER_FAILED, f"helper {self._name!r} {ended}", hint=by_hand)
        try:
            return parse_helper_answer(done.stdout)
        except HelperAnswerError as error:
            raise failed(Code.HELPER_FAILED, f"helper {self._name!r} failed: {error}{said}", hint=by_hand) from None

    def _grant(self, answer: HelperAnswer, since: float) -> Grant:
        if not answer.headers:
            return Grant((), Lifetime(since=since, keep=EMPTY_KEEP), note="the helper has no credential")
        left = self._left(answer)
        if left is None:
            return Grant(answer.headers, Lifetime(since=since, keep=self._settings.keep), direct=True)
        if left <= 0:
            raise failed(
                Code.EXPIRED_ON_ARRIVAL,
                f"helper {self._name!r} gave a credential that had already expired",
                hint="log in again where the helper gets it from, and check this machine's clock",
            )
        # An absolute time is only as good as this machine's wall clock, so both clocks must agree (docs/design/faults.md#renewal).
        until = self._clock.boot() + min(left, LONGEST)
        return Grant(
            answer.headers, Lifetime(since=since, until=until, wall_until=self._clock.wall() + left), direct=True
        )

    def _left(self, answer: HelperAnswer) -> float | None:
        """Seconds: as the helper says, and no longer than a JWT in the headers says."""
        wall = self._clock.wall()
        lives = [header_life(value.reveal(), wall) for _, values in answer.headers for value in values]
        if answer.expires is not None:
            lives.append(answer.expires - wall)
        return min((life for life in lives if life is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Run:
    """The exchange for one URI. A closure would keep the whole question, and a partial takes six times as much memory."""

    provider: ExecProvider
    uri: str

    async def __call__(self, terms: Terms) -> Grant:
        del terms
        return await self.provider.exchange(self.uri)
