"""What holds for every hint in the source: its commands exist and name their files; waiting helps; a test follows it."""

import re

import click
import pytest

from credproxy.cli import main
from credproxy.core.errors import failed
from tests.hints import Hint, hints, read_by_tests


WAITING = re.compile(r"(?:ask again|try again|run the build again|wait)\b(?! (?:for|to))")
NEEDS_A_FILE = re.compile(r"\b(?:ls|namei|chmod|openssl|json\.tool|mv)\b")

HINTS = hints()

NOT_FOLLOWED: dict[str, tuple[str, ...]] = {
    "it passes by itself, which tests/daemon/test_hints.py holds of every such code": (
        "check the network, then try again",
        "close some programs, then try again",
        "ask again, with fewer --jobs",
        "run the build again, or with fewer --jobs",
        "the answer is kept for the next call; credproxy status shows it",
        "ask again later, for fewer repositories at once",
        "ask again later, or run fewer actions at once",
        "ask again: its successor will answer",
        "ask again in a second",
        "ask again in a second; a drop-in with MemoryHigh= grants its service more",
        "ask again when they have ended",
        "try again then",
        "try again then; credproxy status shows it",
        "try again",
        "try again later",
        "try again in a minute",
        "try again: there will be a new one",
        "run the build again",
        "end some of them, then ask again",
        "ask again later",
        "wait a second",
        "end those clients, or ask again in a minute",
        "ask less often",
        "wait until some have ended",
        "too many requests were made with this login",
        "it is the server's fault and may pass",
    ),
    "somebody else has to act, on a machine that is not this one": (
        "it is reachable but slow: ask its administrator",
        "ask its administrator",
        "no setting allows that address: the DNS entry of {} has to be corrected",
        "ask the proxy's administrator to allow {}, or take the proxy out of the [[host]]",
        "nothing was sent to it; somebody may be between you and the registry",
        "use another login method of this registry",
        "ask its administrator to name an https address",
        "a token comes with 200",
        "let the client have Bearer tokens there",
        'ask for one: offline_access in the scope of the [[host]], and the grant "refresh_token" for the client',
        "tell the registry's administrator",
        "ask its administrator, or ask for a shorter page: ?n=100",
        "without that page the list would be shorter than it is: ask the registry's administrator",
    ),
    "it asks about another machine, a clock, a disk or a person's other programs": (
        "its file system hangs: df shows which one; or use another path",
        "is the proxy running, and does it reach {}?",
        "is it running? It is the proxy of the [[host]] for {}",
        "is {} up, and does the proxy reach it? Then try again",
        "is this machine very busy?",
        "is a credential file on a slow disk, or its program stuck?",
        "is it up, and is the network?",
        "is this machine's clock right, and the server fast?",
        "is this machine's clock right? timedatectl status; if so, ask its administrator",
        "your login is not the cause: is this machine's clock right? If so, ask the registry's administrator",
        "check this machine's clock, and the server's",
        "log in again where the helper gets it from, and check this machine's clock",
        "store a new one, and check this machine's clock",
        "check that the host is a registry, and its path_prefix",
        "check that the host is a registry",
        "check what this login may do; {}",
        "unlock it, and see what it has in its own program",
        "install it, or take {} out of {}",
        "run it by hand: {} list",
        "run it by hand: {}",
        "ask the proxy's administrator, or correct the proxy of the rule",
        "users need systemd 256 for it; else: --store file",
        "see whether it hangs: secret-tool search x x",
        "see what it has: secret-tool search --all service x",
        "are both of the same version?",
    ),
    "it shows where to look, and what is seen there decides": (
        "see the daemon's log",
        "see its log: tail {}; of a service: journalctl --user --unit={}",
        "credproxy doctor",
        "credproxy status --json",
        "ls -ld {}",
        "df {}",
        "findmnt --target {}",
        "ls -l {}",
        "journalctl --user --unit={}",
        "it has {}",
        "unset CREDPROXY_SOCKET, or set it to the helper socket",
        "ss -xlp src {}",
        "see the OCI distribution specification",
        "the gateway takes /v2/NAME/manifests/..., /blobs/... and the others of the OCI distribution specification",
        "check where it is stored",
        "see what Microsoft says of it: {}",
        "look at its installation: Settings, Installed GitHub Apps, Configure",
        "gh release view shows its assets",
        "store it again where it comes from",
        "store it as text",
    ),
    "it tells who writes a client how to ask; tests/server and tests/gateway ask so": (
        "ask for one path",
        "write it without empty segments, dots alone and encoded slashes",
        "blobs and manifests are asked for below /v2/, with the header {}",
        "percent-encode it: %FF for the byte 0xff",
        "percent-encode the URL: curl -G --data-urlencode url=https://HOST/PATH --unix-socket ... http://localhost/v1/fetch",
        "connect again",
        "begin it again",
        "names, tags and digests need none",
        "name one repository, once",
        "name the registry: curl -H '{}: ghcr.io' --unix-socket ...",
        "send {}",
        "send host or host:port",
        "continue at the Location that it was given",
        "a URI has at most 8192",
        "ask with HTTP/1.1",
        "credproxy flush [HOST]",
        "ask through credproxy-helper",
        "use 127.0.0.1:PORT",
        "add {}: true",
        "Authorization: Bearer, with the token of actions.listen_token",
        "name {} in your build instead",
    ),
    "it needs a service manager, root or another user": (
        "sudo kill {}",
        "kill -KILL {}",
        "sudo kill -USR2 {}",
        "sudo {}",
        "credproxy stop",
        "credproxy install",
        "sudo credproxy {} --system",
        "run it with sudo",
        "reinstall the units: credproxy install",
        "put changes into a drop-in: systemctl edit; then --force, which discards what is in this file",
        "nothing needs to be installed: the first credproxy-helper call starts the daemon itself",
        "set HOME to the directory in which the service's files belong",
        "run the command as that user, or set allow_root = true in the daemon's configuration",
        "start a daemon of your own: credproxy serve",
        "start the daemon with the caller's capabilities; {}",
    ),
    "it installs something, or needs a machine that filters system calls": (
        "is everything installed? make setup",
        "run it where prctl is not filtered",
        "credproxy doctor; in a container, run it without a filter on system calls",
        "unset AIOHTTP_NO_EXTENSIONS, or install aiohttp from a wheel: {}",
    ),
    "it needs a server with a certificate or a proxy; tests/real/test_credproxy.py and tests/real/test_proxy.py have them": (
        "if it speaks plain http, say so {}",
        "if its certificate comes from a private CA, name that {}",
        'it speaks https: take insecure = true out of the [[host]] with match = "{}"',
        "name another proxy for {}",
        'add one to its URL, percent-encoded: proxy = "http://USER:PASSWORD@{}"; credproxy reload',
        'correct it, percent-encoded, in proxy = "http://USER:PASSWORD@..."; credproxy reload. Only Basic is spoken',
        'put it into the [[host]] of {}: proxy = "http://USER:PASSWORD@HOST:PORT"',
    ),
    "a build action reads it, and its user logs in; tests/gateway/test_oci_errors.py holds the words": (
        "credproxy explain {}",
        "credproxy explain {} shows which login that is; another one: {}",
        "docker login {}",
        "outside the build open {}, then {}",
        "the first rule that matches decides: one that allows it has to come before {}",
        "allow it {}",
    ),
    "a person types it, and so do tests/cli/test_login.py and tests/real/test_login.py": (
        "type it again",
        "write https:// in the place of http://",
        "pipe it in, with --password-stdin",
        "name the user: -u NAME",
        "name a page that wants it, with --check-url, or store it untried, with --no-check",
        "name another page that wants it, with --check-url",
        "name the way, with --flow, or pipe a token in, with --password-stdin",
        "the identity provider asks who you are",
        "leave it out",
        "log in with --store file, docker or systemd-creds",
        "log in with --store file",
        'put { source = "login" } in front of its {}',
        "credproxy explain https://{}/",
        "try again when it has ended",
    ),
    "only callers of actions.listen get it; tests/server/test_tcp_guard.py asks there": (
        "set actions.listen, or restart",
        "leave out its username",
    ),
    "nobody reads it: without a daemon nothing is sent": ("credproxy serve",),
    "the check of the whole file comes before it, and says more": ("remove one of them",),
    "tests of namespaces do what it says: tests/e2e/test_sandboxed_daemon.py, tests/e2e/test_pid_namespaces.py": (
        'to accept that, write peer_namespaces = "any" into {}',
        "for a daemon of this sandbox, set {} to a path of its own",
        (
            "take PrivateUsers= and what implies it out of the unit, see `systemctl --user cat {}`; "
            'or set peer_namespaces = "any" and restart, and CREDPROXY_PEER_NAMESPACES=any for its callers'
        ),
        (
            "start the daemon where /proc is its own, such as with `unshare --pid --fork --mount-proc`; "
            'or set peer_namespaces = "any" and restart, and CREDPROXY_PEER_NAMESPACES=any for its callers'
        ),
        'a build action uses the actions socket; for a devcontainer set peer_namespaces = "any" and restart',
    ),
}
"""Hints that no test follows, by the reason."""


def test_there_are_hints() -> None:
    """The search above must still find them, in every room."""
    assert len(HINTS) > 100
    assert {hint.place.partition("/")[0] for hint in HINTS} >= {
        "adapters",
        "broker",
        "cli",
        "core",
        "exchange",
        "providers",
    }


@pytest.mark.parametrize(
    "hint", [hint for hint in HINTS if "credproxy " in hint.text], ids=lambda hint: f"{hint.place} {hint.text}"
)
def test_every_own_command_in_a_hint_exists(hint: Hint) -> None:
    """With its options."""
    for typed in re.findall(r"credproxy ((?:[a-z]+|--[a-z-]+)(?: (?:[a-z]+|--[a-z-]+))*)", hint.text):
        command: click.Command = main
        for word in typed.split():
            if word.startswith("--"):
                assert word in {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            elif isinstance(command, click.Group):
                found = command.get_command(click.Context(command), word)
                assert found is not None, word
                command = found


@pytest.mark.parametrize(
    "hint", [hint for hint in HINTS if NEEDS_A_FILE.search(hint.text)], ids=lambda hint: f"{hint.place} {hint.text}"
)
def test_a_command_that_looks_at_a_file_names_it(hint: Hint) -> None:
    """``python3 -m json.tool`` without a file waits for ever."""
    assert "{}" in hint.text


@pytest.mark.parametrize(
    "hint", [hint for hint in HINTS if WAITING.match(hint.text)], ids=lambda hint: f"{hint.place} {hint.text}"
)
def test_a_hint_to_wait_belongs_to_what_passes(hint: Hint) -> None:
    """If only a change helps, no hint advises to wait."""
    assert hint.code is not None
    assert failed(hint.code, "").failure.may_pass


def test_every_hint_is_followed_by_a_test_or_has_a_reason_why_not() -> None:
    """A test follows a new hint by reading it with ``filled``; or it is in the list above."""
    known = {hint.text for hint in HINTS}
    excused = [text for texts in NOT_FOLLOWED.values() for text in texts]
    followed = read_by_tests().keys()
    places = {hint.text: hint.place for hint in HINTS}
    assert {places[text]: text for text in known - followed - set(excused)} == {}
    assert sorted(set(excused) - known) == []  # no hint says that any more
    assert sorted(set(excused) & followed) == []
    assert len(set(excused)) == len(excused)


def test_no_test_reads_a_hint_that_is_gone() -> None:
    """Such a test would check nothing."""
    known = {hint.text for hint in HINTS}
    assert {text: files for text, files in read_by_tests().items() if text not in known} == {}
