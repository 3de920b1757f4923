"""What is known about every host rule, whatever its kind, without I/O.

A kind is one file next to this one: a struct with its options, and what is specific to it. All other code asks a rule,
and names no kind: what it needs, what is wrong with it, how a person logs in.
"""

from collections.abc import Iterator
from shlex import quote as shell
from typing import ClassVar, Literal, Self

from credproxy.core.ask.names import without_port
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import is_loopback
from credproxy.core.formats.checks import Problem, certificate, within
from credproxy.core.formats.toml_lines import Path
from credproxy.core.formats.toml_types import Base, FilePath, PublicText
from credproxy.core.kinds.sources import Sources, SourceSettings
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.core.kinds.uses import Bundle, SecretFile, Used


_NOT_STORED = "credproxy login stores nothing for this option: wanted another source, such as keyring, file or env"


class _Matching(Base, frozen=True):
    """What comes first in every rule."""

    match: PublicText


class HostBase(_Matching, frozen=True, kw_only=True):
    """One ``[[host]]``: ``match`` says for which targets, ``insecure`` that they may be requested over plain http.

    ``client_cert`` and ``client_key`` are files with the certificate that is shown to servers that ask for one (mutual TLS).

    Attributes:
        source_keys: the options that name sources.
        answers: whether its hosts can get a credential at all.
        is_registry: whether it is for the API of registries alone, and not for objects beside it.
        shows_hosts: whether its client certificate is for its hosts, and not for a server that is asked for them.
        ignores_case: whether its servers take a path in another case for the same one.
        encoded_below: how paths of its APIs begin in which a slash of a name is written ``%2F``.
        for_one_url: whether its answers are signatures, each for one URL alone.
        login_example: how a person logs in with ``credproxy login``, for ``--help``; "" if that is done elsewhere.
        login_asks: what is typed: a password, for a user whose name is typed as well, or a token.
    """

    source_keys: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[bool] = True
    is_registry: ClassVar[bool] = False
    ignores_case: ClassVar[bool] = False
    encoded_below: ClassVar[tuple[str, ...]] = ()
    for_one_url: ClassVar[bool] = False
    shows_hosts: ClassVar[bool] = True
    login_example: ClassVar[str] = ""
    login_asks: ClassVar[Literal["password", "token"]] = "token"

    insecure: bool = False
    client_cert: FilePath | None = None
    client_key: FilePath | None = None

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """Its built-in rules; each answers if its sources have a login."""
        return ()

    @classmethod
    def tag(cls) -> str:
        """The name of its kind, as ``provider = "x"`` has it."""
        return str(cls.__struct_config__.tag)

    def secrets(self) -> Iterator[tuple[Path, SourceSettings]]:
        """The sources that it names, each with its key: ``("credentials",)``, or ``("credentials", 1)`` in a list."""
        for key, found in self._sources():
            if isinstance(found, tuple):
                yield from (((key, index), source) for index, source in enumerate(found))
            else:
                yield (key,), found

    def problems(self) -> Iterator[Problem]:
        """Everything that is wrong with its options and its sources, and that a type cannot express."""
        yield from self.mistakes()
        yield from self._certificate()
        yield from (((key,), "wanted at least one source") for key, found in self._sources() if not found)
        yield from self._unserved()
        for key, source in self.secrets():
            yield from within(key, source.problems())
            if isinstance(source, LoginSource) and not (self.login_example and key[0] == self.login_key):
                yield key, _NOT_STORED

    def uses(self) -> Iterator[Used]:
        """The files, programs and variables that it and its sources name."""
        yield from self.own_uses()
        if self.client_cert is not None:
            yield ("client_cert",), Bundle(self.client_cert, "client_cert", self.client_key)
        if self.client_key is not None:
            yield ("client_key",), SecretFile(self.client_key, pem=True)
        for key, source in self.secrets():
            for use in source.uses():
                yield key, use

    def risks(self) -> Iterator[tuple[str, str]]:
        """What may be intended but is dangerous, and what to do instead: ``doctor`` reports it."""
        if self.insecure and not is_loopback(self.host):
            yield f"secrets for {self.match!r} travel in plain http", "take insecure = true out, if the host has TLS"

    def mistakes(self) -> Iterator[Problem]:
        """What is wrong with its own options; a kind overrides this."""
        return iter(())

    def own_uses(self) -> Iterator[Used]:
        """What it names besides its sources; a kind overrides this."""
        return iter(())

    @property
    def public_match(self) -> str:
        """What a rule for objects that need no login would match, where its hosts often have such; "" elsewhere."""
        return ""

    def setup(self, target: Target) -> str:
        """What a person does so that there is a login for a target; "" if there is nothing to do."""
        del target
        return ""

    def log_in(self, target: Target) -> str:
        """The command that stores a login where one of its sources looks for it; "" if none looks there."""
        if not any(isinstance(source, LoginSource) for _, source in self.secrets()):
            return ""
        who = " -u NAME" if self.login_asks == "password" else ""
        return f"credproxy login {shell(target.authority)}{who}"

    @property
    def tool_login(self) -> str:
        """The command by which the tool of one of its sources stores a login; "" if none has such."""
        return next((source.log_in for _, source in self.secrets() if source.log_in), "")

    @property
    def login_key(self) -> str:
        """The option that ``credproxy login`` stores a login for; "" if nobody logs in."""
        return next(iter(self.source_keys), "credentials")

    @property
    def login_host(self) -> str | None:
        """Under which host a login for one of its hosts is stored, if that is another one (``login_key``)."""
        sources = (source for key, source in self.secrets() if key[0] == self.login_key)
        return next((source.key for source in sources if isinstance(source, LoginSource) and source.key), None)

    @property
    def rotates(self) -> bool:
        """Whether the login that is stored for it changes by being used."""
        return False

    def api_prefix(self) -> str | None:
        """The path before a registry's ``/v2``, if one is set."""
        return None

    def matches(self) -> tuple[str, ...]:
        """Each place that it answers for: its ``match``, then what its kind knows belongs to that.

        A rule that names one of the others itself takes precedence.
        """
        return (self.match,)

    def claims(self, target: Target) -> bool:
        """Whether a target of its ``match`` is one that it knows: asked of built-in rules, whose ``match`` may be wider."""
        del target
        return True

    def withheld(self, target: Target) -> str:
        """Why one of its targets gets no credential nevertheless, for people; "" if it gets one."""
        del target
        return ""

    def release_api(self, target: Target) -> str:
        """The root of an API that gives a release's asset where its own URL takes no credential; "" if there is none."""
        del target
        return ""

    def opens(self, target: Target) -> tuple[str, ...]:
        """What the narrowest credential for a target opens, if that is more than the target.

        Patterns of URLs, as in rules for build actions. A build action is given the credential only if the rules allow it
        everything in the first, and deny it nothing in any of them. Empty if the credential cannot be narrowed, or is for
        the target alone.
        """
        del target
        return ()

    def openings(self, target: Target) -> tuple[tuple[str, ...], ...]:
        """The same for each width that its issuer offers, the widest first.

        The first that the rules allow is used, so that one credential serves as many targets as possible.
        """
        opened = self.opens(target)
        return (opened,) if opened else ()

    def _unserved(self) -> Iterator[Problem]:
        """An option none of whose sources can have a login for its one host: the host says whom they would ask."""
        host = self.host.lower().removesuffix(".")
        for key, found in () if "*" in host else self._sources():
            sources = found if isinstance(found, tuple) else (found,)
            if sources and not any(source.serves(host) for source in sources):
                forms = " or ".join(dict.fromkeys(source.hosts for source in sources))
                yield (
                    (key,),
                    f"there is no such login for {self.host!r}: wanted a match like {forms}, or another source",
                )

    def _certificate(self) -> Iterator[Problem]:
        """What is wrong with the certificate that it shows."""
        yield from certificate(self.client_cert, self.client_key)
        if self.client_cert is not None and self.insecure:
            yield ("client_cert",), "means nothing together with insecure = true; leave one of them out"

    def _sources(self) -> Iterator[tuple[str, Sources]]:
        found = ((key, getattr(self, key)) for key in self.source_keys)
        return ((key, sources) for key, sources in found if sources is not None)

    @property
    def host(self) -> str:
        """The host of its ``match``: no port, no path."""
        return without_port(self.match.partition("/")[0])
