"""A credential that systemd has decrypted for the service alone, and put where no other process looks."""

from collections.abc import Mapping

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.kinds.sources.systemd_credential import FOLDER, SystemdCredentialSource
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.sources.secret_file import read_secret_file


class SystemdCredential:
    """One credential of the unit. Source: ports.source.Source.

    Args:
        settings: name it.
        environ: of the daemon.
        files: reads it.
        clock: for its login.
        optional: others are asked after it: a credential that the unit does not have is then "not mine".
    """

    def __init__(
        self,
        settings: SystemdCredentialSource,
        environ: Mapping[str, str],
        *,
        files: Files,
        clock: Clock,
        optional: bool,
    ) -> None:
        self._settings = settings
        self._folder = environ.get(FOLDER, "")
        self._home = environ.get("HOME", "")
        self._files = files
        self._clock = clock
        self._optional = optional

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the credential, and the version of its file: a restart of the unit may bring another one."""
        del target, repository
        name = self._settings.name
        version = await self._files.version(f"{self._folder}/{name}") if self._folder else None
        if version is None and self._optional:
            return None
        if version is None:
            raise unreadable(f"the credential {name!r}", self._absent, hint=self._hint)
        return Identity("systemd-credential", name, version.stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give its content. Raises Failed(credential_unreadable)."""
        del identity, target, anew
        name, since = self._settings.name, self._clock.boot()
        path, where = f"{self._folder}/{name}", f"the credential {name!r}"
        content = await read_secret_file(self._files, path, home=self._home, hint=self._hint)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise unreadable(where, "is not UTF-8 text", hint=self._hint) from None
        stored = from_text(text, self._settings.username, where=where, hint=self._hint)
        return login_of(stored, since=since, boot=self._clock.boot(), wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give its content, as ``read``."""
        return await self.read(identity, target)

    def looked(self, target: Target) -> tuple[str, ...]:
        """Where it is optional: why there is none."""
        del target
        return (f"the credential {self._settings.name!r} {self._absent}",) if self._optional else ()

    @property
    def _absent(self) -> str:
        if not self._folder:
            return f"is not there: systemd has given the daemon none, {FOLDER} is not set"
        return "is not there: the unit does not load it"

    @property
    def _hint(self) -> str:
        name = self._settings.name
        return (
            f"systemd-creds encrypt --name={name} - FILE, then systemctl edit credproxy: "
            f"LoadCredentialEncrypted={name}:FILE; of a user service: LoadCredential={name}:FILE"
        )
