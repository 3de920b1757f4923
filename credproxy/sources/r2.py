"""An access key for Cloudflare's R2, from the variables that its users have."""

from collections.abc import Callable, Mapping

from credproxy.core.ask.aws_hosts import r2_account
from credproxy.core.ask.aws_keys import AwsKeys, stored_keys
from credproxy.core.ask.credential import Identity, Secret, secret_of
from credproxy.core.ask.login import STATIC_KEEP, Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text
from credproxy.core.ask.target import Target
from credproxy.core.kinds.sources.r2 import API_TOKEN, KEY_ID, SECRET
from credproxy.exchange.cloudflare_token import cloudflare_keys
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient
from credproxy.sources.program_answers import FAILURE_KEEP, Printed, ProgramAnswer
from credproxy.sources.source_exchange import hold


_HINT = "export R2_ACCESS_KEY_ID=... R2_SECRET_ACCESS_KEY=...; credproxy stop"


class R2:
    """The variables. Source: ports.source.Source, ports.source.Caches.

    Args:
        environ: of the daemon.
        http: asks Cloudflare for the id of a token.
        clock: judges ages.
        key: gives random bytes of this process, for comparing secrets without keeping them.
    """

    def __init__(self, environ: Mapping[str, str], *, http: HttpClient, clock: Clock, key: Callable[[], bytes]) -> None:
        self._environ = environ
        self._http = http
        self._clock = clock
        self._answer = ProgramAnswer(keep=STATIC_KEEP, key=key(), clock=clock, failure_keep=FAILURE_KEEP)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the variable; None if none is set."""
        del target, repository
        for name, stamp in ((KEY_ID, 0), (API_TOKEN, self._answer.count)):
            if self._environ.get(name):
                return Identity("r2", name, stamp)
        return None

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the key. Raises Failed: credential_unreadable; as ``exchange.cloudflare_token``."""
        if identity.entry == API_TOKEN:
            return await self._answer.login(lambda: self._asked(target), anew=anew)
        now = self._clock.boot()
        stored = stored_keys(AwsKeys(self._environ.get(KEY_ID, ""), self._text(SECRET)))
        return login_of(stored, since=now, boot=now, wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give it as far as it is known."""
        return self._answer.known if identity.entry == API_TOKEN else await self.read(identity, target)

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the variables."""
        del target
        return (f"neither {KEY_ID!r} nor {API_TOKEN!r} is set in the daemon's environment",)

    def forget(self) -> None:
        """The next question asks Cloudflare."""
        self._answer.forget()

    def _text(self, name: str) -> Secret:
        return secret_of(from_text(self._environ.get(name, ""), None, where=f"the variable {name!r}", hint=_HINT))

    async def _asked(self, target: Target) -> Printed:
        found = await hold(
            cloudflare_keys(self._text(API_TOKEN), r2_account(target.host)), self._http, clock=self._clock
        )
        keep = STATIC_KEEP if found.until is None else None
        login = Login(stored_keys(found.keys), found.since, found.until, keep, found.wall_until)
        return found.keys.secret.reveal().encode(), login
