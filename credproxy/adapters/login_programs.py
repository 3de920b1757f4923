"""Programs that store a login or encrypt it, run by the command line, which may wait for the user."""

import os
import subprocess

from credproxy.core.ask.credential import Secret
from credproxy.core.errors import Code, failed
from credproxy.core.formats.login_file import sealed_name


_TIMEOUT = 30.0
"""Seconds for a program, which may wait for the user."""


def encrypted(key: str, secret: Secret, *, uid: int) -> str:
    """Encrypt for this machine, and for this user unless that is root. Raises Failed: helper_failed, helper_not_runnable."""
    user = ["--user"] if uid else []
    try:
        done = run_program(
            ["systemd-creds", "encrypt", *user, f"--name={sealed_name(key)}", "-", "-"], secret.reveal().encode()
        )
    except OSError:
        raise failed(
            Code.HELPER_NOT_RUNNABLE, "systemd-creds is not installed", hint="log in with --store file"
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-200:]
        raise failed(
            Code.HELPER_FAILED,
            f"systemd-creds does not encrypt: {said}",
            hint="users need systemd 256 for it; else: --store file",
        )
    return done.stdout.decode("ascii")


def run_program(argv: list[str], said: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Run one, whatever its status. Raises OSError: it cannot be started; Failed(helper_failed): it takes too long."""
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(argv, input=said, capture_output=True, env=environ, timeout=_TIMEOUT, check=False)  # noqa: S603  docker's configuration, or this file, names it
    except subprocess.TimeoutExpired:
        raise failed(
            Code.HELPER_FAILED, f"{argv[0]!r} has not answered for {_TIMEOUT:g} s", hint=f"run it by hand: {argv[0]}"
        ) from None
