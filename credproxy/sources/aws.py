"""The access key that Amazon's own tools would use, in their order."""

from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from functools import partial

from credproxy.core.ask.aws_keys import AwsKeys, stored_keys
from credproxy.core.ask.credential import Identity, Secret
from credproxy.core.ask.login import STATIC_KEEP, Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Target
from credproxy.core.ask.worker_messages import AwsAccess, AwsChain
from credproxy.core.errors import Failure
from credproxy.core.formats.aws_config import Profiles, names_login, parse_profiles, plain_keys
from credproxy.core.formats.aws_login_files import login_files
from credproxy.core.kinds.cloud_libraries import AWS
from credproxy.core.kinds.sources.aws import (
    CONFIG_FILE,
    CONTAINER,
    CREDENTIALS_FILE,
    EXPIRATION,
    INSTANCE,
    KEY_ID,
    NO_INSTANCE,
    PROFILES,
    SECRET,
    TOKEN_FILE,
    TOKENS,
    VENDOR,
    VENDOR_FILE,
    WEB_IDENTITY,
    AwsSource,
)
from credproxy.core.kinds.uses import Usual
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.libraries import CloudLibraries
from credproxy.sources.other_files import OtherFiles
from credproxy.sources.program_answers import FAILURE_KEEP, Printed, ProgramAnswer
from credproxy.sources.watched_file import Watched


class Aws:
    """The chain, or one profile of it. Source: ports.source.Source, ports.trouble.Fallible, ports.source.Caches.

    A key that lies in a variable or in a file in plain is read here. For everything else, roles, single sign-on, programs,
    containers and instances, the library is asked, which reads the same places in the same order.

    Args:
        settings: which profile, and which role.
        environ: of the daemon.
        files: reads the files of Amazon's tools.
        libraries: ask botocore.
        clock: judges ages.
        key: gives random bytes of this process, for comparing keys without keeping them.
    """

    def __init__(
        self,
        settings: AwsSource,
        environ: Mapping[str, str],
        *,
        files: Files,
        libraries: CloudLibraries,
        clock: Clock,
        key: Callable[[], bytes],
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._files = files
        self._libraries = libraries
        self._clock = clock
        named = next((environ[name] for name in PROFILES if environ.get(name)), None)
        self._chosen = settings.profile or named
        self._profile = self._chosen or "default"
        # A profile that is chosen here goes before the variables; one that a variable chooses comes after them.
        self._variables = settings.profile is None
        self._credentials = self._watched(CREDENTIALS_FILE, files, prefixed=False)
        self._config = self._watched(CONFIG_FILE, files, prefixed=True)
        self._answer = ProgramAnswer(keep=STATIC_KEEP, key=key(), clock=clock, failure_keep=FAILURE_KEEP)
        self._instance: bool | None = None
        self._others = OtherFiles(files, clock)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the variable, the profile, or what else there is to ask.

        Raises:
            Failed(credential_unreadable): a profile that is named is nowhere; the library that would be asked is not installed.
        """
        del target, repository
        stamps: tuple[Hashable, ...] = ()
        if self._of_environment:
            place = KEY_ID
        else:
            await self._credentials.look()
            await self._config.look()
            if self._trouble_of_files is not None:
                return None
            found = await self._place()
            if found is None:
                return None
            place, stamps = found, await self._stamps()
        if self._is_plain(place):
            return Identity("aws", place, stamps)
        if lacking := self._libraries.lacks(AWS):
            problem, _, remedy = lacking.partition(": ")
            raise unreadable(f"the access key of {place}", f"cannot be looked up: {problem}", hint=remedy)
        role = self._settings.role_arn
        entry = place if role is None else f"{place} as {role}"
        return Identity("aws", entry, (*stamps, self._answer.count))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the access key; None if there is none after all.

        Raises:
            Failed: credential_unreadable; as ``worker.aws_refusals`` says.
        """
        del target
        if identity.entry == KEY_ID:
            return self._of_variables()
        if identity.entry == self._named_profile and (keys := self._keys()) is not None:
            return Login(stored_keys(keys), self._clock.boot())
        stamps = identity.version[:-1] if isinstance(identity.version, tuple) else ()
        return await self._answer.login(self._asked, anew=anew, stamp=stamps)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give it, as far as it is known."""
        plain = identity.entry == KEY_ID or (identity.entry == self._named_profile and self._keys() is not None)
        return await self.read(identity, target) if plain else self._answer.known

    def trouble(self, target: Target) -> Failure | None:
        """Why a file cannot be read, unless a variable goes before it."""
        del target
        return None if self._of_environment else self._trouble_of_files

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the variable, and what is in each file."""
        del target
        told = (f"{KEY_ID!r} is not set in the daemon's environment",) if self._variables else ()
        told = (*told, *(self._said(file) for file in (self._credentials, self._config)))
        names = ", ".join(map(repr, (WEB_IDENTITY, *CONTAINER) if self._variables else CONTAINER))
        instance = f"{NO_INSTANCE!r} is set" if self._no_instance else f"this machine is not one of {VENDOR.decode()}"
        return (*told, f"none of {names} is set", instance)

    def forget(self) -> None:
        """The next question looks at the files."""
        self._credentials.forget()
        self._config.forget()
        self._others.forget()
        self._answer.forget()

    def _watched(self, place: Usual, files: Files, *, prefixed: bool) -> Watched[Profiles]:
        path = place.path(self._environ)
        parse = partial(parse_profiles, where=f"the file {path!r}", prefixed=prefixed)
        return Watched(path, {}, parse=parse, name="aws", files=files, clock=self._clock)

    @property
    def _of_environment(self) -> bool:
        """Whether variables with a key go before everything else."""
        return self._variables and bool(self._environ.get(KEY_ID))

    @property
    def _trouble_of_files(self) -> Failure | None:
        return self._credentials.failure or self._config.failure

    @property
    def _named_profile(self) -> str:
        return f"profile {self._profile}"

    @property
    def _no_instance(self) -> bool:
        return self._environ.get(NO_INSTANCE, "").lower() == "true"

    def _is_plain(self, place: str) -> bool:
        """Whether a key is read here, because nothing that the library knows might come before it."""
        if self._settings.role_arn is not None:
            return False
        return place == KEY_ID or (place == self._named_profile and self._keys() is not None)

    async def _place(self) -> str | None:
        """Where a key might come from; None if there is nothing to ask. What comes first is for the library to say."""
        if self._variables and self._environ.get(WEB_IDENTITY):
            return WEB_IDENTITY
        if self._keys() is not None or names_login(
            self._said_of_profile(self._credentials), self._said_of_profile(self._config)
        ):
            return self._named_profile
        self._check_profile()
        if variable := next((name for name in CONTAINER if self._environ.get(name)), None):
            return variable
        return "instance metadata" if await self._on_instance() else None

    async def _on_instance(self) -> bool:
        """Whether this machine is Amazon's, or the environment says where to ask as if it were."""
        if self._no_instance:
            return False
        if self._instance is None:
            vendor = b"" if self._environ.get(INSTANCE) else await self._files.read(VENDOR_FILE)
            self._instance = bool(self._environ.get(INSTANCE)) or (vendor or b"").strip() == VENDOR
        return self._instance

    async def _stamps(self) -> tuple[Hashable, ...]:
        """What changes with a login: the two files, and those that a key is made from."""
        environ = self._environ
        named = (TOKEN_FILE, WEB_IDENTITY) if self._variables else (TOKEN_FILE,)
        paths = (
            *(environ[name] for name in named if environ.get(name)),
            *login_files(self._profile, self._credentials.content, config=self._config.content, environ=environ),
        )
        files = (self._credentials.version, self._config.version)
        return (*(version and version.stamp for version in files), *await self._others.stamps(paths))

    async def _asked(self) -> Printed:
        settings, since = self._settings, self._clock.boot()
        question = AwsChain(settings.profile, settings.role_arn, settings.region or self._environ.get("AWS_REGION"))
        found = await self._libraries.ask(question, AwsAccess)
        if not found.key_id:
            return b"", None
        keys = AwsKeys(found.key_id, Secret(found.secret), Secret(found.session_token) if found.session_token else None)
        until = None if found.until is None else self._clock.boot() + found.until - self._clock.wall()
        # A lasting key is looked up again as any other one: nobody says when it is taken away.
        keep = STATIC_KEEP if until is None else None
        return found.key_id.encode(), Login(stored_keys(keys), since, until, keep, found.until)

    def _said_of_profile(self, file: Watched[Profiles]) -> Mapping[str, str]:
        return file.content.get(self._profile, {})

    def _keys(self) -> AwsKeys | None:
        return plain_keys(self._said_of_profile(self._credentials), self._said_of_profile(self._config))

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
