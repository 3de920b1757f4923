"""The access key that Amazon's own tools would use, in their order."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from credproxy.core.ask.aws_keys import AwsKeys, stored_keys
from credproxy.core.ask.credential import Identity, Secret
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Target
from credproxy.core.errors import Failure
from credproxy.core.formats.aws_config import Profiles, parse_profiles, plain_keys
from credproxy.core.kinds.sources.aws import (
    CONFIG_FILE,
    CREDENTIALS_FILE,
    EXPIRATION,
    KEY_ID,
    PROFILES,
    SECRET,
    TOKENS,
    AwsSource,
)
from credproxy.core.kinds.uses import Usual
from credproxy.ports import Clock, Files
from credproxy.sources.watched_file import Watched


class Aws:
    """The chain, or one profile of it. Source: ports.Source, ports.Fallible, ports.Caches.

    Args:
        settings: which profile.
        environ: of the daemon.
        files: reads the files of Amazon's tools.
        clock: judges ages.
    """

    def __init__(self, settings: AwsSource, environ: Mapping[str, str], *, files: Files, clock: Clock) -> None:
        self._environ = environ
        self._clock = clock
        named = next((environ[name] for name in PROFILES if environ.get(name)), None)
        self._chosen = settings.profile or named
        self._profile = self._chosen or "default"
        # A profile that is chosen here goes before the variables; one that a variable chooses comes after them.
        self._variables = settings.profile is None
        self._credentials = self._watched(CREDENTIALS_FILE, files, prefixed=False)
        self._config = self._watched(CONFIG_FILE, files, prefixed=True)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the variable, or the profile. Raises Failed(credential_unreadable): a profile that is named is nowhere."""
        del target, repository
        if self._variables and self._environ.get(KEY_ID):
            return Identity("aws", KEY_ID)
        await self._credentials.look()
        await self._config.look()
        if self.trouble_of_files is not None:
            return None
        if self._keys() is None:
            self._check_profile()
            return None
        stamps = tuple(file.version and file.version.stamp for file in (self._credentials, self._config))
        return Identity("aws", f"profile {self._profile}", stamps)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the access key; None where it has gone meanwhile. Raises Failed(credential_unreadable)."""
        del target, anew
        if identity.entry == KEY_ID:
            return self._of_variables()
        keys = self._keys()
        return None if keys is None else Login(stored_keys(keys), self._clock.boot())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give it: no program is needed."""
        return await self.read(identity, target)

    def trouble(self, target: Target) -> Failure | None:
        """Why a file cannot be read, unless a variable goes before it."""
        del target
        return None if self._variables and self._environ.get(KEY_ID) else self.trouble_of_files

    @property
    def trouble_of_files(self) -> Failure | None:
        """Why one of the files cannot be read."""
        return self._credentials.failure or self._config.failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the variable, and what is in each file."""
        del target
        told = (f"{KEY_ID!r} is not set in the daemon's environment",) if self._variables else ()
        return (*told, *(self._said(file) for file in (self._credentials, self._config)))

    def forget(self) -> None:
        """The next question looks at the files."""
        self._credentials.forget()
        self._config.forget()

    def _watched(self, place: Usual, files: Files, *, prefixed: bool) -> Watched[Profiles]:
        path = place.path(self._environ)
        home = self._environ.get("HOME", "")
        if path is not None and path.startswith("~/"):
            path = f"{home}{path[1:]}"
        parse = partial(parse_profiles, where=f"the file {path!r}", prefixed=prefixed)
        return Watched(path, {}, parse=parse, name="aws", files=files, clock=self._clock)

    def _keys(self) -> AwsKeys | None:
        return plain_keys(self._credentials.content.get(self._profile, {}), self._config.content.get(self._profile, {}))

    def _check_profile(self) -> None:
        known = sorted({*self._credentials.content, *self._config.content})
        if self._chosen is not None and self._chosen not in known:
            names = ", ".join(map(repr, known[:20])) or "none"
            raise unreadable(
                f"the profile {self._chosen!r}",
                f"is in neither {self._credentials.path!r} nor {self._config.path!r}; there are: {names}",
                hint=f"name one that is there, or make it: aws configure --profile {self._chosen}",
            )

    def _said(self, file: Watched[Profiles]) -> str:
        if file.path is None:
            return "the files of Amazon's tools are not looked for: HOME is not set"
        if file.failure is not None:
            return file.failure.message
        if file.version is None:
            return f"the file {file.path!r} is not there"
        if self._profile not in file.content:
            return f"the file {file.path!r} has no profile {self._profile!r}"
        return f"the profile {self._profile!r} of {file.path!r} has no access key"

    def _of_variables(self) -> Login:
        key_id, secret = (self._environ.get(name, "") for name in (KEY_ID, SECRET))
        if not secret:
            hint = f"export {SECRET}=..., or unset {KEY_ID}; then credproxy stop"
            raise unreadable(f"the variable {KEY_ID!r}", f"is set, and {SECRET!r} is not", hint=hint)
        token = next((value for name in TOKENS if (value := self._environ.get(name))), "")
        keys = AwsKeys(key_id, Secret(secret), Secret(token) if token else None)
        boot, wall = self._clock.boot(), self._clock.wall()
        end = self._end()
        return Login(stored_keys(keys), boot, None if end is None else boot + end - wall, wall_until=end)

    def _end(self) -> float | None:
        """POSIX seconds at which the key of the variables ends, where they say so."""
        text = self._environ.get(EXPIRATION)
        if not text:
            return None
        try:
            end = datetime.fromisoformat(text)
        except ValueError:
            hint = f"export {EXPIRATION} as aws configure export-credentials --format env prints it"
            raise unreadable(f"the variable {EXPIRATION!r}", "holds no point in time", hint=hint) from None
        return (end if end.tzinfo is not None else end.replace(tzinfo=UTC)).timestamp()
