"""Helper and daemon look in the same places, whatever the caller's environment lacks; tested with both of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.stage import CREDPROXY
from tests.helper.harness import Helper, Place
from tests.helper.impostor import unshare
from tests.hints import filled


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a user database of its own, by a mount namespace")


class Inside(Protocol):
    """Runs a shell script with these words as its arguments; ``known`` says whether the user database knows the user."""

    def __call__(self, script: str, *words: str | Path, known: bool = True) -> subprocess.CompletedProcess[str]:
        """Give what it printed, and its status."""
        ...


@pytest.fixture
def inside(place: Place) -> Inside:
    """Run a shell where the user database names ``ROOT/passwd-home`` for this user, and no runtime directory is there."""
    sandbox = unshare("--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    (place.root / "passwd").write_text(f"root:x:0:0:root:{place.root}/passwd-home:/bin/sh\n")
    (place.root / "passwd-home").mkdir(mode=0o700)
    (place.root / "nsswitch.conf").write_text("passwd: files\n")  # systemd's module makes up a line for root
    mounts = (
        f"mount --bind {place.root}/passwd /etc/passwd && "
        f"{{ [ ! -f /etc/nsswitch.conf ] || mount --bind {place.root}/nsswitch.conf /etc/nsswitch.conf; }} && "
        "{ [ ! -d /run/user ] || mount -t tmpfs none /run/user; }"
    )

    def run(script: str, *words: str | Path, known: bool = True) -> subprocess.CompletedProcess[str]:
        if not known:
            (place.root / "passwd").write_text("somebody:x:77:77::/home/somebody:/bin/sh\n")
        return subprocess.run(
            [*sandbox, "sh", "-c", f"{mounts} && {script}", "sh", *map(str, words)],
            env={"PATH": os.environ["PATH"]},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    return run


ENVIRONMENTS = {
    "nothing": "",
    "HOME empty": "HOME=",
    "HOME relative": "HOME=relative",
    "HOME a word": "HOME=~",
    "HOME": "HOME={root}/home",
    "HOME not there": "HOME={root}/nonexistent",
    "XDG_RUNTIME_DIR relative": "XDG_RUNTIME_DIR=run HOME={root}/home",
    "XDG_RUNTIME_DIR empty": "XDG_RUNTIME_DIR= HOME={root}/home",
    "XDG_RUNTIME_DIR not there": "XDG_RUNTIME_DIR={root}/nowhere HOME={root}/home",
    "XDG_RUNTIME_DIR a file": "XDG_RUNTIME_DIR={root}/passwd HOME={root}/home",
    "XDG_RUNTIME_DIR": "XDG_RUNTIME_DIR={root}/run HOME={root}/home",
    "CREDPROXY_SOCKET": "CREDPROXY_SOCKET={root}/x.sock",
    "CREDPROXY_SOCKET empty": "CREDPROXY_SOCKET= HOME={root}/home",
}


@pytest.mark.e2e
@pytest.mark.timeout(60)
def test_helper_and_daemon_agree_on_the_socket(helper: Helper, place: Place, inside: Inside) -> None:
    """The path at which the helper finds no listener is the one that the commands, and so the daemon, would use."""
    environments = [text.format(root=place.root) for text in ENVIRONMENTS.values()]
    bare = "env -i CREDPROXY_AUTOSTART=0 CREDPROXY_TIMEOUT=0.1"
    asking = (f'{bare} {environ} "$1" get --uri x; {bare} {environ} "$2" status --json' for environ in environments)
    lines = inside("; ".join(asking), helper.bazel, CREDPROXY).stderr.splitlines()
    asked, told = lines[::4], lines[2::4]
    paths = dict(zip(ENVIRONMENTS, (line.split("'")[1] for line in asked), strict=True))
    assert all(line.startswith("nothing listens on '") for line in asked)
    assert told == [f"credproxy: no daemon listens at {path}" for path in paths.values()]
    below = ".local/state/credproxy/run/helper.sock"
    for which in ("nothing", "HOME empty", "HOME relative", "HOME a word"):
        assert paths[which] == f"{place.root}/passwd-home/{below}"
    assert paths["HOME"] == paths["XDG_RUNTIME_DIR relative"] == f"{place.root}/home/{below}"


@pytest.mark.parametrize("environ", ["", "HOME=relative"])
def test_a_user_without_a_passwd_entry_gets_the_same_message_from_both(
    helper: Helper, inside: Inside, environ: str
) -> None:
    """Some containers run as a uid without a line in /etc/passwd; nothing is put below the root of the file system."""
    done = inside(
        f'env -i {environ} "$1" get --uri x; env -i {environ} "$2" status; env -i {environ} "$2" serve',
        helper.bazel,
        CREDPROXY,
        known=False,
    )
    message = "no place for the socket: HOME is not set, and /etc/passwd has no entry for uid 0"
    hint = "set HOME, XDG_RUNTIME_DIR or CREDPROXY_SOCKET"
    lines = done.stderr.splitlines()
    assert lines[:4] == [message, hint, f"credproxy: {message}", f"hint: {hint}"]
    assert message in lines[4]
    assert hint in lines[4]
    assert done.returncode == 1


@pytest.mark.e2e
@pytest.mark.timeout(60)
@pytest.mark.parametrize("environ", ["", "HOME=relative XDG_CONFIG_HOME=x XDG_RUNTIME_DIR=y"])
def test_the_first_call_of_a_bare_environment_is_answered(
    helper: Helper, place: Place, inside: Inside, environ: str
) -> None:
    """It starts the daemon, which reads the login and the configuration of the home that the user database names."""
    home = place.root / "passwd-home"
    shutil.copy2(helper.bazel, place.root / "credproxy-helper")
    (place.root / "credproxy").symlink_to(CREDPROXY)
    (home / ".netrc").write_text("machine files.example login me password canary-pass\n")
    (home / ".netrc").chmod(0o600)
    rule = '[[host]]\nmatch = "files.example"\nprovider = "basic"\ncredentials = { source = "netrc" }\n'
    (home / ".config" / "credproxy").mkdir(parents=True)
    (home / ".config" / "credproxy" / "config.toml").write_text(rule)
    done = inside(
        f'env -i {environ} "$1" get --uri https://files.example/x && ls -A / >"$2"',
        place.root / "credproxy-helper",
        place.root / "root-after",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert '"Authorization":["Basic ' in done.stdout
    assert (home / ".local/state/credproxy/run/helper.sock").exists()
    assert (home / ".local/state/credproxy/daemon.log").exists()
    assert {".local", ".config", ".docker"} & set((place.root / "root-after").read_text().split()) == set()


@pytest.mark.e2e
@pytest.mark.timeout(60)
@pytest.mark.parametrize("setting", ["HOME={}/mine", "CREDPROXY_SOCKET={}/mine/x.sock"])
def test_a_user_without_a_passwd_entry_can_follow_the_hint(
    helper: Helper, place: Place, inside: Inside, setting: str
) -> None:
    """Each of these two variables is enough; a runtime directory would be the user's outside of this sandbox.

    Only with a home directory there is a configuration to write to.
    """
    environ = setting.format(place.root)
    (place.root / "mine").mkdir(mode=0o700)
    shutil.copy2(helper.bazel, place.root / "credproxy-helper")
    (place.root / "credproxy").symlink_to(CREDPROXY)
    # Twice, since a machine that is busy with other tests may need more than the three seconds that the helper waits.
    ask = f'env -i {environ} "$1" get --uri https://files.example/x'
    done = inside(
        f'env -i "$1" get --uri x; {ask} || {ask} || exit 9; '
        f'env -i {environ} "$2" doctor; env -i {environ} "$2" actions allow "ghcr.io/my-org/**"; env -i {environ} "$2" stop',
        place.root / "credproxy-helper",
        CREDPROXY,
        known=False,
    )
    assert filled(done.stderr.splitlines()[1], "set HOME, XDG_RUNTIME_DIR or {}") == ("CREDPROXY_SOCKET",)
    assert done.returncode == 0, done.stderr
    assert '{"headers":{}' in done.stdout
    placeless = "there is no actions socket: no place for the socket" in done.stdout
    assert placeless == setting.startswith("CREDPROXY_SOCKET")
    refused = "credproxy: there is no place for a configuration of this user: HOME is not set\nhint: "
    assert (refused in done.stderr) == (not setting.startswith("HOME"))
    if refused in done.stderr:
        filled(done.stderr.partition(refused)[2].splitlines()[0], "set HOME")
