"""Checks which of this user's secrets a sandboxed build action can see (F15): by default the home is visible."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from credproxy.core.config.settings import Settings
from credproxy.core.formats.docker_config import Index
from credproxy.core.formats.login_file import apart_folder
from credproxy.core.kinds.uses import SecretFile
from credproxy.doctor.bazelrc_reader import Lines
from credproxy.doctor.finding import Finding, Topic
from credproxy.doctor.machine import Machine


topic = Topic("sandbox")


@dataclass(frozen=True, slots=True)
class Facts:
    """Where secrets may be.

    Attributes:
        home: of the user; ``config`` is ``$XDG_CONFIG_HOME``.
        docker: docker's and podman's files, by path.
        socket: the directory of the helper socket.
        settings: name further files.
        logins: the file of what ``credproxy login`` stored; "" for none.
    """

    home: str
    config: str
    docker: Mapping[str, Index]
    socket: str
    settings: Settings
    logins: str = ""


def check(machine: Machine, facts: Facts, *, lines: Lines) -> Iterator[Finding]:
    """Compare what is there with what Bazel's files hide."""
    options = (option for option in lines.options if option.name == "sandbox_block_path" and not option.config)
    hidden = [option.value.rstrip("/") for option in options]
    seen = [path for path in to_hide(machine, facts) if not _covered(path, hidden)]
    if not seen:
        yield topic.ok("a sandboxed build action can see no login of yours")
        return
    # A user who lets build actions ask for tokens does not want them to have more than that.
    actions = facts.settings.actions
    say = topic.warning if actions.rule or actions.policy_file else topic.note
    yield say(
        f"a sandboxed build action can see {', '.join(map(repr, seen))}", "credproxy bazelrc --sandbox >> ~/.bazelrc"
    )


def to_hide(machine: Machine, facts: Facts) -> list[str]:
    """Every existing file and directory that holds secrets, and that of the helper socket."""
    docker = [path for path, index in facts.docker.items() if set(index.auths.values()) - index.empty]
    usual = [
        f"{facts.home}/.netrc",
        f"{facts.home}/.aws",
        f"{facts.home}/.azure",
        f"{facts.config}/gcloud",
        f"{facts.config}/gh/hosts.yml",
    ]
    files = [use.path for _, _, use in facts.settings.uses() if isinstance(use, SecretFile)]
    logins = [facts.logins, apart_folder(facts.logins)] if facts.logins else []
    wanted = dict.fromkeys([facts.socket, *docker, *usual, *logins, *files])
    return [path for path in wanted if path and machine.look(path).readable]


def _covered(path: str, hidden: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in hidden)
