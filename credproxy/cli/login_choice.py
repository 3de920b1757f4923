"""Where to store a login: where the rule of its host looks for it, and as ``login_store`` says."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.docker_logins import DockerLogins
from credproxy.adapters.login_places import LoginPlace, LoginsFile, NamedFile, NamedKeyring
from credproxy.adapters.secret_service import NoKeyringError
from credproxy.adapters.writable_keyring import WritableKeyring, writable_keyring
from credproxy.cli.command_error import CommandError
from credproxy.core.ask.credential import Secret
from credproxy.core.config.settings import LoginStore, Settings
from credproxy.core.formats.docker_config import parse_index
from credproxy.core.formats.login_file import SecretKept
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.sources import SourceSettings
from credproxy.core.kinds.sources.docker_config import DockerConfigSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.kinds.sources.keyring import KeyringSource
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.core.paths import login_file


OURSELVES = "credproxy"


class LoginPlaces:
    """The places where one login may be stored.

    Args:
        settings: in force.
        rule: of its host.
        key: canonical name of the host, with its path.
        keyring: takes secrets; None for the one of this system.
    """

    def __init__(self, settings: Settings, rule: HostRule, *, key: str, keyring: WritableKeyring | None = None) -> None:
        self._settings = settings
        self._rule = rule
        self._key = key
        self.keyring = keyring or writable_keyring(os.environ, clock=SystemClock(), uid=os.geteuid())

    @property
    def username(self) -> str:
        """The user name that the rule gives to what is stored; "" for none."""
        sources = [source for source in self._sources() if isinstance(source, KeyringSource | FileSource)]
        return next((source.username for source in sources if source.username), "")

    def put(self, place: LoginPlace, *, username: str, secret: Secret) -> None:
        """Store a login, and delete an older one that would take precedence. Raises the same as ``LoginPlace.put``."""
        place.put(username, secret)
        if not isinstance(place, LoginsFile):
            self.of_logins("file").remove()

    def remove(self) -> list[str]:
        """Delete the login everywhere; give the names of the places that had it."""
        return [name for place in self.everywhere() if (name := place.remove())]

    def choose(self, store: LoginStore) -> LoginPlace:
        """Give the place for a new login.

        Raises:
            CommandError: nothing can be stored where the rule looks.
            NoKeyringError, LockedKeyringError: the keyring is wanted, and cannot be had.
        """
        for source in self._sources():
            match source:
                case LoginSource():
                    return self._by_choice(store)
                case KeyringSource(service, username):
                    return NamedKeyring(service, username, self.keyring)
                case FileSource(path):
                    return NamedFile(Path(path))
                case DockerConfigSource(path) if self._rule.is_registry:
                    return self._docker(path)
                case _:
                    pass
        raise CommandError(
            f"the rule for {self._rule.match!r} looks where nothing can be stored",
            'put { source = "login" } in front of its ' + self._rule.login_key,
        )

    def choose_for_docker(self, store: LoginStore) -> LoginPlace:
        """The same for a login that docker asks us to store: never in docker's own file. Raises the same as ``choose``."""
        place = self.choose("auto" if store == "docker" else store)
        return self.of_logins("file") if isinstance(place, DockerLogins) else place

    def everywhere(self) -> Iterator[LoginPlace]:
        """Each place where a login from here may be stored."""
        yield self.of_logins("file")
        for source in self._sources():
            match source:
                case KeyringSource(service, username):
                    yield NamedKeyring(service, username, self.keyring)
                case FileSource(path):
                    yield NamedFile(Path(path))
                case DockerConfigSource(path) if self._rule.is_registry and not self._loops(
                    found := self._docker(path)
                ):
                    yield found
                case _:
                    pass

    def of_logins(self, kept: SecretKept) -> LoginsFile:
        """The file of logins. Raises CommandError: there is no home directory."""
        path = login_file(os.environ)
        if path is None:
            raise CommandError("there is no place for a login: HOME is not set", "set HOME")
        return LoginsFile(Path(path), self._key, kept, self.keyring, os.geteuid(), self._rule.rotates)

    def _by_choice(self, store: LoginStore) -> LoginPlace:
        docker = self._rule.is_registry and self._settings.docker_config != "none"
        match store:
            case "auto":
                return self._automatic(docker=docker)
            case "docker" if docker:
                found = self._docker(None)
                if self._loops(found):
                    raise CommandError(
                        f"{found.path} has credproxy itself for {self._key!r}", "log in with --store file"
                    )
                return found
            case "docker":
                raise CommandError("docker's configuration is for registries alone", "log in with --store file")
            case _:
                if store == "keyring":
                    self.keyring.usable()
                return self.of_logins(store)

    def _automatic(self, *, docker: bool) -> LoginPlace:
        try:
            self.keyring.usable()
        except NoKeyringError:
            found = self._docker(None) if docker else None
            return found if found is not None and not self._loops(found) else self.of_logins("file")
        return self.of_logins("keyring")

    def _docker(self, path: str | None) -> DockerLogins:
        return DockerLogins(Path(path or self._docker_file()), self._key, self._which)

    def _docker_file(self) -> str:
        """The configuration file that ``docker login`` writes. Source: docker/cli cli/config, Dir."""
        if self._settings.docker_config != "auto":
            return self._settings.docker_config
        folder = os.environ.get("DOCKER_CONFIG") or f"{os.environ.get('HOME', '')}/.docker"
        return f"{folder}/config.json"

    def _loops(self, place: DockerLogins) -> bool:
        """Whether docker would ask us for the login that we store there."""
        content = place.path.read_bytes() if place.path.exists() else b""
        index = parse_index(content, f"the docker configuration {str(place.path)!r}")
        return OURSELVES in {index.store, index.helpers.get(self._key.partition("/")[0], ("", ""))[1]}

    @property
    def _which(self) -> Callable[[str], str | None]:
        return partial(shutil.which, path=self._settings.helper_path)

    def _sources(self) -> Iterator[SourceSettings]:
        """The sources of the option that a login is for."""
        return (source for key, source in self._rule.secrets() if key[0] == self._rule.login_key)
