"""Whether the helper trusts the listener: it compares the listener's namespaces with its own (T11)."""

import json
import os
import subprocess
import sys

import pytest

from tests.helper.harness import Helper, Place, Result, call
from tests.helper.impostor import LISTENER, SANDBOXES, listening, unshare


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them")

HINT = (
    "in a build action use the actions socket; in a devcontainer set CREDPROXY_PEER_NAMESPACES=any; "
    "otherwise delete the directory of that socket, which is not your daemon's"
)


def ask(helper: Helper, place: Place, *around: str, **environ: str) -> Result:
    """One call; no daemon is ever started."""
    return call([*around, helper.bazel, "get"], env=place.env(PATH=os.environ["PATH"], **environ))


def differs(place: Place, kind: str) -> list[str]:
    """The two lines of a refusal."""
    cause = (
        f"the program that listens on '{place.socket}' is in a sandbox or container, or its caller is: "
        f"they are in different namespaces ({kind})"
    )
    return [cause, HINT]


@pytest.mark.parametrize("how", ["", "hidden"], ids=["plain", "not dumpable"])
@pytest.mark.parametrize("kind", SANDBOXES)
def test_an_impostor_in_a_sandbox_is_not_trusted(helper: Helper, place: Place, kind: str, how: str) -> None:
    """It has our uid and the right path; nothing is sent to it, whether or not it can be inspected."""
    with listening(place.socket, *unshare(*SANDBOXES[kind]), how=how) as impostor:
        result = ask(helper, place)
        impostor.kill()
        assert impostor.stdout is not None
        assert impostor.stdout.read() == ""
    assert (result.code, result.out) == (1, b"")
    assert result.lines == differs(place, "user" if kind == "user" else "mnt")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("how", ["", "hidden"], ids=["plain", "not dumpable"])
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--mount", "--pid", "--fork", "--mount-proc", "--kill-child"), "mnt"),
        (("--pid", "--fork", "--kill-child"), "pid"),
    ],
    ids=["container", "pid"],
)
def test_an_impostor_of_root_without_a_user_namespace_is_not_trusted(
    helper: Helper, place: Place, options: tuple[str, ...], kind: str, how: str
) -> None:
    """As in most containers."""
    with listening(place.socket, *unshare(*options), how=how):
        result = ask(helper, place)
    assert result.lines == differs(place, kind)


@pytest.mark.parametrize("kind", SANDBOXES)
def test_from_a_sandbox_the_daemon_outside_is_not_trusted_either(helper: Helper, place: Place, kind: str) -> None:
    """Neither side can tell which of the two is the sandbox; build actions use the actions socket."""
    with listening(place.socket, how="hidden"):
        result = ask(helper, place, *unshare(*SANDBOXES[kind]))
    assert (result.code, result.out, result.lines[1]) == (1, b"", HINT)


def test_any_daemon_is_trusted_if_the_caller_says_so(helper: Helper, place: Place) -> None:
    """For devcontainers: the counterpart of ``peer_namespaces = "any"``."""
    sandbox = unshare(*SANDBOXES["user, mount and pid"])
    with listening(place.socket, *sandbox):
        inward = ask(helper, place, CREDPROXY_PEER_NAMESPACES="any")
    place.socket.unlink()
    with listening(place.socket):
        outward = ask(helper, place, *sandbox, CREDPROXY_PEER_NAMESPACES="any")
    assert (inward.code, inward.out, outward.code, outward.out) == (0, b"{}", 0, b"{}")


@pytest.mark.parametrize("word", ["ANY", "any ", "1", "none"])
def test_a_misspelt_permission_is_an_error(helper: Helper, place: Place, word: str) -> None:
    """And not taken for the strict one, which would look like a broken daemon."""
    with listening(place.socket):
        result = ask(helper, place, CREDPROXY_PEER_NAMESPACES=word)
    assert result.lines == [
        f"CREDPROXY_PEER_NAMESPACES must be 'any' or 'same', not '{word}'",
        "set it to any or to same, or unset it",
    ]


@pytest.mark.parametrize("how", ["", "hidden"], ids=["plain", "not dumpable"])
@pytest.mark.parametrize("word", ["same", ""], ids=["same", "unset"])
def test_a_listener_in_the_helpers_namespaces_is_trusted(helper: Helper, place: Place, how: str, word: str) -> None:
    """Also where it hides the names of its namespaces, as our daemon does."""
    with listening(place.socket, how=how):
        result = ask(helper, place, CREDPROXY_PEER_NAMESPACES=word)
    assert (result.code, result.out) == (0, b"{}")


def test_an_ordinary_user_trusts_a_daemon_that_cannot_be_inspected(helper: Helper, place: Place) -> None:
    """Root may inspect everything; a user cannot read the links in /proc/PID/ns of a process that is not dumpable."""
    plain = unshare("--user", "--map-user=1000", "--map-group=1000")
    inside = (
        f"{sys.executable} -IS -c \"$LISTENER\" {place.socket} hidden & trap 'kill $!' EXIT; "
        f'until [ -S {place.socket} ]; do sleep 0.01; done; sleep 0.1; "$0" get </dev/zero --uri x'
    )
    result = call([*plain, "sh", "-c", inside, helper.bazel], env=place.env(PATH=os.environ["PATH"], LISTENER=LISTENER))
    assert (result.code, result.err) == (0, b"")
    assert result.out.endswith(b"{}")


def test_a_process_that_holds_the_socket_of_an_ended_program_is_not_trusted(helper: Helper, place: Place) -> None:
    """In a sandbox a parent could listen and exit, so its pid proves nothing."""
    with listening(place.socket, how="left"):
        result = ask(helper, place, CREDPROXY_TIMEOUT="1")
    assert (result.code, result.out) == (1, b"")
    assert result.lines == [
        f"the program that listened on '{place.socket}' has ended, and no daemon has taken its place for 1.0 s",
        "run `systemctl --user restart credproxy.socket`; without systemd delete the directory of that socket",
    ]


def test_a_successor_that_takes_over_a_socket_is_trusted(helper: Helper, place: Place) -> None:
    """A service manager keeps the socket of a daemon that crashed; the next one calls listen() on it."""
    with listening(place.socket, how="left succeed"):
        result = ask(helper, place)
    assert (result.code, result.out, result.err) == (0, b"{}", b"")


HIDES = """
import ctypes, json, os, socket, subprocess, sys
program, path, user, options = sys.argv[1:]
subprocess.run(["mount", "-t", "proc", "-o", options, "proc", "/proc"], check=True)
reading, writing = os.pipe()
if os.fork() == 0:
    os.setgroups([])
    os.setresgid(int(user), int(user), int(user))
    os.setresuid(int(user), int(user), int(user))
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    os.write(writing, b".")
    listener.accept()[0].recv(65536)
    os._exit(0)
os.read(reading, 1)
done = subprocess.run(
    [program, "get"], input="{}", user=int(user), group=int(user), extra_groups=[], capture_output=True, text=True,
    env={"CREDPROXY_SOCKET": path},
)
print(json.dumps([done.returncode, done.stdout, done.stderr.splitlines()]))
"""
"""In a pid and mount namespace of its own: a /proc, a listener like our daemon, and a helper, all of one user."""


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("options", ["hidepid=invisible", "hidepid=noaccess"])
def test_where_proc_hides_the_daemon_the_reason_and_what_helps_are_reported(
    helper: Helper, place: Place, options: str
) -> None:
    """The daemon is not dumpable, so ``hidepid`` hides it from its own user: it could be an impostor."""
    user = "65533"
    program = place.root / "credproxy-helper"
    program.write_bytes(helper.bazel.read_bytes())
    program.chmod(0o755)
    place.root.chmod(0o755)
    os.chown(place.directory, int(user), int(user))
    place.directory.parent.chmod(0o755)
    around = unshare("--mount", "--pid", "--fork", "--kill-child")
    argv = [*around, sys.executable, "-IS", "-c", HIDES, str(program), str(place.socket), user, options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.stderr == ""
    cause = "/proc is mounted with hidepid, and hides the namespaces of the program that listens on"
    helps = "set CREDPROXY_PEER_NAMESPACES=any, which also trusts a daemon in a sandbox,"
    assert json.loads(done.stdout) == [
        1,
        "",
        [f"{cause} '{place.socket}'", f"{helps} or have /proc mounted with gid= of a group of yours as well"],
    ]
