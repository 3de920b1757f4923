"""The identity token of the CI job in which the daemon runs: given to the job, or requested."""

from collections.abc import Callable, Mapping

import msgspec

from credproxy.core.ask.credential import Identity, Secret, Stored, secret_of
from credproxy.core.ask.jwt import audiences
from credproxy.core.ask.login import PROGRAM_KEEP, Login, login_of
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.ask.urls import endpoint_problem
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.sources.ci_oidc import CIRCLE_TOKEN, GITHUB_TOKEN, GITHUB_URL, MARKS, CiOidcSource, Platform
from credproxy.exchange.job_token import ask_job_token
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.http_client import HttpClient
from credproxy.ports.processes import Command, Processes
from credproxy.sources.program_answers import Printed, ProgramAnswer
from credproxy.sources.secret_file import read_secret_file
from credproxy.sources.source_exchange import hold


_SAID = 300
"""Characters of a program's error output that are repeated."""

_OVER = {
    "gitlab": "GitLab makes it once for a job, to last until the job's timeout: raise that, or use the token earlier",
    "circleci": "CircleCI makes it once for a job, to last for an hour: use the token earlier",
    "kubernetes": "the kubelet replaces it before its end: is the volume still mounted, and is this machine's clock right?",
}


class CiOidc:
    """The job's token. Source: ports.source.Source.

    Args:
        settings: the audience, and where the token is.
        environ: of the daemon, which must run within the job.
        key: gives random bytes of this process, for comparing tokens without keeping them.
    """

    def __init__(
        self,
        settings: CiOidcSource,
        environ: Mapping[str, str],
        *,
        files: Files,
        processes: Processes,
        http: HttpClient,
        clock: Clock,
        key: Callable[[], bytes],
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._platform = settings.where(environ)
        self._files = files
        self._processes = processes
        self._http = http
        self._clock = clock
        self._answer = ProgramAnswer(keep=PROGRAM_KEEP, key=key(), clock=clock)
        variable = CIRCLE_TOKEN if self._platform == "circleci" else settings.variable
        self._variable = variable if variable and self._suits(environ.get(variable, "")) else None

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the job's token; None outside of a job.

        Raises:
            Failed(credential_unreadable): this is a job, but it has no token.
        """
        del target, repository
        if self._platform is None or not self._in_job(self._platform):
            return None
        if (problem := self._withheld(self._platform)) is not None:
            raise problem
        version = None if self._settings.path is None else await self._files.version(self._settings.path)
        if self._settings.path is not None and version is None:
            return None
        stamp = self._answer.count if version is None else version.stamp
        return Identity("ci-oidc", f"{self._platform} for {self._settings.audience}", stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the token.

        Raises:
            Failed: credential_unreadable; helper_failed, helper_not_runnable; and those of ``exchange.job_token``.
        """
        del identity, target
        if self._settings.path is not None:
            return await self._of_file(self._settings.path)
        if self._variable is not None:
            return self._login(self._environ[self._variable], f"the variable {self._variable!r}")
        return await self._answer.login(self._run, anew=anew)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the token if it is known; else check whether it could be requested. Raises the same as ``read``."""
        if self._settings.path is not None or self._variable is not None:
            return await self.read(identity, target)
        if self._answer.known is None and self._platform != "github":
            await self._processes.find(self._command())
        return self._answer.known

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say which variables were looked at, or that the file is missing."""
        del target
        if self._settings.path is not None:
            return (f"the file {self._settings.path!r} is not there",)
        if self._settings.variable is not None:
            return (f"the variable {self._settings.variable!r} is not set in the daemon's environment",)
        if self._platform is not None:
            return (f"the daemon does not run in a job of {self._platform}: {_mark(self._platform)} is not true",)
        names = ", ".join((GITHUB_URL, *MARKS))
        return (f"the daemon does not run in a CI job: none of {names} is set in its environment",)

    def forget(self) -> None:
        """Make the next question request a new token."""
        self._answer.forget()

    def _in_job(self, platform: Platform) -> bool:
        """Whether the daemon runs in a job of the platform, according to its environment."""
        given = (self._settings.variable, GITHUB_URL if platform == "github" else None)
        marked = any(of == platform and self._environ.get(mark, "").lower() == "true" for mark, of in MARKS.items())
        return platform == "kubernetes" or marked or any(self._environ.get(name or "") for name in given)

    def _withheld(self, platform: Platform) -> Failed | None:
        """What the job lacks, and how to provide it."""
        audience, variable = self._settings.audience, self._settings.variable
        if platform == "github" and not (self._environ.get(GITHUB_URL) and self._environ.get(GITHUB_TOKEN)):
            return unreadable(
                "the identity token of GitHub Actions",
                f"is not for this job: {GITHUB_URL} and {GITHUB_TOKEN} are not both set in the daemon's environment",
                hint="add to the job: permissions: {id-token: write}; and start the daemon in one of its steps",
            )
        if platform == "github" and (problem := endpoint_problem(self._environ[GITHUB_URL])):
            hint = f"{GITHUB_URL} is set by the runner: start the daemon in a step of the job, as it is set there"
            return unreadable(f"the variable {GITHUB_URL!r}", problem, hint=hint)
        if platform == "gitlab" and variable is None:
            return unreadable(
                "the identity token of GitLab",
                "has no name in the rule",
                hint='name the variable of the job\'s id_tokens: variable = "NAME"',
            )
        if platform == "gitlab" and not self._environ.get(variable or ""):
            return unreadable(
                f"the variable {variable!r}",
                "is not set in the daemon's environment",
                hint=f"add to the job: id_tokens: {{{variable}: {{aud: {audience}}}}}",
            )
        return None

    def _suits(self, token: str) -> bool:
        """Whether a variable's token can be used: CircleCI's can, if it is for the audience."""
        return self._platform != "circleci" or self._settings.audience in audiences(token)

    async def _of_file(self, path: str) -> Login:
        content = await read_secret_file(self._files, path, home="", hint=_OVER["kubernetes"])
        return self._login(content.decode("utf-8", "replace"), f"the file {path!r}")

    def _login(self, text: str, where: str) -> Login:
        boot, wall = self._clock.boot(), self._clock.wall()
        login = login_of(self._stored(text, where), since=boot, boot=boot, wall=wall)
        if login.until is not None and login.until <= boot:
            ago = f"holds a token that expired {boot - login.until:.0f} s ago"
            raise unreadable(where, ago, hint=_OVER[self._platform or "kubernetes"])
        return login

    def _stored(self, text: str, where: str) -> Stored:
        wanted = self._settings.audience
        stored = from_text(text, None, where=where, hint="write the token there, and nothing else")
        given = audiences(secret_of(stored).reveal())
        if given and wanted not in given:
            names = " and ".join(map(repr, given))
            raise unreadable(
                where, f"holds a token for {names}", hint=f"make it for {wanted!r}, or name its audience in the rule"
            )
        return stored

    def _command(self) -> Command:
        """The platform's program that requests a token."""
        audience = self._settings.audience
        if self._platform == "circleci":
            claims = msgspec.json.encode({"aud": audience}).decode()
            argv: tuple[str, ...] = ("circleci", "run", "oidc", "get", "--claims", claims)
            names = tuple(name for name in self._environ if name.startswith("CIRCLE"))
        else:
            argv = ("buildkite-agent", "oidc", "request-token", "--audience", audience)
            names = tuple(name for name in self._environ if name.startswith("BUILDKITE_"))
        return Command(
            argv, pass_env=names, missing=f"the daemon runs in a job of {self._platform}: put {argv[0]} on PATH"
        )

    async def _run(self) -> Printed:
        if self._platform == "github":
            bearer = Secret(self._environ[GITHUB_TOKEN])
            asking = ask_job_token(self._environ[GITHUB_URL], bearer, audience=self._settings.audience)
            token = await hold(asking, self._http, clock=self._clock)
            return token.reveal().encode(), self._stored(token.reveal(), "what GitHub gave")
        command = self._command()
        done = await self._processes.run(command)
        by_hand = " ".join(command.argv)
        if done.status != 0:
            message = f"the program {command.argv[0]!r} {done.ended(most=_SAID)}"
            raise failed(Code.HELPER_FAILED, message, hint=by_hand)
        return done.stdout, self._stored(done.stdout.decode("utf-8", "replace"), f"the output of {command.argv[0]!r}")


def _mark(platform: Platform) -> str:
    return next((mark for mark, of in MARKS.items() if of == platform), "")
