"""The login that ``gh``, GitHub's own program, would use: a variable, its file, its keyring, in that order."""

from collections.abc import Callable, Mapping

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.github_urls import PUBLIC, is_tenant, login_host
from credproxy.core.ask.login import PROGRAM_KEEP, Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Code, Failure, failed
from credproxy.core.formats.gh_hosts import HINT, GhHost, parse_hosts
from credproxy.core.kinds.sources.gh import (
    CONFIG,
    ENTERPRISE_TOKENS,
    HOST,
    TOKENS,
    GhSource,
)
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.processes import Command, Processes
from credproxy.sources.program_answers import Printed, ProgramAnswer
from credproxy.sources.watched_file import Watched


_TIMEOUT = 10.0
"""Seconds for ``gh auth token``, which itself waits three for a keyring."""

_PASSED = ("GH_CONFIG_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""Variables that gh needs beside those that every program gets: they locate its file and its keyring, and are never
tokens."""

_NONE = "no oauth "
"""What gh says if neither its file nor its keyring has a token: ``no oauth token``; the last word is masked like every
argument of a program. Source: cli/cli pkg/cmd/auth/token."""


class Gh:
    """What gh knows. Source: ports.source.Source, core/formats/gh_hosts.py.

    The file says which hosts have a login, so gh itself is started only for a host in it whose token is in a keyring. A
    file that can no longer be read leaves the last good copy in force.

    Args:
        settings: which user.
        environ: of the daemon.
        key: gives random bytes of this process, for comparing outputs without keeping them.
    """

    def __init__(
        self,
        settings: GhSource,
        environ: Mapping[str, str],
        *,
        files: Files,
        processes: Processes,
        clock: Clock,
        key: Callable[[], bytes],
    ) -> None:
        self._user = settings.username
        self._environ = environ
        path = CONFIG.path(environ)
        self._file: Watched[Mapping[str, GhHost]] = Watched(
            path,
            {},
            parse=lambda content: parse_hosts(content, f"gh's file {path!r}"),
            name="gh",
            files=files,
            clock=clock,
        )
        self._processes = processes
        self._clock = clock
        self._key = key
        self._answers: dict[str, ProgramAnswer] = {}

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the variable or the entry of the file; None if neither is for the host."""
        del repository
        if target.form is Form.LITERAL:
            return None
        host = login_host(target.host)
        if variable := self._variable(host):
            return Identity("gh", variable)
        await self._file.look()
        found = self._file.content.get(host)
        if found is None or not found.has(self._user):
            return None
        kept = found.token_of(self._user) is None
        stamp = (self._file.version and self._file.version.stamp, self._answer(host).count if kept else 0)
        entry = host if self._user is None else f"{self._user}@{host}"
        return Identity("gh", f"{self._file.path}#{entry}", stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give what ``locate`` named; None if it is gone by now.

        Raises:
            Failed: credential_unreadable; helper_failed, helper_not_runnable for a token that gh has to be asked for.
        """
        if text := self._text(identity):
            return self._login(text, identity)
        host = login_host(target.host)
        found = self._file.content.get(host)
        if found is None:
            return None
        if token := found.token_of(self._user):
            return self._login(token.reveal(), identity)
        return await self._answer(host).login(lambda: self._run(found), anew=anew, stamp=self._file.version)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the token if it is known; else check whether gh could be asked. Raises the same as ``read``."""
        host = login_host(target.host)
        found = self._file.content.get(host)
        if self._text(identity) or found is None or found.token_of(self._user):
            return await self.read(identity, target)
        if self._answer(host).known is None:
            await self._processes.find(self._command(found))
        return self._answer(host).known

    def trouble(self, target: Target) -> Failure | None:
        """Why the file cannot be read, unless a variable takes precedence."""
        return None if self._variable(login_host(target.host)) else self._file.failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the variables and the file, and whether the file exists."""
        host = login_host(target.host)
        names = " nor ".join(map(repr, self._variables(host)))
        told = (f"neither {names} is set in the daemon's environment",) if names else ()
        if self._file.path is None:
            return (*told, "gh's file is not looked for: HOME is not set")
        if self._file.failure is not None:
            return (*told, f"gh's logins cannot be read: {self._file.failure.message}")
        if self._file.version is None:
            return (*told, f"gh's file {self._file.path!r} is not there")
        whose = f" of {self._user!r}" if self._user is not None else ""
        return (*told, f"gh's file {self._file.path!r} has no login{whose} for {host!r}")

    def forget(self) -> None:
        """Make the next question look at the file, and ask gh."""
        self._file.forget()
        for answer in self._answers.values():
            answer.forget()

    def _variables(self, host: str) -> tuple[str, ...]:
        """Variables that may hold a token for a host; none if a user is named, because they do not name one."""
        if self._user is not None:
            return ()
        if host == PUBLIC or (is_tenant(host) and self._environ.get(HOST, "").lower() == host):
            return TOKENS
        return () if is_tenant(host) else ENTERPRISE_TOKENS

    def _variable(self, host: str) -> str | None:
        return next((name for name in self._variables(host) if self._environ.get(name)), None)

    def _text(self, identity: Identity) -> str | None:
        known = (*TOKENS, *ENTERPRISE_TOKENS)
        return self._environ.get(identity.entry) if identity.entry in known else None

    def _login(self, text: str, identity: Identity) -> Login:
        now = self._clock.boot()
        stored = from_text(text, None, where=f"the token {str(identity)!r}", hint=HINT)
        return login_of(stored, since=now, boot=now, wall=self._clock.wall())

    def _answer(self, host: str) -> ProgramAnswer:
        """The remembered answer of gh about a host of its file."""
        if host not in self._answers:
            self._answers[host] = ProgramAnswer(keep=PROGRAM_KEEP, key=self._key(), clock=self._clock)
        return self._answers[host]

    def _command(self, host: GhHost) -> Command:
        user = () if self._user is None else ("--user", self._user)
        env = {name: self._environ[name] for name in _PASSED if self._environ.get(name)}
        missing = f"{self._file.path} names a login for {host.name!r} whose token gh keeps in a keyring: install gh, or set GH_TOKEN"
        return Command(
            ("gh", "auth", "token", "--hostname", host.name, *user), timeout=_TIMEOUT, env=env, missing=missing
        )

    async def _run(self, host: GhHost) -> Printed:
        command = self._command(host)
        done = await self._processes.run(command)
        by_hand = " ".join(command.argv)
        if done.status != 0:
            if _NONE in done.complaint:
                return b"", None
            raise failed(
                Code.HELPER_FAILED,
                f"the program 'gh' {done.ended()}",
                hint=by_hand,
            )
        text = done.stdout.decode(errors="replace")
        return done.stdout, from_text(text, None, where=f"what gh gives for {host.name!r}", hint=by_hand)
