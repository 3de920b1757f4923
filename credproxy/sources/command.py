"""A secret that a program prints."""

from collections.abc import Callable

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import PROGRAM_KEEP, Login, ended, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.errors import Code, failed
from credproxy.core.formats.printed_json import PrintedSecret, parse_printed_json
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.redact import mask_command
from credproxy.ports.clock import Clock
from credproxy.ports.processes import Command, Processes
from credproxy.sources.program_answers import Printed, ProgramAnswer


class CommandOutput:
    """One program's output. Source: ports.source.Source.

    What is derived from it is used for ``keep`` seconds at most. The identity's version is a counter that rises when a
    later run prints something else, because no file shows such a change (P-1).

    Args:
        key: random bytes of this process, for comparing outputs without keeping them.
    """

    def __init__(
        self, settings: CommandSource, *, processes: Processes, clock: Clock, key: Callable[[], bytes]
    ) -> None:
        self._settings = settings
        self._command = Command(settings.argv, timeout=settings.timeout, env=settings.env, pass_env=settings.pass_env)
        self._processes = processes
        self._clock = clock
        self._keep = PROGRAM_KEEP if settings.keep is None else settings.keep
        self._answer = ProgramAnswer(keep=self._keep, key=key(), clock=clock)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the program."""
        del target, repository
        return Identity("command", self._settings.argv[0], self._answer.count)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Run it. Raises Failed: credential_unreadable, helper_failed, helper_not_runnable."""
        del identity, target
        return await self._answer.login(self._run, anew=anew)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Check whether the program could be started. Raises Failed(helper_not_runnable)."""
        del identity, target
        if self._answer.known is None:
            await self._processes.find(self._command)
        return self._answer.known

    def looked(self, target: Target) -> tuple[str, ...]:
        """Nothing to say: ``locate`` always names a login, or raises."""
        del target
        return ()

    def forget(self) -> None:
        """Make the next read run the program."""
        self._answer.forget()

    async def _run(self) -> Printed:
        program, line = self._settings.argv[0], " ".join(mask_command(self._settings.argv))
        by_hand = f"run it by hand, with argv as the configuration has it: {line}"
        since = self._clock.boot()
        done = await self._processes.run(self._command)
        if done.status != 0:
            raise failed(
                Code.HELPER_FAILED,
                f"the program {program!r} {done.ended()}",
                hint=by_hand,
            )
        where = f"the output of {program!r}"
        if self._settings.fields is not None:
            found = parse_printed_json(done.stdout, self._settings.fields, where=where, hint=by_hand)
            return done.stdout, self._until(found, since, where=where, hint=by_hand)
        try:
            text = done.stdout.decode()
        except UnicodeDecodeError:
            raise unreadable(where, "is not UTF-8 text", hint=by_hand) from None
        return done.stdout, from_text(text, self._settings.username, where=where, hint=by_hand)

    def _until(self, found: PrintedSecret, since: float, *, where: str, hint: str) -> Login:
        """Give the login, which ends when its program says; where that is known, only ``keep`` in the rule is earlier."""
        username = found.username if self._settings.username is None else self._settings.username
        stored = from_text(found.text, username, where=where, hint=hint)
        boot, wall = self._clock.boot(), self._clock.wall()
        keep = self._keep if found.until is None else self._settings.keep
        login = login_of(stored, since=since, boot=boot, wall=wall, keep=keep)
        if found.until is None:
            return login
        if found.until <= wall:
            raise failed(
                Code.EXPIRED_ON_ARRIVAL,
                f"{where} is a secret that ended {wall - found.until:.0f} s ago by its own words",
                hint="log in again where the program gets it from, and check this machine's clock",
            )
        return ended(login, found.until, boot=boot, wall=wall)
