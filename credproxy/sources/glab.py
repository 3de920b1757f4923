"""The login that ``glab`` would use for a host: its variables, the token of a CI job, its configuration.

glab is asked for what only it can do: read its keyring, and renew an OAuth token, whose refresh token is valid once and
stays glab's secret. So only one program uses and stores refresh tokens, and none is lost.
"""

import re
from collections.abc import Callable, Mapping
from shlex import quote

from cachetools import LRUCache

from credproxy.core.ask.credential import Identity, Stored
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Code, Failure, failed
from credproxy.core.formats.glab_config import GitlabPlace, GlabHost, gitlab_place, glab_host, parse_glab
from credproxy.core.kinds.sources.glab import CONFIG, HOSTS, JOB_TOKEN, JOB_USER, OAUTH_USER, TOKENS
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.processes import Command, Processes
from credproxy.sources.program_answers import Printed, ProgramAnswer
from credproxy.sources.watched_file import Watched


_KEEP = 240.0
"""Seconds that an answer of glab is used, like one of docker's programs."""

_SECONDS = re.compile(r"[0-9]{1,12}")

_SPARE = 30.0
"""Seconds before its expiry from which a token is renewed instead of read; glab itself renews from ten seconds on."""

_HOSTS = 256
"""Hosts whose answers are remembered."""

_SERVICE = GitlabPlace("gitlab.com")


class Glab:
    """What glab knows. Source: ports.source.Source, core/formats/glab_config.py.

    A file that can no longer be read leaves the last good copy in force.

    Args:
        environ: the daemon's environment.
        key: random bytes of this process, for comparing answers without keeping them.
    """

    def __init__(
        self, environ: Mapping[str, str], *, files: Files, processes: Processes, clock: Clock, key: Callable[[], bytes]
    ) -> None:
        self._environ = environ
        path = CONFIG.path(environ)
        self._file: Watched[Mapping[GitlabPlace, GlabHost]] = Watched(
            path,
            {},
            parse=lambda content: parse_glab(content, f"the configuration of glab, {path!r},"),
            name="glab",
            files=files,
            clock=clock,
        )
        self._processes = processes
        self._clock = clock
        self._key = key()
        self._answers: LRUCache[str, ProgramAnswer] = LRUCache(_HOSTS)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name a variable, or the host's entry in the file."""
        del repository
        if target.form is Form.LITERAL:
            return None
        name = self._variable(target)
        if name is not None:
            return Identity("env", name)
        await self._file.look()
        host = glab_host(self._file.content, target)
        if host is None or not host.has_login:
            return None
        answer = self._answers.get(host.name)
        stamp = self._file.version and self._file.version.stamp
        return Identity("glab", f"{self._file.path}#{host.name}", (stamp, answer.count if answer else 0))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the token that ``locate`` named; None if the file has changed since and no longer has it.

        Raises:
            Failed: credential_unreadable, helper_failed, helper_not_runnable.
        """
        if identity.source == "env":
            return self._login(self._of_variable(identity.entry))
        host = glab_host(self._file.content, target)
        if host is None:
            return None
        known = self._in_file(host)
        return known or await self._answer(host.name).login(
            lambda: self._run(host), anew=anew, stamp=self._file.version
        )

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give what can be given without glab; else check whether it could be started."""
        host = glab_host(self._file.content, target)
        if identity.source == "env" or host is None:
            return await self.read(identity, target)
        known = self._in_file(host) or self._answer(host.name).known
        if known is None:
            await self._processes.find(self._command(host))
        return known

    def trouble(self, target: Target) -> Failure | None:
        """Why the file cannot be read, so that it is unknown which hosts it names."""
        del target
        return self._file.failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the variables and the file, and why none of them is for the host."""
        return (self._about_variables(), self._about_job(), self._about_file(target))

    def forget(self) -> None:
        """Make the next question look at the file, and ask glab."""
        self._file.forget()
        for answer in self._answers.values():
            answer.forget()

    def _variable(self, target: Target) -> str | None:
        """The variable's token, for its own host only: sending it to another host would give it away."""
        if self._meant is not None and self._meant.has(target):
            for name in TOKENS:
                if self._environ.get(name):
                    return name
        server = self._server
        return JOB_TOKEN if self._environ.get(JOB_TOKEN) and server is not None and server.has(target) else None

    @property
    def _meant(self) -> GitlabPlace | None:
        """Give the GitLab that ``GITLAB_TOKEN`` is for."""
        named = next((value for name in HOSTS if (value := self._environ.get(name))), None)
        if named is not None:
            return gitlab_place(named)
        return self._server or _SERVICE

    @property
    def _server(self) -> GitlabPlace | None:
        """The GitLab of the CI job that the daemon runs in; None outside of one."""
        host, port = self._environ.get("CI_SERVER_HOST", ""), self._environ.get("CI_SERVER_PORT", "")
        url = gitlab_place(self._environ.get("CI_SERVER_URL", ""))
        return gitlab_place(f"{host}:{port}" if port else host, "" if url is None else url.path) if host else None

    def _of_variable(self, name: str) -> Stored:
        where, hint = f"the variable {name!r}", f"stop the daemon, export {name}, and start it again"
        return from_text(self._environ.get(name, ""), JOB_USER if name == JOB_TOKEN else None, where=where, hint=hint)

    def _in_file(self, host: GlabHost) -> Login | None:
        """The host's token, if the file has a usable one."""
        where = f"the token of {host.name!r} in {self._file.path!r}"
        if host.token is None:
            job = host.job_token
            return (
                None if job is None else self._login(from_text(job.reveal(), JOB_USER, where=where, hint=_again(host)))
            )
        user = OAUTH_USER if host.oauth else None
        stored = from_text(host.token.reveal(), user, where=where, hint=_again(host))
        if not host.oauth:
            return self._login(stored)
        left = 0.0 if host.until is None else host.until - self._clock.wall()
        return self._login(stored, left) if left > _SPARE else None

    def _login(self, stored: Stored, left: float | None = None) -> Login:
        boot, wall = self._clock.boot(), self._clock.wall()
        if left is None:
            return login_of(stored, since=boot, boot=boot, wall=wall)
        return Login(stored, since=boot, until=boot + left, wall_until=wall + left)

    def _answer(self, name: str) -> ProgramAnswer:
        if name not in self._answers:
            self._answers[name] = ProgramAnswer(keep=_KEEP, key=self._key, clock=self._clock)
        return self._answers[name]

    def _command(self, host: GlabHost) -> Command:
        folder = self._file.path.rpartition("/")[0] if self._file.path else ""
        quiet = {"GLAB_CHECK_UPDATE": "false", "GLAB_SEND_TELEMETRY": "false", "NO_PROMPT": "true"}
        return Command(
            ("glab", "auth", "git-credential", "get"),
            stdin=f"protocol=https\nhost={host.name}\n\n".encode(),
            env={"GLAB_CONFIG_DIR": folder, **quiet},
            concurrency=1,
            missing="install glab where the daemon finds it (helper_path): it renews the token, or reads it in its keyring",
        )

    async def _run(self, host: GlabHost) -> Printed:
        done = await self._processes.run(self._command(host))
        if done.status != 0:
            message = f"glab gave no token for {host.name!r}: it {done.ended()}"
            raise failed(Code.HELPER_FAILED, message, hint=_again(host))
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        told = {key: value for key, _, value in (line.partition("=") for line in lines)}
        where = f"the answer of glab for {host.name!r}"
        until = told.get("password_expiry_utc", "")
        if _SECONDS.fullmatch(until) and int(until) <= self._clock.wall():
            raise unreadable(where, "is a token that has expired", hint=_again(host))
        if not told.get("password"):
            return done.stdout, None
        user = JOB_USER if told.get("username") == JOB_USER else OAUTH_USER if host.oauth else None
        return done.stdout, from_text(told["password"], user, where=where, hint=_again(host))

    def _about_variables(self) -> str:
        found = next((name for name in TOKENS if self._environ.get(name)), None)
        if found is None:
            return f"the variables {' and '.join(TOKENS)} are not set in the daemon's environment"
        return f"the variable {found} is for {_shown(self._meant)}"

    def _about_job(self) -> str:
        if not self._environ.get(JOB_TOKEN):
            return f"the variable {JOB_TOKEN} is not set in the daemon's environment"
        if self._server is None:
            return f"the variable {JOB_TOKEN} is for the host that CI_SERVER_HOST names, which is not set"
        return f"the variable {JOB_TOKEN} is for {_shown(self._server)}"

    def _about_file(self, target: Target) -> str:
        if self._file.path is None:
            return "no configuration of glab is looked at"
        where = f"the configuration of glab, {self._file.path!r},"
        if self._file.failure is not None:
            return self._file.failure.message
        if self._file.version is None:
            return f"{where} is not there"
        if glab_host(self._file.content, target) is not None:
            return f"{where} has no token for {target.authority!r}"
        return f"{where} names no host {target.authority!r}"


def _shown(place: GitlabPlace | None) -> str:
    return "no host" if place is None else repr(str(place))


def _again(host: GlabHost) -> str:
    return f"glab auth login --hostname {quote(host.name)}"
