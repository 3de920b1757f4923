"""Checks whether the configuration can be used, and whether its settings make sense."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote

from credproxy.core.config.parse import Mistake
from credproxy.core.config.settings import Settings
from credproxy.core.config.trusted_files import trusted_files
from credproxy.core.counted import counted
from credproxy.doctor import named
from credproxy.doctor.finding import Finding, Topic, Where, nowhere
from credproxy.doctor.machine import Machine, replaceable


topic = Topic("configuration")


@dataclass(frozen=True, slots=True)
class Facts:
    """The configuration that the daemon would load now.

    Attributes:
        places: where it looks, in order of precedence.
        files: those that exist.
        mistakes: why they cannot be used, including mistakes of the policy file.
        unreadable: a file that exists and cannot be read, and why; "" for none. ``way_out``: what to do about it.
        logins: docker's, podman's and netrc files that exist.
        broken: what is unusable in those, or a client certificate, and what to do.
        actions: how many rules there are for build actions.
        variables, bundles, over, wall: see ``named.check``.
    """

    places: Sequence[str]
    files: Sequence[str]
    settings: Settings
    mistakes: Sequence[Mistake] = ()
    unreadable: str = ""
    way_out: str = ""
    logins: Sequence[str] = ()
    broken: Sequence[tuple[str, str]] = ()
    actions: int = 0
    variables: Mapping[str, bool] = field(default_factory=dict)
    bundles: Mapping[str, str] = field(default_factory=dict)
    over: Mapping[str, str] = field(default_factory=dict)
    wall: float = 0.0
    place: Where = nowhere
    strict: bool = False


def check(machine: Machine, facts: Facts) -> Iterator[Finding]:
    """Check the files and their content."""
    if facts.unreadable:
        yield topic.error(facts.unreadable, facts.way_out or "credproxy config path")
    for mistake in facts.mistakes:
        policy = mistake.where == facts.settings.actions.policy_file
        again = f"credproxy actions check {quote(mistake.where)}" if policy else "credproxy config check"
        yield topic.error(str(mistake), f"${{EDITOR:-vi}} {quote(mistake.where)}; {again}")
    for path in facts.files:
        yield from _check_writers(machine, "the configuration", path)
    if facts.settings.actions.policy_file is not None:
        yield from _check_writers(machine, "the policy file", facts.settings.actions.policy_file)
    for subject, path in trusted_files(facts.settings, programs=False):  # those are checked separately
        yield from _check_writers(machine, subject, path)
    yield from _logins(machine, facts)
    if not facts.mistakes and not facts.unreadable:
        yield from _in_force(facts)
    yield from named.check(
        machine,
        facts.settings,
        variables=facts.variables,
        bundles=facts.bundles,
        over=facts.over,
        wall=facts.wall,
        place=facts.place,
        strict=facts.strict,
    )


def _check_writers(machine: Machine, subject: str, path: str) -> Iterator[Finding]:
    exposed = replaceable(machine, path) if machine.look(path).there else None
    if exposed is not None and exposed.grave:
        yield topic.error(f"{subject} {path!r} is not trusted: it {exposed.problem}", exposed.remedy)
    elif exposed is not None:
        yield topic.warning(f"{subject} {path!r} {exposed.problem}", exposed.remedy)


def _logins(machine: Machine, facts: Facts) -> Iterator[Finding]:
    for problem, remedy in facts.broken:
        yield topic.error(problem, remedy)
    for path in facts.logins:
        exposed = replaceable(machine, path)
        if exposed is not None and exposed.grave:
            yield topic.warning(f"others may choose your logins: {path!r} {exposed.problem}", exposed.remedy)
        if machine.look(path).open_to_others:
            yield topic.warning(f"others may read your logins in {path!r}", f"chmod 600 {quote(path)}")


def _in_force(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    if facts.files:
        rules = f"{counted(len(settings.host), 'host rule')}, {facts.actions} for build actions"
        yield topic.ok(f"{', '.join(facts.files)}: {rules}")
    else:
        yield topic.ok(f"no file at {facts.places[0]!r}: the built-in defaults are in force")
    if settings.allow_root:
        yield topic.note("root gets the same answers as you: allow_root = true")
    for rule in settings.host:
        for problem, remedy in rule.risks():
            yield topic.warning(problem, remedy)
