"""The token that Hugging Face's own tools would use: a variable, then the file that ``hf auth login`` writes."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Failure
from credproxy.core.kinds.sources.hf import ENDPOINT, FILE, HOSTS, TOKENS
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.sources.watched_file import Watched


_HINT = "hf auth login"


class Hf:
    """The token of one Hub. Source: ports.source.Source.

    It is for the public Hub and what is below its names, or for the one that ``HF_ENDPOINT`` names, and for no other host: a
    rule for another one names its token.

    Args:
        environ: of the daemon.
    """

    def __init__(self, environ: Mapping[str, str], *, files: Files, clock: Clock) -> None:
        self._environ = environ
        self._hosts = _hosts(environ.get(ENDPOINT, ""))
        path = FILE.path(environ)
        self._file: Watched[str] = Watched(
            path, "", parse=lambda content: _token(content, path or ""), name="hf", files=files, clock=clock
        )
        self._clock = clock

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the variable or the file; None if neither has a token, or the host is another one."""
        del repository
        if not self._knows(target):
            return None
        if variable := self._variable():
            return Identity("hf", variable)
        await self._file.look()
        if not self._file.content:
            return None
        return Identity("hf", str(self._file.path), self._file.version and self._file.version.stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the token; None if it has gone meanwhile. Raises Failed(credential_unreadable)."""
        del target, anew
        of_file = identity.entry == self._file.path
        text = self._file.content if of_file else self._environ.get(identity.entry, "")
        text = _cleaned(text)
        if not text:
            return None
        now = self._clock.boot()
        stored = from_text(text, None, where=f"the token {str(identity)!r}", hint=_HINT)
        return login_of(stored, since=now, boot=now, wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the token, as ``read``."""
        return await self.read(identity, target)

    def trouble(self, target: Target) -> Failure | None:
        """Why the file cannot be read, unless a variable goes before it."""
        return self._file.failure if self._knows(target) and self._variable() is None else None

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the variables, and the file."""
        if not self._knows(target):
            return (
                f"the token of Hugging Face's tools is for {' and '.join(self._hosts)}, and not for {target.host!r}",
            )
        names = " nor ".join(map(repr, TOKENS))
        told = f"neither {names} is set in the daemon's environment"
        path = self._file.path
        if path is None:
            return (told, "the file of hf is not looked for: HOME is not set")
        if self._file.failure is not None:
            return (told, f"the token of hf cannot be read: {self._file.failure.message}")
        empty = "is not there" if self._file.version is None else "is empty"
        return (told, f"the file of hf {path!r} {empty}")

    def forget(self) -> None:
        """The next question looks at the file."""
        self._file.forget()

    def _knows(self, target: Target) -> bool:
        host = target.host
        return target.form is not Form.LITERAL and any(
            host == name or host.endswith(f".{name}") for name in self._hosts
        )

    def _variable(self) -> str | None:
        return next((name for name in TOKENS if _cleaned(self._environ.get(name, ""))), None)


def _hosts(endpoint: str) -> tuple[str, ...]:
    """The names of the Hub: another one's where the variable names it. One that cannot be read names none."""
    if not endpoint:
        return HOSTS
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError:
        return ()
    return HOSTS if host in HOSTS else (host,) if host else ()


def _cleaned(text: str) -> str:
    """As huggingface_hub has it: no line breaks, no space around."""
    return text.replace("\r", "").replace("\n", "").strip()


def _token(content: bytes, path: str) -> str:
    try:
        return _cleaned(content.decode())
    except UnicodeDecodeError:
        raise unreadable(f"the file of hf {path!r}", "is not UTF-8 text", hint=_HINT) from None
