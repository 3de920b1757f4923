"""Checks the files, variables and directories that the configuration names; ``programs`` checks programs.

Nothing is run, and no secret is shown: for a file with a secret, only whether it is readable and not empty.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from shlex import quote

from credproxy.core.ask.jwt import over as token_over
from credproxy.core.ask.stored import from_text
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed
from credproxy.core.kinds.uses import Bundle, GitHelper, Library, LoginFile, Program, SecretFile, Use, Usual, Variable
from credproxy.doctor.finding import Finding, Topic, Where, nowhere, placed
from credproxy.doctor.machine import READ_LIMIT, Machine


topic = Topic("configuration")

MakeFinding = Callable[[str, str], Finding]

_NOTHING: Mapping[str, str] = {}
_ANOTHER = "# store another one, if this machine's clock is right: date -u"

_CHOSEN = frozenset({"auto", "none"})


def check(
    machine: Machine,
    settings: Settings,
    *,
    variables: Mapping[str, bool],
    bundles: Mapping[str, str],
    over: Mapping[str, str] = _NOTHING,
    wall: float = 0.0,
    place: Where = nowhere,
    strict: bool = False,
) -> Iterator[Finding]:
    """Check everything that the settings name.

    Args:
        machine: reads files.
        settings: that are in force or would be.
        variables: of this process, and whether each is non-empty.
        bundles: for each ``ca_bundle`` why it cannot be used; "" if it can.
        over: for each variable that holds a token which is over, the words about it.
        wall: POSIX seconds, now.
        place: gives the prefix of a message about a key of the settings, such as ``FILE:LINE: KEY: ``.
        strict: whether a variable that is missing here is an error, although the daemon's environment may have it.
    """
    missing = topic.error if strict else topic.warning
    for key, subject, use in settings.uses():
        if isinstance(key[-1], int) and not _is_there(machine, use, variables):
            continue  # one of several alternatives: which of them exist differs between machines
        found = _use(machine, subject, use, missing, variables=variables, bundles=bundles)
        yield from placed(found, place(key))
        # The token of the port is compared and never judged, so it has no end.
        yield from placed(
            _over(machine, subject, use, missing, over=over, wall=wall) if key[0] == "host" else (), place(key)
        )
    yield from _top(machine, settings, place, missing)
    if settings.actions.policy_file is not None:
        yield from placed(_policy(machine, settings.actions.policy_file), place(("actions", "policy_file")))


def _top(machine: Machine, settings: Settings, place: Where, missing: MakeFinding) -> Iterator[Finding]:
    """The settings before the first table."""
    for name, path in (("docker_config", settings.docker_config), ("netrc", settings.netrc)):
        if path not in _CHOSEN:
            yield from placed(_logins(machine, name, path, missing), place((name,)))
    for folder in (settings.helper_path or "").split(":"):
        if folder and not machine.look(folder).is_directory:
            said = f"{place(('helper_path',))}helper_path names {folder!r}, which is not a directory"
            yield topic.warning(said, f"ls -ld {quote(folder)}")


def _is_there(machine: Machine, use: Use, variables: Mapping[str, bool]) -> bool:
    if isinstance(use, Variable):
        return variables.get(use.name, False)
    return not isinstance(use, (SecretFile, LoginFile)) or machine.look(use.path).there


def _use(
    machine: Machine,
    subject: str,
    use: Use,
    missing: MakeFinding,
    *,
    variables: Mapping[str, bool],
    bundles: Mapping[str, str],
) -> Iterator[Finding]:
    match use:
        case Variable(name):
            yield from _variable(subject, name, variables, missing)
        case SecretFile():
            yield from _secret(machine, subject, use)
        case LoginFile(path):
            yield from _logins(machine, f"the rule for {subject}", path, missing)
        case Bundle():
            yield from _bundle(machine, subject, use, bundles.get(use.path, ""))
        case Program() | Usual() | Library() | GitHelper():
            return  # ``config check`` reports missing libraries


def _over(
    machine: Machine, subject: str, use: Use, missing: MakeFinding, *, over: Mapping[str, str], wall: float
) -> Iterator[Finding]:
    """A token that says that it has expired: it is never sent, or refused by who is asked to exchange it."""
    match use:
        case Variable(name) if name in over:
            yield missing(
                f"the variable {name!r} for {subject} {over[name]}", f"export {name}=...; credproxy stop  {_ANOTHER}"
            )
        case SecretFile(path, pem=False, json=False):
            with suppress(UnicodeDecodeError, Failed):
                said = token_over(from_text((machine.read(path) or b"").decode(), use.username, where=path), wall)
                if said:
                    yield topic.error(
                        f"the secret of {subject}, {path!r}, {said}", f"${{EDITOR:-vi}} {quote(path)}  {_ANOTHER}"
                    )
        case _:
            return


def _variable(subject: str, name: str, variables: Mapping[str, bool], missing: MakeFinding) -> Iterator[Finding]:
    if variables.get(name):
        return
    yield missing(
        f"the variable {name!r} for {subject} is {'empty' if name in variables else 'not set'} here; "
        "the daemon's environment may differ",
        f"export {name}=...; credproxy stop",
    )


def _secret(machine: Machine, subject: str, source: SecretFile) -> Iterator[Finding]:
    path = source.path
    place = machine.look(path)
    if not place.there:
        yield topic.error(f"the secret of {subject}, {path!r}, cannot be read: it is not there", _write(path))
    elif not place.readable:
        yield topic.error(f"the secret of {subject}, {path!r}, cannot be read", f"ls -l {quote(path)}")
    elif not place.is_file:
        yield topic.error(f"the secret of {subject}, {path!r}, is not a file", f"ls -ld {quote(path)}")
    elif problem := _unusable(machine.read(path) or b"", source, f"the secret of {subject}, {path!r},"):
        yield topic.error(problem, f"${{EDITOR:-vi}} {quote(path)}")
    elif place.open_to_others:
        yield topic.warning(
            f"others may read the secret of {subject}: {path!r} has mode {place.bits}", f"chmod 600 {quote(path)}"
        )


def _write(path: str) -> str:
    return f"(umask 077; ${{EDITOR:-vi}} {quote(path)})"


def _unusable(content: bytes, source: SecretFile, where: str) -> str:
    """Why the daemon would not use the content of a file; "" if it would."""
    if source.json:
        return "" if content.lstrip().startswith(b"{") else f"{where} is not an object of JSON"
    if source.pem:
        return "" if b"PRIVATE KEY-----" in content else f"{where} is not a private key in PEM form"
    try:
        from_text(content.decode(), source.username, where=where)
    except UnicodeDecodeError:
        return f"{where} is not UTF-8 text"
    except Failed as error:
        return error.failure.message
    return ""


def _policy(machine: Machine, path: str) -> Iterator[Finding]:
    """The policy file; its own parser reports its mistakes."""
    place = machine.look(path)
    if not place.is_file or not place.readable:
        problem = "is not there" if not place.there else "cannot be read" if place.is_file else "is not a file"
        remedy = f"write the rules to {path}, or take policy_file out" if not place.there else f"ls -ld {quote(path)}"
        yield topic.error(f"the policy file {path!r} {problem}", remedy)
    elif place.size > READ_LIMIT:
        yield topic.error(f"the policy file {path!r} is larger than {READ_LIMIT} bytes", f"ls -l {quote(path)}")


def _bundle(machine: Machine, subject: str, bundle: Bundle, problem: str) -> Iterator[Finding]:
    path = bundle.path
    found = machine.look(path)
    if not found.readable:
        said = "cannot be read" if found.there else "is not there"
        yield topic.error(f"the {bundle.key} of {subject}, {path!r}, {said}", f"ls -l {quote(path)}")
    elif problem:
        remedy = f"openssl x509 -noout -subject -in {quote(path)}"
        yield topic.error(f"the {bundle.key} of {subject}, {path!r}, {problem}", remedy)


def _logins(machine: Machine, who: str, path: str, missing: MakeFinding) -> Iterator[Finding]:
    place = machine.look(path)
    if not place.there:
        yield missing(f"{who} names {path!r}, which is not there", f"ls -l {quote(path)}")
    elif not place.readable:
        yield topic.error(f"{who} names {path!r}, which cannot be read", f"ls -l {quote(path)}")
